"""Judge a trained run: the audit of simple cues, metrics, suspected labels, figures, other runs, cross-validation."""

import contextlib
import shlex

import numpy as np

from bears_tl.errors import InputError, LimitError
from bears_tl.files import read_json, write_csv, write_json
from bears_tl.judging import calibration, metrics, paired
from bears_tl.judging.baselines import baselines
from bears_tl.judging.limits import judge_limits
from bears_tl.judging.limits import sentence as limits_sentence
from bears_tl.judging.predictions import Predictions, labels_of
from bears_tl.photos import splits as splits_
from bears_tl.photos.facts import FactCache
from bears_tl.pipeline import artifacts, reasons, stages, suspects
from bears_tl.pipeline.run import Run

AUDIT_PHOTOS = 5000  # enough for intervals of +-2.5 points; more would take minutes to read
_CLASSES_SHOWN = 10  # in a summary


def audit(run: Run) -> list[dict]:
    """Measure how well colour, border, image size and file size alone predict the class; write cues.csv.

    Args:
        run: a trained run.

    Returns:
        Rows of cues.csv, one per cue and one for `all_cues` together. Large sets are sampled down to AUDIT_PHOTOS.
    """
    from bears_tl.judging.cues import CUE_COLUMNS, cue_warnings, judge_cue
    from bears_tl.photos.cues import measure_cues
    from bears_tl.training.cues import classify

    photos = {row["path"]: row for row in run.table("photos.csv")}
    predicted = {row["path"]: row["predicted"] for row in run.table("predictions.csv")}
    rows = sorted(artifacts.draw(run, run.table("splits.csv"), AUDIT_PHOTOS), key=lambda row: row["path"])
    class_names = sorted({row["class_name"] for row in rows})
    labels, splits = labels_of(rows, class_names), np.array([row["split"] for row in rows])
    body = np.mean([predicted[row["path"]] == row["class_name"] for row in rows if row["split"] == "test"])
    with run.stage("audit") as facts:
        known = FactCache(artifacts.cache_folder() / "intake.sqlite")
        with contextlib.closing(known) as cache:
            cues = measure_cues(artifacts.photo_folder(run), [photos[row["path"]] for row in rows], cache)
        cues["all_cues"] = np.column_stack(list(cues.values()))
        found = []
        for cue, numbers in cues.items():
            shares = classify(numbers, labels, splits, len(class_names))
            found.append(judge_cue(cue, numbers.shape[1], labels[splits == "test"], shares, float(body)))
        write_csv(run.path("cues.csv"), CUE_COLUMNS, found)
        facts |= {"warnings": cue_warnings(found)}
    return found


