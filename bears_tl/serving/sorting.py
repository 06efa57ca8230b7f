"""Sort photos into one folder per class, and go through those of which the classifier is not sure."""

import contextlib
import dataclasses
import filecmp
import os
import secrets
import shutil
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from bears_tl.errors import InputError
from bears_tl.files import is_taken, sha256_of, write_error
from bears_tl.judging import calibration
from bears_tl.judging.predictions import probabilities_of
from bears_tl.pipeline import artifacts
from bears_tl.pipeline.run import Run
from bears_tl.serving.ledger import Ledger
from bears_tl.serving.predictor import Predictor, find_photos

UNSURE, STRANGE, TABLE = "unsure", "not_one_of_these", "answers.csv"
PLACE = "sorted_to"  # column of the table: the path below the folder of sorted photos, empty for an unreadable file


@dataclasses.dataclass(frozen=True)
class Names:
    """Names in the folder of sorted photos; a class may have one of them, so they get a `_` until no class does.

    Attributes:
        unsure: folder of photos of which the classifier is not sure.
        strange: folder of photos that are not like the training photos.
        table: the table of answers.
    """

    unsure: str
    strange: str
    table: str

    @classmethod
    def beside(cls, class_names: list[str]) -> "Names":
        """Choose names that no class has, also where a disk ignores case.

        Raises:
            InputError: a class cannot be the name of a folder, such as `..`.
        """
        for name in class_names:
            if name in ("", ".", "..") or any(letter in name for letter in "/\\\0"):
                raise InputError(f"the class {name!r} cannot be the name of a folder: train a run with another name")
        taken = {unicodedata.normalize("NFKC", name.strip()).casefold() for name in class_names}
        chosen = []
        for name in (UNSURE, STRANGE, TABLE):
            while name in taken:
                name = name.replace(".csv", "") + "_" + ".csv" * name.endswith(".csv")
            chosen.append(name)
        return cls(*chosen)


