"""The stages of a run. Each reads the output of earlier ones; notebooks and the command line call them."""

import collections
import contextlib
import functools
from pathlib import Path

import numpy as np

from bears_tl.config import check_checkpoint, check_edits
from bears_tl.errors import InputError
from bears_tl.files import write_csv
from bears_tl.inception.architecture import LAST
from bears_tl.judging.predictions import labels_of, to_rows
from bears_tl.origin import Origin
from bears_tl.photos import intake as intake_
from bears_tl.photos import splits as splits_
from bears_tl.photos.edits import read_edits
from bears_tl.photos.facts import FactCache
from bears_tl.pipeline import artifacts
from bears_tl.pipeline.run import Run
from bears_tl.pipeline.tracking import check_packages

CHECKPOINT_FOLDER = Path("checkpoints")
INVENTORY_COLUMNS = ["name", "shape", "values"]


def fetch(run: Run) -> Path:
    """Resolve the setting `photos` to a folder of class folders and record it in the receipt."""
    from bears_tl.photos.fetch import fetch as fetch_photos

    with run.stage("fetch") as facts:
        limits = {"max_files": run.config.max_files, "max_bytes": run.config.max_bytes}
        folder = fetch_photos(run.config.photos, artifacts.DATA_FOLDER, **limits)
        for name, place, setting in (
            ("run directory", run.folder, "--run, or `run` in a notebook"),
            ("cache", artifacts.cache_folder(), "the environment variable BEARS_TL_CACHE"),
        ):
            if place.resolve().is_relative_to(folder.resolve()):
                raise InputError(
                    f"the {name} {str(place)!r} lies in the photo folder {str(folder)!r}, where it would be taken "
                    f"for a class: choose another place for it ({setting})"
                )
        facts |= {"photos": run.config.photos, "folder": str(folder.resolve())}
    return folder


def intake(run: Run) -> intake_.Intake:
    """Check every file of the photo folder and apply label corrections; write photos.csv and quarantine.csv."""
    folder, config = artifacts.photo_folder(run), run.config
    check_edits(config.edits)
    edits = read_edits(config.edits)
    known = FactCache(artifacts.cache_folder() / "intake.sqlite")
    with run.stage("intake") as facts, contextlib.closing(known) as cache:
        refused = run.path("refused.csv")
        refused.unlink(missing_ok=True)
        try:
            limits = config.min_side_px, config.allow_animated, edits, cache, config.max_megapixels
            taken = intake_.take_in(folder, *limits)
        except intake_.TooFewError as error:
            if not error.quarantined:
                raise
            write_csv(refused, intake_.QUARANTINE_COLUMNS, error.quarantined)
            raise InputError(f"{error}; {refused} lists each refused file and the reason") from None
        write_csv(run.path("photos.csv"), intake_.PHOTO_COLUMNS, taken.photos)
        write_csv(run.path("quarantine.csv"), intake_.QUARANTINE_COLUMNS, taken.quarantined)
        facts |= {"count": len(taken.photos), "quarantined": len(taken.quarantined), "per_class": taken.per_class()}
        facts |= {"per_reason": taken.per_reason(), "near_duplicate_groups": len(taken.near_duplicates())}
        facts |= {"corrections": taken.corrections, "notes": taken.notes()}
    return taken


def split(run: Run) -> list[dict]:
    """Split the photos into train, val and test, or use the split that their folder has; write splits.csv."""
    photos, config = run.table("photos.csv"), run.config
    if config.near_duplicates == "ignore":
        photos = [photo | {"group": ""} for photo in photos]
    fractions = {"test_fraction": config.test_fraction, "val_fraction": config.val_fraction}
    is_given = any(photo.get("given_split") for photo in photos)
    if config.split.startswith("given") and not is_given:
        raise InputError(
            f"split={config.split}, but the photo folder of run {str(run.folder)!r} has no train, val and test folders "
            "above its class folders: set split=auto to divide the photos by content"
        )
    with run.stage("split") as facts:
        if is_given and config.split != "content":
            grouped = config.split == "given_grouped"
            rows = splits_.keep_given_split(photos, **fractions, seed=config.seed, grouped=grouped)
            facts |= {"source": config.split if grouped else "given"}
        else:
            rows = splits_.split_photos(photos, **fractions, seed=config.seed)
            facts |= {"source": "content"}
        write_csv(run.path("splits.csv"), splits_.SPLIT_COLUMNS, rows)
        facts |= {"counts": splits_.count_splits(rows), "notes": _split_notes(run, rows, facts["source"])}
    return rows