def evaluate(run: Run, body=None) -> dict:
    """Evaluate predictions.csv; write metrics.json, confusions.csv, labels.csv and figures/.

    The audit runs first if cues.csv is missing.
    A figure that cannot be drawn costs a warning, not the numbers. So do labels that cannot be checked.

    Args:
        run: a trained run.
        body: the restored body; if None, it is loaded for the figure of reasons.

    Returns:
        The content of metrics.json.

    Raises:
        InputError: the run is not trained, or its split, head or predictions were changed since.
    """
    from bears_tl.judging import plots
    from bears_tl.judging.reliability import draw_reliability
    from bears_tl.judging.verdict import draw_verdict

    trained, found = artifacts.train_facts(run), artifacts.predictions(run)
    run.check("split")
    run.check("train")
    tests, class_names, notice = found.of_split("test"), found.class_names, run.notice()
    if "audit" not in run.seconds() or not run.path("cues.csv").is_file():
        audit(run)
    with run.stage("evaluate"):
        rows, parts = run.table("splits.csv"), {name: found.of_split(name) for name in ("val", "test")}
        groups = {row["path"]: row["group"] for row in rows}
        judged = {name: _judge(part, groups, run.config.seed) for name, part in parts.items()}
        restored_from, cues = run.facts("restore"), run.table("cues.csv")
        known = {name: {"count": len(part), "accepted": part.count_known()} for name, part in parts.items()}
        result = judged | {
            "baselines": baselines(rows, tests, judged["test"], cues),
            "calibration": _before_calibration(parts, trained),
            "checkpoint": {name: restored_from[name] for name in ("kind", "fingerprint")},
            "class_names": class_names,
            "features": {name: trained[name] for name in ("features", "weight_decay", "trials")},
            "gate": judge_limits(judged["test"], known["test"], run.config),
            "notice": notice,
            "photos": run.facts("intake"),
            "seconds": run.seconds(),
            "strangers": trained["strangers"] | known,
            "warnings": run.facts("audit")["warnings"],
        }
        write_json(run.path("metrics.json"), result)
        confusions = metrics.confusions(judged["test"], class_names)
        write_csv(run.path("confusions.csv"), metrics.CONFUSION_COLUMNS, confusions)
        test = judged["test"]
        figures = {
            "verdict": lambda: draw_verdict(test, tests, cues, notice),
            "learning_curves": lambda: plots.learning_curves(run.table("history.csv"), notice),
            "confusion": lambda: plots.confusion(test, class_names, notice),
            "cues": lambda: plots.cue_accuracies(cues, notice),
            "reliability": lambda: draw_reliability(result["calibration"]["before"]["test"], test, notice),
            "splits": lambda: plots.count_bars(splits_.count_splits(rows)),
            "worst": lambda: artifacts.prediction_figure(run, tests.worst(6)),
            "reasons": lambda: reasons.draw_predictions(run, tests.worst(3), body),
            "six_random": lambda: artifacts.prediction_figure(run, artifacts.draw_predictions(run, tests, 6)),
        }
        failed = [_try_to_find_suspects(run)]
        failed += [plots.try_to_save(draw, run.path("figures") / f"{name}.png") for name, draw in figures.items()]
        if any(failed):
            result["warnings"] = [*result["warnings"], *filter(None, failed)]
            write_json(run.path("metrics.json"), result)
    return result


def _try_to_find_suspects(run: Run) -> str:
    """Write labels.csv; return a warning, without labels.csv, if the features are gone from the cache."""
    run.path("labels.csv").unlink(missing_ok=True)
    try:
        suspects.find_suspects(run)
    except InputError as error:
        return f"labels.csv is not written, because {error}"
    return ""


def _judge(part: Predictions, groups: dict[str, str], seed: int) -> dict:
    """Judge the photos of one split: `metrics.judge`, the bootstrap interval and the calibration."""
    labels, hits = part.labels(), np.array([row["predicted"] == row["class_name"] for row in part.rows], bool)
    interval = metrics.bootstrap_interval(hits, [groups[row["path"]] for row in part.rows], seed)
    judged = metrics.judge(labels, part.probabilities, part.class_names) | {"bootstrap_interval": list(interval)}
    return judged | calibration.judge_calibration(labels, part.probabilities)


def _before_calibration(parts: dict[str, Predictions], trained: dict) -> dict:
    """Judge the calibration without the temperature."""
    before = {}
    for name, part in parts.items():
        shares = np.maximum(part.probabilities.astype(np.float64), 1e-45) ** trained["temperature"]
        shares /= shares.sum(axis=1, keepdims=True)
        before[name] = calibration.judge_calibration(part.labels(), shares)
    return {"temperature": trained["temperature"], "interval": trained["temperature_interval"], "before": before}


def check_limits(result: dict) -> None:
    """Check the limits in the settings of an evaluated run.

    Raises:
        LimitError: the test falls short of one.
    """
    if short := limits_sentence(result["gate"]):
        raise LimitError(short)


