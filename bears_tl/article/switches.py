"""What each fault of 2019 costs: the article's procedure against the same with one switch turned, on the same photos.

From Python, for the table in results/as_2019.csv (eight runs a seed, some of which share what the body says):

    from bears_tl.files import write_csv
    from bears_tl.article.switches import COLUMNS, compare, run_all
    found = run_all("bear_photos", photos, "inception_v3.ckpt", "runs/as_2019", seeds=range(5))
    write_csv("results/as_2019.csv", COLUMNS, compare(found))
"""

import dataclasses
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import fmean

import numpy as np

from bears_tl.article import procedure
from bears_tl.article.feature_memory import FeatureMemory
from bears_tl.article.procedure import POSITIONS, Switches, mean_of_batches
from bears_tl.errors import InputError
from bears_tl.files import read_csv, write_csv
from bears_tl.judging.metrics import losses, mcnemar_p_value, wilson_interval
from bears_tl.judging.predictions import labels_of

ARTICLE, ALL = "none", "all"  # of the switches turned
TURNS = (ARTICLE, *POSITIONS, ALL)
PREDICTION_COLUMNS = ["path", "class_name", "sha256", "predicted", "loss"]
COLUMNS = [
    "turned", "position", "seeds", "photos", "errors", "accuracy", "low", "high", "printed", "loss", "paired_photos",
    "only_article_right", "only_turned_right", "p_value", "loss_change", "change_low", "change_high",
]  # fmt: skip


def turned(name: str) -> Switches:
    """Give the article's switches with one turned to good practice; `none` or `all` of them, too."""
    names = {ARTICLE: (), ALL: POSITIONS}.get(name, (name,))
    return dataclasses.replace(Switches(), **{switch: POSITIONS[switch][1] for switch in names})


def run_all(
    folder: str | Path,
    photos: list[dict],
    checkpoint_path: str | Path,
    saved_folder: str | Path,
    seeds: Iterable[int],
    turns: Iterable[str] = TURNS,
    say: Callable[[str], None] = print,
    **settings,
) -> dict[str, dict[int, list[dict]]]:
    """Run the procedure for every turn and seed; what is finished already is read, not run again.

    `mean` is turned without a run of its own: it changes no prediction, only what is printed of them. What the body
    says of a batch is computed once a seed and kept until the seed is done, so that a killed comparison loses little.

    Args:
        folder: that `path` of a photo is relative to.
        photos: rows of photos.csv.
        checkpoint_path: a TF-slim checkpoint of Inception v3, unpacked.
        saved_folder: gets <turn>_<seed>.csv, the test's predictions in the order of the batches, and, while a run goes
            on, its checkpoints and features. One folder for one set of photos, checkpoint and settings.
        seeds: each draws another split, and all else.
        turns: which of TURNS.
        say: is given a line a turn and seed.
        settings: epochs, batch_size and iterations of `procedure.run`.

    Returns:
        Turn to seed to rows of path, class_name, sha256, predicted and loss (cross-entropy, nats).

    Raises:
        InputError: an unknown turn, or what `procedure.run` refuses.
    """
    if unknown := [name for name in turns if name not in TURNS]:
        raise InputError(f"switch {unknown[0]!r} is unknown, expected {', '.join(TURNS)}")
    found = {name: {} for name in turns}
    for seed in seeds:
        memory = FeatureMemory(Path(saved_folder, f"features_{seed}"))
        for name in turns:
            path = Path(saved_folder, f"{ARTICLE if name == 'mean' else name}_{seed}.csv")
            if not path.is_file():
                saved = path.with_suffix("")
                shutil.rmtree(saved, ignore_errors=True)  # of a run that was stopped; its features are remembered
                result = procedure.run(
                    folder, photos, checkpoint_path, saved, turned(name), seed, memory=memory, **settings
                )
                write_csv(path, PREDICTION_COLUMNS, _to_rows(result))
                shutil.rmtree(saved)
            rows = read_csv(path, PREDICTION_COLUMNS)
            found[name][seed] = [row | {"loss": float(row["loss"])} for row in rows]
            wrong = sum(not _is_right(row) for row in rows)
            say(f"seed {seed}, {name}: {wrong} of {len(rows)} test photos wrong")
        shutil.rmtree(memory.folder, ignore_errors=True)
    return found


def compare(found: dict[str, dict[int, list[dict]]]) -> list[dict]:
    """Make a row a turn: its accuracy with the Wilson interval, and the paired test against the article.

    The paired test is McNemar's (see `metrics.mcnemar_p_value`). Photos are paired within a seed; `split` changes which
    are tested, so only those in both tests are paired. Over several seeds a photo may count more than once, which makes
    intervals and p a little too sure. Where every answer is right, the loss still tells procedures apart.

    Args:
        found: what `run_all` gave.

    Returns:
        Rows with COLUMNS: accuracy, low and high (95 %) over the photos of all seeds; printed, the mean over seeds of
        what such a run prints; loss, the mean cross-entropy of a test photo in nats; p_value, two-sided, 1 where no
        photo tells the two apart; loss_change, the mean over seeds of the paired photos' mean turned less article, with
        the lowest and the highest seed, empty where no photo is in both tests.
    """
    return [_row(name, of_seed, found[ARTICLE]) for name, of_seed in found.items()]


def _to_rows(result: procedure.Result) -> list[dict]:
    labels = labels_of(result.test, result.class_names)
    answers = [result.class_names[i] for i in result.probabilities.argmax(axis=1)]
    judged = zip(result.test, answers, losses(labels, result.probabilities).tolist(), strict=True)
    return [row | {"predicted": answer, "loss": loss} for row, answer, loss in judged]


def _row(name: str, of_seed: dict[int, list[dict]], article: dict[int, list[dict]]) -> dict:
    hits = [np.array([_is_right(row) for row in rows]) for rows in of_seed.values()]
    count, right = sum(map(len, hits)), int(sum(map(np.sum, hits)))
    print_mean = mean_of_batches if turned(name).mean == "of_batches" else np.mean
    pairs = [_pair(rows, of_seed[seed]) for seed, rows in article.items()]
    apart = [(_is_right(one), _is_right(other)) for photos in pairs for one, other in photos]
    only_article, only_turned = apart.count((True, False)), apart.count((False, True))
    changes = [fmean(other["loss"] - one["loss"] for one, other in photos) for photos in pairs if photos]
    spread = (fmean(changes), min(changes), max(changes)) if changes else ("", "", "")
    values = [
        name, POSITIONS[name][1] if name in POSITIONS else "", len(of_seed), count, count - right, right / count,
        *wilson_interval(right, count), float(np.mean([print_mean(of_photos) for of_photos in hits])),
        fmean(row["loss"] for rows in of_seed.values() for row in rows), len(apart), only_article,
        only_turned, mcnemar_p_value(only_article, only_turned), *spread,
    ]  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def _pair(article: list[dict], other: list[dict]) -> list[tuple[dict, dict]]:
    """Put together the rows of photos, by content, that are in both tests."""
    before = {row["sha256"]: row for row in article}
    return [(before[row["sha256"]], row) for row in other if row["sha256"] in before]


def _is_right(row: dict) -> bool:
    return row["predicted"] == row["class_name"]
