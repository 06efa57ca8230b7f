"""The walk: every stage of a run, each reading what the one before it wrote. Notebooks and command line call these."""

import contextlib
import functools
import os
from pathlib import Path

import numpy as np

from bears_tl.config import VIEWS_AND_HEAD, check_checkpoint
from bears_tl.errors import InputError
from bears_tl.files import seeded_rng, write_csv, write_json
from bears_tl.judging.predictions import class_names_of, labels_of, probabilities_of, to_rows, worst
from bears_tl.photos import intake as intake_
from bears_tl.photos import splits as splits_
from bears_tl.photos.edits import read_edits
from bears_tl.photos.facts import FactCache
from bears_tl.photos.looks import STRENGTHS
from bears_tl.photos.views import CENTER, View, read_views
from bears_tl.run import Run

DATA_FOLDER = Path("data")
CHECKPOINT_FOLDER = Path("checkpoints")
INVENTORY_COLUMNS = ["name", "shape", "values"]
AUDIT_PHOTOS = 5000  # enough for intervals of 2.5 points either way; more would take minutes to read


def cache_folder() -> Path:
    """Give where features are cached: data/cache, or the folder that BEARS_TL_CACHE names."""
    return Path(os.environ.get("BEARS_TL_CACHE") or DATA_FOLDER / "cache")


def fetch(run: Run) -> Path:
    """Turn the setting `photos` into a folder of class folders; enters it into the receipt."""
    from bears_tl.photos.fetch import fetch as fetch_photos

    with run.stage("fetch") as facts:
        limits = {"max_files": run.config.max_files, "max_bytes": run.config.max_bytes}
        folder = fetch_photos(run.config.photos, DATA_FOLDER, **limits)
        facts |= {"photos": run.config.photos, "folder": str(folder.resolve())}
    return folder


def intake(run: Run) -> intake_.Intake:
    """Judge every file of the photo folder and apply label corrections; writes photos.csv and quarantine.csv."""
    folder, config = photo_folder(run), run.config
    edits = read_edits(config.edits)
    with run.stage("intake") as facts, contextlib.closing(FactCache(cache_folder() / "intake.sqlite")) as cache:
        refused = run.path("refused.csv")
        refused.unlink(missing_ok=True)
        try:
            taken = intake_.take_in(folder, config.min_side_px, config.allow_animated, edits, cache)
        except intake_.TooFewError as error:
            if not error.quarantined:
                raise
            write_csv(refused, intake_.QUARANTINE_COLUMNS, error.quarantined)
            raise InputError(f"{error}; {refused} has each refused file and why") from None
        write_csv(run.path("photos.csv"), intake_.PHOTO_COLUMNS, taken.photos)
        write_csv(run.path("quarantine.csv"), intake_.QUARANTINE_COLUMNS, taken.quarantined)
        facts |= {"count": len(taken.photos), "quarantined": len(taken.quarantined), "per_class": taken.per_class()}
        facts |= {"per_reason": taken.per_reason(), "near_duplicate_groups": len(taken.near_duplicates())}
    return taken


def split(run: Run) -> list[dict]:
    """Divide the photos; writes splits.csv."""
    photos = run.table("photos.csv")
    config = run.config
    with run.stage("split") as facts:
        rows = splits_.split_photos(photos, config.test_fraction, config.val_fraction, config.seed)
        write_csv(run.path("splits.csv"), splits_.SPLIT_COLUMNS, rows)
        facts |= {"counts": splits_.count_splits(rows)}
    return rows


def restore(run: Run):
    """Find the checkpoint and load the body, frozen, in the precision that is the fastest here; writes inventory.csv.

    Returns:
        bears_tl.model.body.Body.
    """
    from bears_tl.model import checkpoint, weights
    from bears_tl.model.body import Body

    with run.stage("restore") as facts:
        found = weights.find(run.config.checkpoint, CHECKPOINT_FOLDER, run.config.seed)
        body = Body.open(found.path, found.fingerprint, run.config.precision, cache_folder())
        rows = [
            {"name": name, "shape": "x".join(map(str, shape)), "values": int(np.prod(shape))}
            for name, shape in checkpoint.inventory(found.path).items()
        ]
        write_csv(run.path("inventory.csv"), INVENTORY_COLUMNS, rows)
        facts |= {"path": str(found.path.resolve()), "kind": found.kind, "fingerprint": found.fingerprint}
        facts |= {"precision": body.precision}
    return body


