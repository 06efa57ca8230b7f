"""Transfer against training from scratch, over the number of training photos."""

import time
from collections.abc import Callable

from bears_tl.errors import InputError
from bears_tl.files import read_csv, read_json, seeded_rng, sha256_of, write_csv, write_json
from bears_tl.judging.metrics import judge
from bears_tl.judging.predictions import labels_of
from bears_tl.origin import Origin
from bears_tl.pipeline import artifacts
from bears_tl.pipeline.run import Run
from bears_tl.studies.scratch import transfer_seconds

METHODS = ("transfer", "scratch")  # the column "road"
SIZES = (5, 10, 20, 50)  # training photos per class; all photos are always added
ALL = "all"
CURVE_COLUMNS = [
    "photos_per_class", "road", "seed", "train_photos", "budget_seconds", "planned_epochs", "epochs", "seconds",
    "val_count", "val_errors", "val_accuracy", "test_count", "test_errors", "test_accuracy", "test_interval_low",
    "test_interval_high", "origin",
]  # fmt: skip


def measure(
    run: Run,
    sizes: tuple[int, ...] = SIZES,
    seeds: int = 3,
    seconds: float | None = None,
    epochs: int | None = None,
    say: Callable[[str], None] = print,
) -> list[dict]:
    """Train both methods on subsets of the training photos; writes learning_curves.csv and what_transfer_buys.png.

    Validation and test photos are always the run's own. With the same seed, a smaller subset is part of every larger
    one. Each row is written when it is finished and is not computed again. Rows with other seconds or epochs are kept;
    rows with other settings of the run are removed.

    Args:
        run: a trained run.
        sizes: training photos per class; sizes larger than the smallest class are skipped. All photos are always added.
        seeds: number of seeds, from the run's on; each gives other photos, another order and other initial weights.
        seconds: time budget of each network from scratch, the same for all sizes; without it and epochs, the time of
            the transfer run, measured once.
        epochs: number of epochs to plan instead.
        say: called with one line per row.

    Returns:
        The requested rows of learning_curves.csv.

    Raises:
        InputError: what `scratch` refuses, a size that is too small, or no seeds.
    """
    from bears_tl.judging import plots, study_plots
    from bears_tl.photos.thumbnails import Thumbnails

    run.check("train")
    seconds = None if seconds is None else float(seconds)
    path, thumbnails, origin = run.path("learning_curves.csv"), Thumbnails(artifacts.photo_folder(run)), _origin(run)
    requested = [
        {"photos_per_class": str(size), "road": method, "seed": str(run.config.seed + i)}
        for size in _fitting(run, sizes, seeds, say)
        for i in range(seeds)
        for method in METHODS
    ]
    done = [row for row in read_csv(path, CURVE_COLUMNS) if row["origin"] == origin] if path.is_file() else []
    if seconds is None and epochs is None:
        seconds = _transfer_seconds_once(run, origin)

    def find(key: dict) -> dict | None:
        return next((row for row in done if key.items() <= row.items() and _has_budget(row, seconds, epochs)), None)

    with run.stage("learning_curves") as facts:
        for key in requested:
            if find(key):
                continue
            row = key | _train_row(run, key, thumbnails, seconds, epochs) | {"origin": origin}
            done.append({name: str(value) for name, value in row.items()})
            write_csv(path, CURVE_COLUMNS, done)
            size = "all photos" if key["photos_per_class"] == ALL else f"{key['photos_per_class']} per class"
            wrong = f"{row['test_errors']} of {row['test_count']} test photos wrong"
            say(f"{size}, seed {key['seed']}, {key['road']}: {wrong}, {row['epochs']} epochs")
        found = [find(key) for key in requested]
        plots.save(
            study_plots.transfer_gain(found, len(_class_names(run)), run.notice()), run.path("what_transfer_buys.png")
        )
        facts |= {"rows": len(done)}
    return found


def _transfer_seconds_once(run: Run, origin: str) -> float:
    """Give `transfer_seconds`, measured once and saved, so that later rows get the same time."""
    path = run.path("transfer_seconds.json")
    known = read_json(path) if path.is_file() else {}
    if known.get("origin") != origin:
        known = {"origin": origin, "seconds": round(transfer_seconds(run), 1)}
        write_json(path, known)
    return known["seconds"]


def nested(rows: list[dict], size: str, seed: int) -> list[dict]:
    """Take the first photos of each class, in an order fixed by content and seed; "all" takes every photo."""
    ranked = sorted(rows, key=lambda row: seeded_rng(seed, row["sha256"], "learning curves").random())
    if size == ALL:
        return ranked
    class_names = sorted({row["class_name"] for row in rows})
    return [row for name in class_names for row in [row for row in ranked if row["class_name"] == name][: int(size)]]