def compare(run: Run, other: Run) -> str:
    """Compare two trained runs on the photos that both have in their tests, in one sentence.

    Raises:
        InputError: a run is not trained, or they share no test photo.
    """
    hits = [_test_hits(each) for each in (run, other)]
    both = sorted(hits[0].keys() & hits[1].keys())
    if not both:
        raise InputError(
            f"runs {str(run.folder)!r} and {str(other.folder)!r} have no test photo in common: compare runs on "
            "the same photos and with the same seed"
        )
    return paired.duel(*(([found[photo] for photo in both]) for found in hits), (str(run.folder), str(other.folder)))


def _test_hits(run: Run) -> dict[str, bool]:
    """Return whether each test photo, by its SHA-256, is right."""
    sha256 = {row["path"]: row["sha256"] for row in run.table("splits.csv")}
    tests = artifacts.predictions(run).of_split("test").rows
    return {sha256[row["path"]]: row["predicted"] == row["class_name"] for row in tests}


def cross_validate(run: Run, folds: int) -> dict:
    """Judge heads on all photos of a run, each by a head trained on the other folds, with the features of the run.

    Features are those in the cache: of training photos the first view, of others the center view.

    Args:
        run: a trained run.
        folds: 2 or more.

    Returns:
        The metrics of all photos, see `metrics.judge`.

    Raises:
        InputError: a class has too few photos.
    """
    from bears_tl.training import folds as folds_
    from bears_tl.training.trainer import FEATURES, targets_of, widths_of

    trained, splits_of = artifacts.train_facts(run), artifacts.split_rows(run)
    rows = [row for name in splits_of for row in splits_of[name]]
    found, depths = stages.read_features(run), FEATURES[trained["features"]]
    x = np.concatenate([found[name].of(depths)[:, :1] for name in splits_of])
    class_names = sorted({row["class_name"] for row in rows})
    labels = labels_of(rows, class_names)
    fold = folds_.assign([row["group"] for row in rows], labels, run.config.seed, folds)
    if fold is None:
        raise InputError("a class has a single photo or scene, so it cannot be divided into folds: add photos to it")
    targets, widths = targets_of(labels, len(class_names), run.config), widths_of(found["train"].of(depths))
    (shares,) = folds_.out_of_fold(x, labels, targets, widths, fold, [trained["weight_decay"]]).values()
    return metrics.judge(labels, shares, class_names)


def _features_sentence(features: dict) -> str:
    """Say which features were chosen, and by how much."""
    best = {}
    for trial in features["trials"]:
        name = trial["features"]
        best[name] = min(best.get(name, trial), trial, key=lambda row: row["cross_entropy"])
    tried = ", ".join(f"{name} {row['cross_entropy']:.4f}" for name, row in best.items())
    return f"features: {features['features']}" + (f" (loss on folds of the training photos: {tried})" if tried else "")


def summary(run: Run, command: str = "bears") -> list[str]:
    """Summarize an evaluated run in a few lines: photos, test result, warnings, folder, and what to do next.

    Args:
        run: the run.
        command: how to call `bears`.
    """
    result = read_json(run.path("metrics.json"))
    classes = [f"{name} {count}" for name, count in result["photos"]["per_class"].items()]
    more = [f"and {len(classes) - _CLASSES_SHOWN} more"] if len(classes) > _CLASSES_SHOWN else []
    named = ", ".join(classes[:_CLASSES_SHOWN] + more)
    wrong = suspects.read_suspects(run)
    return [
        f"photos: {result['photos']['count']} in {len(classes)} classes ({named})",
        f"test: {metrics.sentence(result['test'])}",
        _features_sentence(result["features"]),
        *filter(None, [result["notice"]]),
        *(
            [f"labels: {len(wrong)} photo{'s' * (len(wrong) > 1)} to look at, see {run.path('labels.csv')}"]
            if wrong
            else []
        ),
        *(f"warning: {warning}" for warning in result["warnings"]),
        f"run: {run.folder}",
        f"next: open {run.path('report.html')}; classify photos with "
        f"`{command} predict FILE_OR_FOLDER --run {shlex.quote(str(run.folder))}`",
    ]