def restored(run: Run):
    """Load the body again from the checkpoint that `restore` found, in the precision that it chose.

    Raises:
        InputError: the file is gone or is no longer the same.
    """
    from bears_tl.model.body import Body

    facts = checkpoint_facts(run)
    return Body.open(facts["path"], facts["fingerprint"], facts["precision"], cache_folder())


def checkpoint_facts(run: Run) -> dict:
    """Give what `restore` found: path, kind, fingerprint, precision.

    Raises:
        InputError: the stage has not run, or the checkpoint is gone or is no longer the same.
    """
    from bears_tl.model.weights import fingerprint

    facts = _body_facts(run)
    try:
        is_same = fingerprint(facts["path"]) == facts["fingerprint"]
    except OSError:
        is_same = False
    if not is_same:
        raise InputError(
            f"the checkpoint {facts['path']!r} of this run is gone or was changed: restore and train again"
        )
    return facts


def _body_facts(run: Run) -> dict:
    facts = run.facts("restore")
    if "precision" not in facts:
        raise InputError(f"run {str(run.folder)!r} was made by an earlier version: restore and train again")
    return facts


def feature_cache(run: Run):
    """Open the cache of the run's body."""
    from bears_tl.model.feature_cache import FeatureCache

    facts = _body_facts(run)
    return FeatureCache(cache_folder(), facts["fingerprint"], facts["precision"])


def train_views(run: Run) -> list[View]:
    """Give the views in which training photos are seen."""
    config = run.config
    strengths = {effect: getattr(config, effect) for effect in STRENGTHS}
    return [View(k, config.seed, config.max_zoom, **strengths) for k in range(config.train_views)] or [CENTER]


def split_views(run: Run) -> dict[str, list[View]]:
    """Give the views in which the photos of each split are seen."""
    return {"train": train_views(run), "val": [CENTER], "test": [CENTER]}


def features(run: Run, body=None, engine="local", address: str | None = None, photos_url: str | None = None) -> dict:
    """Compute the features of all photos, or find them in the cache.

    Args:
        run: photos are split and a checkpoint is restored.
        body: the restored body; without it, one is loaded when the cache lacks something.
        engine: local (this process) or ray (a cluster).
        address: of the cluster, see `bears_tl.model.cluster.compute`.
        photos_url: the address, such as s3://bucket/folder, of a copy of the photo folder to read from.

    Returns:
        Split to bears_tl.model.features.FeatureTable: train [n, n views, 2048]; val and test [n, 1, 2048], of the
        center view; the rows are those of `split_rows`.
    """
    from bears_tl.model.features import extract

    folder, views = photos_url or photo_folder(run), split_views(run)
    load_body = functools.cache(lambda: body or restored(run))  # once, whichever split needs it first
    with run.stage("features") as facts:
        cache = feature_cache(run)
        if engine == "ray":
            _fill_by_cluster(run, cache, folder, address)
        found = {
            name: extract(load_body, folder, rows, views[name], cache, f"Features of {name}")
            for name, rows in split_rows(run).items()
        }
        facts |= {"views": {name: [str(view) for view in views[name]] for name in views}}
    return found


def _fill_by_cluster(run: Run, cache, folder: str | Path, address: str | None) -> None:
    """Have a cluster compute what the cache lacks, of all splits in one go: each worker opens the body once."""
    from bears_tl.model import cluster
    from bears_tl.model.body import load_graph
    from bears_tl.model.features import fill, find_missing

    facts, views = checkpoint_facts(run), split_views(run)

    def compute(missing):
        graph = load_graph(facts["path"], facts["fingerprint"], facts["precision"], cache_folder())
        return cluster.compute(graph, folder, missing, facts["precision"], address)

    missing = [todo for name, rows in split_rows(run).items() for todo in find_missing(rows, views[name], cache)]
    fill(cache, missing, compute)