def _split_notes(run: Run, rows: list[dict], source: str) -> list[str]:
    """Say in one line each where the split comes from, unless it is the usual one, and whether it leaks."""
    notes = []
    if source != "content":
        counts = collections.Counter((row["split"], row["source"]) for row in rows)
        parts = []
        for name in splits_.SPLITS:
            given, taken, moved = (counts[name, of] for of in ("given", "content", "moved"))
            parts += [f"{name} {given + taken + moved}" + " (taken from train)" * bool(taken)]
            parts[-1] += f" ({moved} moved here)" * bool(moved)
        notes.append(f"the folder's own split is used: {', '.join(parts)}")
    group_of = {photo["path"]: photo["group"] for photo in run.table("photos.csv")}
    leaks = splits_.find_leaks([row | {"group": group_of[row["path"]]} for row in rows])
    if leaks:
        way = "split=given_grouped moves them" if source == "given" else "near_duplicates=group keeps them together"
        if source == "given" and run.config.near_duplicates == "ignore":
            way = "near_duplicates=group and split=given_grouped move them"
        notes.append(
            f"{len(leaks)} val and test photos have a near-duplicate in train, which inflates accuracy (first: "
            f"{leaks[0][0]} and {leaks[0][1]}); {way}"
        )
    return notes


def restore(run: Run):
    """Find the checkpoint and load the frozen body in the precision of the settings; write inventory.csv.

    Returns:
        bears_tl.inception.body.Body.
    """
    from bears_tl.inception import weights
    from bears_tl.inception.body import Body

    with run.stage("restore") as facts:
        found = weights.find(run.config.checkpoint, CHECKPOINT_FOLDER, run.config.seed)
        cache, config = artifacts.cache_folder(), run.config
        body = Body.open(found.path, found.fingerprint, config.precision, cache, config.engine)
        rows = [
            {"name": name, "shape": "x".join(map(str, shape)), "values": int(np.prod(shape))}
            for name, shape in found.variables.items()
        ]
        write_csv(run.path("inventory.csv"), INVENTORY_COLUMNS, rows)
        facts |= {"path": str(found.path.resolve()), "kind": found.kind, "fingerprint": found.fingerprint}
        facts |= {"precision": body.precision, "engine": body.engine}
    return body


def features(run: Run, body=None, ray: bool = False, address: str | None = None, photos_url: str | None = None) -> dict:
    """Compute the features of all photos, or read them from the cache.

    Args:
        run: a run whose photos are split and whose checkpoint is restored.
        body: the restored body; if None, it is loaded when features are missing from the cache.
        ray: compute on a Ray cluster instead of in this process.
        address: the address of the cluster, see `bears_tl.features.cluster.compute`.
        photos_url: the address of a copy of the photo folder to read from, such as s3://bucket/folder.

    Returns:
        Split to bears_tl.features.extract.FeatureTable: train [n, n views, 6144]; val and test [n, 1, 6144], center
        view only. Rows are in the order of `split_rows`.
    """
    with run.stage("features") as facts:
        if ray:
            _fill_by_cluster(run, artifacts.feature_cache(run), photos_url or artifacts.photo_folder(run), address)
        found = read_features(run, body, photos_url)
        views = artifacts.split_views(run)
        facts |= {"views": {name: [str(view) for view in views[name]] for name in views}}
    return found


def read_features(run: Run, body=None, photos_url: str | None = None) -> dict:
    """Do the work of `features` without recording a stage; see there."""
    from bears_tl.features.extract import extract

    folder, views = photos_url or artifacts.photo_folder(run), artifacts.split_views(run)
    load_body = functools.cache(lambda: body or artifacts.load_body(run))  # at most once, and only if needed
    cache = artifacts.feature_cache(run)
    return {
        name: extract(load_body, folder, rows, views[name], cache, f"Features of {name}")
        for name, rows in artifacts.split_rows(run).items()
    }


def _fill_by_cluster(run: Run, cache, folder: str | Path, address: str | None) -> None:
    """Compute missing features on a cluster, for all splits in one go, so that each worker opens the body once."""
    from bears_tl.features import cluster
    from bears_tl.features.extract import fill, find_missing
    from bears_tl.inception.body import pack

    facts, views = artifacts.checkpoint_facts(run), artifacts.split_views(run)

    def compute(missing):
        how = {"precision": facts["precision"], "engine": facts["engine"]}
        packed = pack(facts["path"], facts["fingerprint"], cache=artifacts.cache_folder(), **how)
        return cluster.compute(packed, folder, missing, **how, address=address)

    splits = artifacts.split_rows(run)
    missing = [todo for name, rows in splits.items() for todo in find_missing(rows, views[name], cache)]
    fill(cache, missing, compute)