def _train_row(run: Run, key: dict, thumbnails, seconds: float | None, epochs: int | None) -> dict:
    """Train one method with one size and seed; gives the other values of its row."""
    config = run.config.replace(seed=int(key["seed"]))
    rows, class_names = artifacts.split_rows(run), _class_names(run)
    train = nested(rows["train"], key["photos_per_class"], config.seed)
    started = time.perf_counter()
    if key["road"] == "scratch":
        from bears_tl.training.scratch import train_scratch

        model, history, planned = train_scratch(thumbnails, train, rows["val"], class_names, config, seconds, epochs)
        taken = time.perf_counter() - started
        result = {"planned_epochs": planned, "budget_seconds": "" if seconds is None else seconds}
        shares = {name: model.classify(thumbnails, rows[name]) for name in ("val", "test")}
    else:
        head, history, found = _train_head(run, train, rows, class_names, config)
        taken = time.perf_counter() - started
        result = {"planned_epochs": config.epochs, "budget_seconds": ""}
        shares = {name: head.classify(found[name]) for name in ("val", "test")}
    result |= {"train_photos": len(train), "epochs": len(history), "seconds": round(taken, 3)}
    for name in ("val", "test"):
        judged = judge(labels_of(rows[name], class_names), shares[name], class_names)
        result |= {f"{name}_{column}": judged[column] for column in ("count", "errors", "accuracy")}
    low, high = judged["interval"]
    return result | {"test_interval_low": low, "test_interval_high": high}


def _train_head(run: Run, train: list[dict], rows: dict[str, list[dict]], class_names: list[str], config):
    """Train a head on some of the photos; features missing from the cache are computed."""
    from bears_tl.features.extract import extract
    from bears_tl.training.trainer import train_head

    folder, cache, views = artifacts.photo_folder(run), artifacts.feature_cache(run), artifacts.split_views(run)
    photos = {"train": train, "val": rows["val"], "test": rows["test"]}
    found = {
        name: extract(lambda: artifacts.load_body(run), folder, photos[name], views[name], cache, f"Features of {name}")
        for name in photos
    }
    labels = [labels_of(photos[name], class_names) for name in ("train", "val")]
    groups = [row["group"] for row in train]
    trained = train_head(found["train"], labels[0], found["val"], labels[1], class_names, config, groups)
    return trained.head, trained.history, {name: table.of(trained.head.depths) for name, table in found.items()}


def _class_names(run: Run) -> list[str]:
    return sorted({row["class_name"] for row in artifacts.split_rows(run)["train"]})


def _fitting(run: Run, sizes: tuple[int, ...], seeds: int, say: Callable[[str], None]) -> list[str]:
    """Give the sizes that every class can fill, in rising order, then "all"; reports the skipped ones."""
    from bears_tl.training.scratch import SMALLEST_CLASS

    if seeds < 1:
        raise InputError(f"seeds {seeds} is out of range, expected 1 or more")
    if small := [size for size in sizes if size < SMALLEST_CLASS]:
        raise InputError(f"size {small[0]} is out of range, expected {SMALLEST_CLASS} or more photos per class")
    train = artifacts.split_rows(run)["train"]
    held = {name: sum(row["class_name"] == name for row in train) for name in _class_names(run)}
    smallest = min(held, key=held.get)
    for size in sorted(set(sizes)):
        if size > held[smallest]:
            say(f"size {size} is skipped: class {smallest} has only {held[smallest]} training photos")
    return [*(str(size) for size in sorted(set(sizes)) if size <= held[smallest]), ALL]


def _has_budget(row: dict, seconds: float | None, epochs: int | None) -> bool:
    """Return whether a finished row was made with the given seconds or epochs."""
    if row["road"] != "scratch":
        return True
    if epochs is not None:
        return row["planned_epochs"] == str(epochs)
    return row["budget_seconds"] == str(seconds)


def _origin(run: Run) -> str:
    """Give a hash of everything that all rows depend on: settings, split and weights."""
    from bears_tl.inception.body import bits_of

    body, splits = run.facts("restore"), sha256_of(run.path("splits.csv"))
    bits = bits_of(body.get("engine", "tensorflow"), body["precision"])
    weights = {"fingerprint": body["fingerprint"], "precision": bits}
    return Origin.of(run.config, "split", "views", "head", splits=splits, **weights).name