def train(run: Run, found: dict | None = None):
    """Train the head on features; writes head.npz, history.csv and predictions.csv (val and test).

    Args:
        run: photos are split and a checkpoint is restored.
        found: what `features` gave; without it, that is called.

    Returns:
        bears_tl.model.head.Head and the rows of history.csv.
    """
    from bears_tl.model.head import HISTORY_COLUMNS, train_head

    found = found or features(run)
    with run.stage("train") as facts:
        rows = split_rows(run)
        class_names = sorted({row["class_name"] for row in rows["train"]})
        labels = {name: labels_of(rows[name], class_names) for name in rows}
        head, history = train_head(
            found["train"], labels["train"], found["val"], labels["val"], class_names, run.config
        )
        head.save(run.path("head.npz"))
        write_csv(run.path("history.csv"), HISTORY_COLUMNS, history)
        judged = {name: head.classify(found[name]) for name in ("val", "test")}
        predictions = [row for name in judged for row in to_rows(rows[name], judged[name], class_names)]
        write_csv(run.path("predictions.csv"), list(predictions[0]), predictions)
        facts |= {"parameters": head.parameters, "epochs": len(history)}
        facts |= {"settings": {name: getattr(run.config, name) for name in ("seed", *VIEWS_AND_HEAD)}}
    return head, history


def find_learning_rate(run: Run, found: dict | None = None):
    """Try rising learning rates on a new head; writes nothing.

    Args:
        run: photos are split and a checkpoint is restored.
        found: what `features` gave; without it, that is called.

    Returns:
        bears_tl.model.finder.RangeTest.
    """
    from bears_tl.model.finder import range_test

    rows, found = split_rows(run)["train"], found or features(run)
    class_names = sorted({row["class_name"] for row in rows})
    return range_test(found["train"], labels_of(rows, class_names), len(class_names), run.config)


def audit(run: Run) -> list[dict]:
    """Try how far colour, border, image size and file size get without the body; writes cues.csv.

    Args:
        run: is trained.

    Returns:
        Rows of cues.csv, a cue each and `all_cues` together; a large set is judged by AUDIT_PHOTOS of its photos.
    """
    from bears_tl.judging.cues import CUE_COLUMNS, cue_warnings, judge_cue
    from bears_tl.model.cues import classify
    from bears_tl.photos.cues import measure_cues

    photos = {row["path"]: row for row in run.table("photos.csv")}
    predicted = {row["path"]: row["predicted"] for row in run.table("predictions.csv")}
    rows = sorted(draw(run, run.table("splits.csv"), AUDIT_PHOTOS), key=lambda row: row["path"])
    class_names = sorted({row["class_name"] for row in rows})
    labels, splits = labels_of(rows, class_names), np.array([row["split"] for row in rows])
    body = np.mean([predicted[row["path"]] == row["class_name"] for row in rows if row["split"] == "test"])
    with run.stage("audit") as facts:
        cues = measure_cues(photo_folder(run), [photos[row["path"]] for row in rows])
        cues["all_cues"] = np.column_stack(list(cues.values()))
        found = []
        for cue, numbers in cues.items():
            shares = classify(numbers, labels, splits, len(class_names))
            found.append(judge_cue(cue, numbers.shape[1], labels[splits == "test"], shares, float(body)))
        write_csv(run.path("cues.csv"), CUE_COLUMNS, found)
        facts |= {"warnings": cue_warnings(found)}
    return found


