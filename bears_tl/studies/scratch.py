"""The alternative to transfer on a run's photos: a network from scratch, given the same time."""

import time

from bears_tl.files import write_csv, write_json
from bears_tl.judging.metrics import judge
from bears_tl.judging.predictions import labels_of, to_rows
from bears_tl.photos.views import CENTER
from bears_tl.pipeline import artifacts
from bears_tl.pipeline.run import Run

TIMED_PHOTOS = 64


def transfer_seconds(run: Run) -> float:
    """Measure the seconds of the transfer run with an empty cache: features of all views and training of the head.

    The receipt has the time of training. Its time for features is too short if some were cached. So some photos go
    through the body again without the cache, and their time is scaled up to all views.

    Raises:
        InputError: the run is not trained.
    """
    from bears_tl.features.extract import compute

    run.check("train")
    rows, views, body = artifacts.split_rows(run), artifacts.split_views(run), artifacts.load_body(run)
    total = sum(len(rows[name]) * len(views[name]) for name in rows)
    todo = [(photo, [CENTER]) for photo in artifacts.draw(run, run.table("splits.csv"), TIMED_PHOTOS)]
    list(compute(body, artifacts.photo_folder(run), todo[:8]))  # warm-up: the first batches wait for kernels to compile
    started = time.perf_counter()
    list(compute(body, artifacts.photo_folder(run), todo))
    return total / len(todo) * (time.perf_counter() - started) + run.seconds()["train"]


def train(run: Run, seconds: float | None = None, epochs: int | None = None) -> dict:
    """Train a network from scratch on a run's photos; writes scratch.npz, its history, predictions and scratch.json.

    Args:
        run: a trained run.
        seconds: time budget; without it and epochs, the time of the transfer run, see `transfer_seconds`.
        epochs: number of epochs to plan instead; planned_epochs of an earlier scratch.json gives the same network.

    Returns:
        The content of scratch.json: val and test from `metrics.judge`, planned_epochs, epochs, seconds, budget_seconds
        (None if epochs were given) and parameters.

    Raises:
        InputError: the run is not trained, a class has too few photos, or seconds or epochs are out of range.
    """
    from bears_tl.photos.thumbnails import Thumbnails
    from bears_tl.training.adam import HISTORY_COLUMNS
    from bears_tl.training.scratch import train_scratch

    run.check("train")
    rows, thumbnails = artifacts.split_rows(run), Thumbnails(artifacts.photo_folder(run))
    class_names = sorted({row["class_name"] for row in rows["train"]})
    if seconds is None and epochs is None:
        seconds = transfer_seconds(run)
    with run.stage("scratch") as facts:
        started = time.perf_counter()
        model, history, planned = train_scratch(
            thumbnails, rows["train"], rows["val"], class_names, run.config, seconds, epochs
        )
        result = {"budget_seconds": seconds, "planned_epochs": planned, "epochs": len(history)}
        result |= {"seconds": round(time.perf_counter() - started, 3), "parameters": model.parameters}
        predictions = []
        for name in ("val", "test"):
            shares = model.classify(thumbnails, rows[name])
            predictions += to_rows(rows[name], shares, class_names)
            result[name] = judge(labels_of(rows[name], class_names), shares, class_names)
        model.save(run.path("scratch.npz"))
        write_csv(run.path("scratch_history.csv"), HISTORY_COLUMNS, history)
        write_csv(run.path("scratch_predictions.csv"), list(predictions[0]), predictions)
        write_json(run.path("scratch.json"), result)
        facts |= {"planned_epochs": planned}
    return result