def train(run: Run, found: dict | None = None):
    """Train the head on features; write head.npz, strangers.npz, history.csv and predictions.csv (val and test).

    Args:
        run: a run whose photos are split and whose checkpoint is restored.
        found: the result of `features`; computed if None.

    Returns:
        bears_tl.training.head.Head and the rows of history.csv.
    """
    from bears_tl.training.adam import HISTORY_COLUMNS
    from bears_tl.training.folds import assign
    from bears_tl.training.strangers import METHOD, learn, leave_classes_out

    found = found or features(run)
    with run.stage("train") as facts:
        rows = artifacts.split_rows(run)
        trained = fit_head(run, run.config, found)
        head, history, class_names = trained.head, trained.history, trained.head.class_names
        last = {name: table.of(LAST) for name, table in found.items()}
        found = {name: table.of(head.depths) for name, table in found.items()}
        labels = {name: labels_of(rows[name], class_names) for name in ("train", "val")}
        fold = assign([row["group"] for row in rows["train"]], labels["train"], run.config.seed)
        strangers = learn(last["train"], labels["train"], fold, last["val"], run.config.seed)
        head.save(run.path("head.npz"))
        write_csv(run.path("history.csv"), HISTORY_COLUMNS, history)
        strangers.save(run.path("strangers.npz"))
        predictions = []
        for name in ("val", "test"):
            photos = [row | of for row, of in zip(rows[name], strangers.answer_all(last[name]), strict=True)]
            predictions += to_rows(photos, head.classify(found[name]), class_names)
        write_csv(run.path("predictions.csv"), list(predictions[0]), predictions)
        facts |= {"parameters": head.parameters, "epochs": len(history)}
        facts |= {"features": trained.features, "weight_decay": trained.weight_decay, "trials": trained.trials}
        facts |= {"temperature": head.temperature, "temperature_interval": list(trained.temperature_interval)}
        left_out = leave_classes_out(last["train"], labels["train"], last["val"], labels["val"], run.config.seed)
        left_out = [{"class_name": class_names[row.pop("label")]} | row for row in left_out]
        facts |= {"strangers": {"method": METHOD, "threshold": strangers.threshold, "left_out": left_out}}
        facts |= {"settings": Origin.of(run.config, "views", "head", seed=run.config.seed).parts}
    return head, history


def fit_head(run: Run, config, found: dict | None = None):
    """Train a head on the run's photos with some settings; write nothing.

    Args:
        run: a run whose photos are split and whose checkpoint is restored.
        config: the settings to train with.
        found: the result of `features`; read if None.

    Returns:
        bears_tl.training.trainer.Trained.
    """
    from bears_tl.training.trainer import train_head

    rows, found = artifacts.split_rows(run), found or read_features(run)
    class_names = sorted({row["class_name"] for row in rows["train"]})
    labels = [labels_of(rows[name], class_names) for name in ("train", "val")]
    groups = [row["group"] for row in rows["train"]]
    return train_head(found["train"], labels[0], found["val"], labels[1], class_names, config, groups)


def find_learning_rate(run: Run, found: dict | None = None):
    """Run the learning-rate range test on a new head; write nothing.

    Args:
        run: a run whose photos are split and whose checkpoint is restored.
        found: the result of `features`; computed if None.

    Returns:
        bears_tl.training.finder.RangeTest.
    """
    from bears_tl.training.finder import range_test

    rows, found = artifacts.split_rows(run)["train"], found or features(run)
    class_names = sorted({row["class_name"] for row in rows})
    return range_test(found["train"].of(LAST), labels_of(rows, class_names), len(class_names), run.config)


def run_all(run: Run, say=print) -> dict:
    """Run every stage in one process.

    Args:
        run: the run.
        say: called with each line to print.

    Returns:
        The content of metrics.json.
    """
    check_checkpoint(run.config.checkpoint)
    check_edits(run.config.edits)
    check_packages(run.config)
    with run.alone():
        return _run_all(run, say)


def _run_all(run: Run, say) -> dict:
    from bears_tl.pipeline import evaluation

    before = run.result("train")
    say(f"photos: {fetch(run)}")
    taken = intake(run)
    counts = ", ".join(f"{count} {name}" for name, count in taken.per_class().items())
    say(f"intake: {len(taken.photos)} photos ({counts}), {len(taken.quarantined)} quarantined")
    split(run)
    say("split: " + ", ".join(f"{len(rows)} {name}" for name, rows in artifacts.split_rows(run).items()))
    for note in run.notes():
        say(f"note: {note}")
    body = restore(run)
    from bears_tl.inception.weights import KINDS

    facts = run.facts("restore")
    say(f"checkpoint: {facts['path']}, {KINDS[facts['kind']]}; {body.engine} computes in {body.precision}")
    if run.notice():
        say(run.notice())
    head, history = train(run, features(run, body))
    facts = run.facts("train")
    chosen = f"features {facts['features']}, weight decay {facts['weight_decay']:g}"
    say(f"head: {head.parameters} parameters, {chosen}, {len(history)} epochs")
    if before not in (None, run.result("train")) and any(run.path("notebooks").glob("*.ipynb")):
        say(f"{run.path('notebooks')}: these notebooks show an earlier training; run them again with `make train`")
    result = evaluation.evaluate(run, body)
    say(f"seconds: {', '.join(f'{name} {seconds:.1f}' for name, seconds in run.seconds().items())}")
    return result
