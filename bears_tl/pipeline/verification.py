"""Check a run against its receipt: are its files, photos, weights and features as they were, and do they give the same?

Each stage runs again on a copy of the run in a temporary folder, from what the run itself recorded. The first step that
differs is named. The run is never changed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bears_tl.errors import InputError, reason_of
from bears_tl.files import sha256_of, to_json, write_json
from bears_tl.hardware import machine
from bears_tl.inception.cosine import cosines
from bears_tl.pipeline import artifacts, stages
from bears_tl.pipeline.difference import difference
from bears_tl.pipeline.run import STAGES, Run, signed, versions_here
from bears_tl.threads import map_ahead

SAMPLE = 64  # views that are computed again unless all are
TOLERANCE = 0.01  # of probabilities and metrics on another machine; measured: 0.0019 where features differ in last bits
LEAST_COSINE = {"float32": 0.9999, "bfloat16": 0.999, "float16": 0.999, "int8": 0.95}  # of features there
# Elsewhere a head is judged by its probabilities: last bits of features changed its bias by 1.5 % of the largest. Steps
# of an optimizer and a ranking may have other rows.
_HERE_ONLY = ("head.npz", "strangers.npz", "history.csv", "labels.csv")
_NAMED = 5  # files in a message
# Files in the order of the data's way, after the step that makes them again.
MADE_BY = {
    "photos": ["photos.csv", "quarantine.csv"],
    "splits": ["splits.csv"],
    "head": ["head.npz", "strangers.npz", "history.csv"],
    "predictions": ["predictions.csv"],
    "cues": ["cues.csv"],
    "metrics": ["metrics.json", "confusions.csv", "labels.csv"],
}


def verify(run: Run, every: bool = False, say: Callable = print) -> None:
    """Check a finished run; print a line per step.

    Args:
        run: the run; it is not changed. Features that the cache lacks are computed and kept there, as in training.
        every: compute all features again, not only SAMPLE of them.
        say: called with each line to print.

    Raises:
        InputError: the run is not finished, or something differs; the message names the first that does.
    """
    tolerance = _begin(run, say)
    with tempfile.TemporaryDirectory(prefix="bears_tl_verify_") as work:
        again = _copy(run, Path(work, "run"))
        for step, found in _steps(run, again, every, tolerance):
            _compare(run, again, MADE_BY.get(step, []), tolerance, step)
            say(f"{step}: {found}")
    say(f"{run.folder}: nothing differs")


def rerun(run: Run, say: Callable = print) -> None:
    """Run everything again, in a temporary folder with an empty cache and from the same photos, and compare.

    Raises:
        InputError: the run is not finished, cannot run again, or something differs.
    """
    tolerance = _begin(run, say)
    restored = artifacts.checkpoint_facts(run)
    with tempfile.TemporaryDirectory(prefix="bears_tl_verify_") as work:
        folder, config = Path(work, "run"), Path(work, "settings.yaml")
        same = {name: restored[name] for name in ("precision", "engine")}
        where = {"run": str(folder), "photos": str(artifacts.photo_folder(run)), "checkpoint": restored["path"]}
        write_json(config, run.config.as_dict() | same | where)  # JSON is YAML, too
        command = [sys.executable, "-m", "bears_tl", "train", "--config", str(config)]
        environment = os.environ | {"BEARS_TL_CACHE": str(Path(work, "cache"))}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace")
        if done.returncode not in (0, 4):  # 4: a limit is not met, as it may have been before
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise InputError(f"{run.folder} cannot run again: {reason_of(last).removeprefix('bears: ')}")
        again = Run.open(folder)
        for step, files in MADE_BY.items():
            _compare(run, again, files, tolerance, step)
            say(f"{step}: the same again")
    say(f"{run.folder}: the same result from the photos on")


def _begin(run: Run, say: Callable) -> float:
    """Check that the run is finished and its files are those of the receipt; return the tolerance of all else."""
    if changed := changed_files(run):
        more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
        raise InputError(
            f"{str(run.folder)!r} differs from its receipt: {', '.join(changed[:_NAMED])}{more}; "
            f"train again with `bears train --run {run.folder}`, or put the old files back"
        )
    for stage in list(STAGES)[: list(STAGES).index("evaluate") + 1]:
        run.facts(stage)
    artifacts.train_facts(run)
    receipt = run.receipt()
    count = sum(len(entry["sha256"]) for entry in receipt["stages"].values())
    say(f"files: {count} have the hashes of the receipt" + ("" if "sha256" in receipt else ", which has none itself"))
    if code := receipt.get("code"):
        say(f"code: commit {code['commit'][:12]}" + ", with changes that are not committed" * code["is_dirty"])
    elsewhere = _elsewhere(receipt)
    if not elsewhere:
        say("machine and versions are those of the run: everything must be the same bit for bit")
        return 0.0
    say(f"{elsewhere}: probabilities and metrics may differ by {TOLERANCE:g}; {', '.join(_HERE_ONLY)} are not compared")
    return TOLERANCE


def changed_files(run: Run) -> list[str]:
    """Return the files of the run that are not as its receipt says, the receipt and the settings themselves included.

    Settings that were changed since the last stage count, because later stages would use them.
    """
    receipt, changed = run.receipt(), []
    is_signed = bool(receipt.keys() & {"code", "settings", "sha256"})  # not by earlier versions
    if is_signed and run.path("receipt.json").read_bytes() != to_json(signed(receipt)):
        return ["receipt.json"]  # so the hashes in it cannot be relied on
    if "settings" in receipt and run.path("config.json").read_bytes() != to_json(receipt["settings"]):
        changed.append("config.json (settings changed since the last stage)")
    for stage, entry in receipt["stages"].items():
        for name, digest in entry["sha256"].items():
            path = run.path(name)
            if not path.is_file():
                changed.append(f"{name} ({stage}, missing)")
            elif sha256_of(path) != digest:
                changed.append(f"{name} ({stage})")
    return changed


def _elsewhere(receipt: dict) -> str:
    """Say what differs between the machine of the run and this one; "" if the same bits are to be expected."""
    made, here = receipt["machine"] | receipt["versions"], machine() | versions_here()
    for name in ("processor", "cores", *receipt["versions"]):
        if made.get(name) != here.get(name):
            return f"{name} was {made.get(name)}, is {here.get(name)} here"
    return ""


def _copy(run: Run, folder: Path) -> Run:
    folder.mkdir()
    for name in ("config.json", "receipt.json", *(file for files in STAGES.values() for file in files)):
        if run.path(name).is_file():
            shutil.copy(run.path(name), folder / name)
    return Run.open(folder)


def _compare(run: Run, again: Run, files: list[str], tolerance: float, step: str) -> None:
    for name in files:
        is_written = run.path(name).is_file() or again.path(name).is_file()  # labels.csv may be in neither
        if not is_written or (tolerance and name in _HERE_ONLY):
            continue
        if found := difference(run.path(name), again.path(name), tolerance):
            raise InputError(
                f"the {step} of {str(run.folder)!r} differ: {name}: {found}; what comes after was not compared"
            )


def _steps(run: Run, again: Run, every: bool, tolerance: float) -> Iterator[tuple[str, str]]:
    """Do each step again on the copy; yield its name and what to say about it if it does not differ."""
    from bears_tl.pipeline.evaluation import audit, measure
    from bears_tl.pipeline.suspects import find_suspects

    photos = _check_photos(run)
    stages.intake(again)
    yield "photos", f"{photos} have the hashes of photos.csv, and the same verdicts"
    stages.split(again)
    yield "splits", "the same again"
    facts = artifacts.checkpoint_facts(run)
    yield "weights", f"{Path(facts['path']).name} has the fingerprint {facts['fingerprint'][:12]}"
    yield "features", _check_features(run, every, tolerance)
    stages.train(again, stages.read_features(run))
    yield "head", "trained again from the features"
    yield "predictions", "the same again"
    audit(again)
    yield "cues", "the same again"
    result = measure(again)
    write_json(again.path("metrics.json"), result)
    _write_confusions(again, result)
    again.path("labels.csv").unlink(missing_ok=True)
    if run.path("labels.csv").is_file():
        find_suspects(again)
    yield "metrics", "the same again"


def _write_confusions(run: Run, result: dict) -> None:
    from bears_tl.files import write_csv
    from bears_tl.judging import metrics

    rows = metrics.confusions(result["test"], result["class_names"])
    write_csv(run.path("confusions.csv"), metrics.CONFUSION_COLUMNS, rows)


def _check_photos(run: Run) -> int:
    """Hash every photo; return how many there are."""
    folder, rows = artifacts.photo_folder(run), run.table("photos.csv")

    def fault(row: dict) -> str:
        try:
            return "" if sha256_of(folder / row["path"]) == row["sha256"] else "was changed"
        except OSError:
            return "is missing"

    faults = [(row["path"], found) for row, found in zip(rows, map_ahead(fault, rows, 64), strict=True) if found]
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise InputError(
            f"the photos of {str(run.folder)!r} differ: {faults[0][0]!r} in {str(folder)!r} {faults[0][1]}{more}: put "
            "the photos back, or train again"
        )
    return len(rows)


def _check_features(run: Run, every: bool, tolerance: float) -> str:
    """Compute features again and compare them with the cache; say how many."""
    from bears_tl.features.extract import compute, find_missing
    from bears_tl.inception.architecture import LAST, columns

    cache, views, splits = artifacts.feature_cache(run), artifacts.split_views(run), artifacts.split_rows(run)
    body = artifacts.load_body(run, same_bits=not tolerance)
    lacking = sum(len(found) for name in splits for _, found in find_missing(splits[name], views[name], cache))
    if lacking:
        stages.read_features(run, body)
        cache = artifacts.feature_cache(run)
    todo = [(row, views[name]) for name, rows in splits.items() for row in rows]
    total = sum(len(views) for _, views in todo)
    if not every:
        pairs = [(row, [view]) for row, views in todo for view in views]
        todo = artifacts.draw(run, pairs, SAMPLE)
    count, path_of = sum(len(views) for _, views in todo), {row["sha256"]: row["path"] for row, _ in todo}
    least, last = LEAST_COSINE[body.precision], columns(LAST)
    for rows, features in compute(body, artifacts.photo_folder(run), todo):
        places = np.concatenate([cache.places([sha256], [view])[0] for sha256, view in rows])
        kept = cache.read(places)
        if tolerance:
            near = [cosines(*(part[:, last].astype(np.float32) for part in (kept, features)))]
            same = np.min(near, axis=0) >= least
        else:
            same = (kept == features).all(axis=1)
        if not same.all():
            sha256, view = rows[int(np.argmin(same))]
            raise InputError(
                f"the features of {str(run.folder)!r} differ: those of {path_of[sha256]!r} ({view}) in {cache.folder} "
                "are not what the body computes; delete that folder, or train again"
            )
    text = f"{count} of {total} views computed again, like those in the cache"
    return text + (f"; {lacking} were not in the cache and were added" if lacking else "")