def evaluate(run: Run) -> dict:
    """Judge predictions.csv; writes metrics.json and figures/, and before them cues.csv where it is missing.

    Returns:
        What metrics.json holds.
    """
    from bears_tl.judging import metrics, plots

    predictions = run.table("predictions.csv")
    class_names = class_names_of(predictions)
    if "audit" not in run.seconds() or not run.path("cues.csv").is_file():
        audit(run)
    with run.stage("evaluate"):
        judged = {
            name: metrics.judge(labels_of(rows, class_names), probabilities_of(rows, class_names), class_names)
            for name in ("val", "test")
            for rows in [[row for row in predictions if row["split"] == name]]
        }
        restored_from, taken = run.facts("restore"), run.facts("intake")
        result = judged | {
            "checkpoint": {name: restored_from[name] for name in ("kind", "fingerprint")},
            "class_names": class_names,
            "notice": run.notice(),
            "photos": taken,
            "seconds": run.seconds(),
            "warnings": run.facts("audit")["warnings"],
        }
        figures = run.path("figures")
        plots.save(plots.learning_curves(run.table("history.csv"), run.notice()), figures / "learning_curves.png")
        plots.save(plots.confusion(judged["test"], class_names, run.notice()), figures / "confusion.png")
        plots.save(plots.cue_accuracies(run.table("cues.csv"), run.notice()), figures / "cues.png")
        plots.save(plots.count_bars(splits_.count_splits(run.table("splits.csv"))), figures / "splits.png")
        tests = [row for row in predictions if row["split"] == "test"]
        plots.save(prediction_figure(run, worst(tests, class_names, 6)), figures / "worst.png")
        plots.save(prediction_figure(run, draw(run, tests, 6)), figures / "six_random.png")
        write_json(run.path("metrics.json"), result)
    return result


def photo_folder(run: Run) -> Path:
    """Give the folder that `fetch` found.

    Raises:
        InputError: the stage has not run, or the folder is gone.
    """
    folder = Path(run.facts("fetch")["folder"])
    if not folder.is_dir():
        raise InputError(f"the photo folder {str(folder)!r} of this run is gone: fetch the photos again")
    return folder


def split_rows(run: Run) -> dict[str, list[dict]]:
    """Read splits.csv: split to rows; those of train in the order of their content, for training follows the order."""
    rows = run.table("splits.csv")
    found = {name: [row for row in rows if row["split"] == name] for name in splits_.SPLITS}
    return found | {"train": sorted(found["train"], key=lambda row: row["sha256"])}


def draw(run: Run, rows: list[dict], count: int) -> list[dict]:
    """Draw rows at random, by the run's seed; fewer when there are fewer."""
    rng = seeded_rng(run.config.seed, "", "photos to show")
    return [rows[i] for i in rng.permutation(len(rows))[:count]]


def pixels(run: Run, rows: list[dict]) -> list[np.ndarray]:
    """Read the center views of photos, as the body sees them: uint8 [299, 299, 3] each."""
    folder = photo_folder(run)
    return [read_views(folder / row["path"], [CENTER], "")[0] for row in rows]


def prediction_figure(run: Run, rows: list[dict]):
    """Draw rows of predictions.csv: the photo, its true class and a bar a class."""
    from bears_tl.judging import plots

    class_names = class_names_of(rows)
    titles = [f"{row['class_name']}{'' if row['predicted'] == row['class_name'] else ': a mistake'}" for row in rows]
    shares = probabilities_of(rows, class_names)
    return plots.predictions(pixels(run, rows), titles, shares, class_names, run.notice())


def walk(run: Run, say=print) -> dict:
    """Walk every stage in one process.

    Args:
        run: a run that was just started.
        say: is given a line a stage.

    Returns:
        What metrics.json holds.
    """
    from bears_tl.judging.metrics import sentence

    check_checkpoint(run.config.checkpoint)
    say(f"photos: {fetch(run)}")
    taken = intake(run)
    say(f"intake: {len(taken.photos)} photos, {len(taken.quarantined)} quarantined, {taken.per_class()}")
    split(run)
    say("split: " + ", ".join(f"{len(rows)} {name}" for name, rows in split_rows(run).items()))
    body = restore(run)
    say(f"checkpoint: {run.facts('restore')['kind']}, {run.facts('restore')['path']}, in {body.precision}")
    if run.notice():
        say(run.notice())
    head, history = train(run, features(run, body))
    say(f"head: {head.parameters} parameters, {len(history)} epochs")
    result = evaluate(run)
    say(f"test: {sentence(result['test'])}")
    for warning in result["warnings"]:
        say(f"warning: {warning}")
    say(f"seconds: {', '.join(f'{name} {seconds:.1f}' for name, seconds in run.seconds().items())}")
    return result