def sure_from(run: Run) -> float:
    """Return the probability from which on a run's answer is sure, see `calibration.sure_from`.

    The held-out photos are those of validation, and the training photos while the weight decay was chosen: each was
    predicted by a head of the other folds. Test photos decide nothing.

    Args:
        run: a trained run.
    """
    from bears_tl.training.trainer import MOST_ROWS

    facts, of_split = artifacts.train_facts(run), artifacts.split_rows(run)
    val = artifacts.predictions(run).of_split("val")
    count, errors = len(val), sum(row["predicted"] != row["class_name"] for row in val.rows)
    chosen = (facts["features"], facts["weight_decay"])
    for trial in facts["trials"]:
        if (trial["features"], trial["weight_decay"]) == chosen:
            folds = min(len(of_split["train"]), max(MOST_ROWS // max(run.config.train_views, 1), 1))
            count, errors = count + folds, errors + round((1 - trial["accuracy"]) * folds)
    return calibration.sure_from(errors, count)


def sort(run: Run, predictor: Predictor, folder: str | Path, out: str | Path, link: bool = False) -> Iterator[dict]:
    """Classify the photos below a folder and copy each into the folder of its answer; go on where it was interrupted.

    The photos keep their place below `folder`, so equal names do not meet, and their time. They are only read. Files
    that are in `out` already are never replaced.

    Args:
        run: a trained run.
        predictor: its head.
        folder: holds the photos.
        out: gets a folder per class, see `Names`, and the table of answers; new, empty or from an earlier call.
        link: make symbolic links instead of copies.

    Yields:
        The rows of the table that are new, with `sorted_to`: the path in `out`, empty for an unreadable file. A photo
        whose place is taken by another file has `taken`, and is not in the table.

    Raises:
        InputError: a folder does not fit, is written to by someone else, or is full.
    """
    folder, out = Path(os.path.abspath(Path(folder).expanduser())), Path(os.path.abspath(Path(out).expanduser()))
    names, least = Names.beside(predictor.class_names), sure_from(run)
    _check_places(run, folder, out, names)
    with Ledger.opened(out / names.table, predictor, (PLACE,)) as answers:
        for row in answers.rows():
            if not Path(row["path"]).is_relative_to(folder):
                raise InputError(f"{str(out)!r} holds photos of another folder ({row['path']!r}): name another --to")
        for row in answers.to(find_photos(folder), sum(1 for _ in find_photos(folder))):
            if "error" in row:
                answers.write(row | {PLACE: ""})
                yield row | {PLACE: ""}
                continue
            place = Path(_folder_of(row, least, names), Path(row["path"]).relative_to(folder))
            row |= {PLACE: str(place)}
            try:
                _put(Path(row["path"]), out, place, link)
            except FileExistsError:
                yield row | {"taken": str(out / place)}
                continue
            except OSError as error:
                raise write_error(out / place, error) from error
            answers.write(row)
            yield row


def sorted_rows(predictor: Predictor, out: str | Path) -> Iterator[dict]:
    """Yield the rows of the table of sorted photos.

    Raises:
        InputError: there is none in the folder, or it is by another model.
    """
    table = Path(out, Names.beside(predictor.class_names).table)
    if not table.is_file():
        raise InputError(f"no sorted photos in {str(out)!r}: sort some first (bears sort)")
    yield from Ledger(table, predictor, [PLACE]).rows()


def unsure_first(predictor: Predictor, out: str | Path) -> list[dict]:
    """List the photos of which the classifier was not sure, the most useful one to look at first.

    That is the one with the smallest lead of the best over the second best class (Joshi et al. 2009,
    https://doi.org/10.1109/CVPR.2009.5206627). Photos that were moved or removed since are left out.

    Returns:
        Rows for `cleaner.Cleaner` in the folder `out`: path in it, sha256, label (the predicted class), doubt.

    Raises:
        InputError: see `sorted_rows`.
    """
    class_names, found = predictor.class_names, []
    unsure = Names.beside(class_names).unsure
    for row in sorted_rows(predictor, out):
        if row[PLACE].split(os.sep)[0] == unsure and os.path.isfile(Path(out, row[PLACE])):
            shares = probabilities_of([row], class_names)[0]
            second, best = shares.argsort(kind="stable")[-2:]
            doubt = f"{class_names[best]} {shares[best]:.0%}, {class_names[second]} {shares[second]:.0%}"
            kept = {"path": row[PLACE], "label": row["predicted"], "doubt": doubt}
            found.append((float(shares[best] - shares[second]), kept))
    found.sort(key=lambda pair: (pair[0], pair[1]["path"]))
    return [row | {"sha256": sha256_of(Path(out, row["path"]))} for _, row in found]


def bring_back(out: str | Path, rows: list[dict], photos: str | Path) -> list[Path]:
    """Copy sorted photos into a photo folder, each into the class folder of its `label`; replace nothing.

    Corrections of a label stay where they are: the next intake applies them.

    Args:
        out: the folder of sorted photos.
        rows: of `unsure_first`, or others with path, sha256 and label.
        photos: the folder of class folders.

    Returns:
        The new paths; the hash is part of the name, so that cameras may use a name twice.

    Raises:
        InputError: a photo is gone, or the folder cannot be written.
    """
    found = []
    for row in rows:
        name = Path(row["path"])
        place = Path(row["label"], f"{name.stem[:100]}-{row['sha256'][:12]}{name.suffix[:20]}")
        try:
            _put(Path(out, name), Path(photos), place, link=False)
        except OSError as error:
            raise write_error(Path(photos, place), error) from error
        found.append(Path(photos, place))
    return found


def _folder_of(row: dict, least: float, names: Names) -> str:
    if row["known"] == "false":
        return names.strange
    return row["predicted"] if float(row[f"probability_{row['predicted']}"]) >= least else names.unsure


def _check_places(run: Run, folder: Path, out: Path, names: Names) -> None:
    """Check that the sorted photos do not land among the user's.

    Raises:
        InputError: see there.
    """
    if not folder.is_dir():
        raise InputError(f"no folder at {str(folder)!r}: name a folder of photos")
    for place in (folder, artifacts.photo_folder(run)):
        inside, outside = out.resolve(), place.resolve()
        if inside.is_relative_to(outside) or (place == folder and outside.is_relative_to(inside)):
            raise InputError(f"{str(out)!r} and the photos in {str(place)!r} overlap: sort them to another folder")
    if is_taken(out) and not (out / names.table).is_file():
        raise InputError(f"{str(out)!r} is not empty, and holds no photos that were sorted here: name a new folder")


def _put(source: Path, folder: Path, place: Path, link: bool) -> None:
    """Copy a file to a place in a folder, or link to it; do nothing if it is there.

    Raises:
        OSError: it cannot be written; FileExistsError: another file has that place.
    """
    target = folder / place
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.parent.resolve().is_relative_to(folder.resolve()):
        raise FileExistsError(f"{target.parent} is a link")
    if os.path.lexists(target):
        if not (target.is_file() and filecmp.cmp(source, target, shallow=False)):
            raise FileExistsError(str(target))
    elif link:
        target.symlink_to(source)
    else:
        temporary = target.with_name(f".{secrets.token_hex(8)}.part")
        try:
            shutil.copy2(source, temporary)
            _rename(temporary, target)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()


def _rename(old: Path, new: Path) -> None:
    """Rename a file, but replace nothing: a hard link, unlike a rename, fails if the name is taken."""
    try:
        os.link(old, new)
    except FileExistsError:
        raise
    except OSError:  # a disk without hard links
        if os.path.lexists(new):
            raise FileExistsError(str(new)) from None
        os.rename(old, new)
