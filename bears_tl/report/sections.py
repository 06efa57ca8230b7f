"""The sections of the report, in their order: each reads what it shows from the run."""

from collections import Counter
from collections.abc import Callable

import numpy as np

from bears_tl.config import RunConfig
from bears_tl.files import read_csv
from bears_tl.judging import metrics, plots
from bears_tl.judging.predictions import Predictions
from bears_tl.photos.splits import count_splits
from bears_tl.report.contents import Contents, confidences

_MISTAKES, _UNSURE, _STRANGE, _SUSPECTED, _EXAMPLES, _FILES = 60, 12, 12, 40, 12, 50  # shown at most
_THRESHOLDS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)  # of the table; the slider has all
_SPLITS = {"test": "test", "val": "validation"}
_BASELINES = {"majority": "always the most frequent class", "all_cues": "all simple cues together"}


def verdict(contents: Contents) -> dict:
    """Say in one sentence how good the run is."""
    result = contents.metrics
    return {
        "sentence": sentence(result),
        "limits": result.get("gate", []),
        "warnings": result.get("warnings", []),
        "figure": contents.figure("verdict"),
    }


def sentence(result: dict) -> str:
    """Give the verdict of metrics.json: the accuracy with its interval, beside the best of the baselines."""
    test = result["test"]
    if not test["count"]:
        return "There is no test photo, so nobody knows how often this run is right."
    low, high = test["interval"]
    said = f"{test['accuracy']:.1%} of {test['count']} test photos are right (95 % interval {low:.1%} to {high:.1%})"
    known = [row for row in result.get("baselines", []) if row["accuracy"] is not None]
    if not known:
        return f"{said}."
    best = max(known, key=lambda row: row["accuracy"])
    than = {"clearly below": "clearly more than", "clearly above": "clearly fewer than"}
    compared = than.get(best["verdict"], "too few photos to tell it from")
    return f"{said}, {compared} {_baseline(best['name'])} ({best['accuracy']:.1%})."


def _baseline(name: str) -> str:
    return _BASELINES.get(name, f"{name.replace('_', ' ')} alone")


def photos(contents: Contents) -> dict:
    """Count the photos, show one of each class, and say which network was trained on them."""
    run, intake = contents.run, contents.facts("intake")
    if run.path("splits.csv").is_file():
        counts, rows = count_splits(contents.splits), contents.splits
    else:
        classes = Counter(row["class_name"] for row in run.table("photos.csv"))
        counts, rows = {name: {"good photos": count} for name, count in classes.items()}, []
    train = {row["class_name"]: row for row in rows[::-1] if row["split"] == "train"}
    return {
        "source": run.config.photos,
        "counts": counts,
        "splits": list(next(iter(counts.values()), {})),
        "examples": contents.cards([train[name] for name in sorted(train)][:_EXAMPLES]) if train else [],
        "intake": intake,
        "notes": run.notes(),
        "restore": contents.facts("restore"),
        "train": contents.facts("train"),
    }


def accuracy(contents: Contents) -> dict:
    """List the accuracies with their intervals, in total and by class."""
    result = contents.metrics
    parts = [{"name": name, **result[key]} for key, name in _SPLITS.items() if key in result]
    shown = next((part for part in parts if part["count"]), parts[0])
    return {"parts": parts, "shown": shown["name"], "classes": shown["per_class"]}


def confusion(contents: Contents) -> dict:
    """Show which classes are taken for which."""
    result = contents.metrics
    names, test = result["class_names"], result["test"]
    few = len(names) <= plots.MOST_CLASSES
    matrix = np.array(test["confusion"])
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    rows = [
        (name, [(int(count), round(10 * share)) for count, share in zip(*row, strict=True)])
        for name, *row in zip(names, matrix, shares, strict=True)
    ]
    return {
        "names": names,
        "count": test["count"],
        "rows": rows if few else [],
        "figure": None if few else contents.figure("confusion"),
        "pairs": metrics.confusions(test, names)[:_FILES],
    }


def mistakes(contents: Contents) -> dict:
    """Show the photos that are wrong with a high probability, and those that are right with a low one."""
    found = contents.judged
    places, shares = confidences(found)
    cards = [_card(found, i) | {"confidence": float(share)} for i, share in zip(places, shares, strict=True)]
    right = np.array([card["predicted"] == card["class_name"] for card in cards], bool)
    wrong = [card for card, is_right in zip(cards, right, strict=True) if not is_right]
    unsure = [card for card, is_right in zip(cards, right, strict=True) if is_right][::-1]
    return {
        "split": contents.judged_split,
        "count": len(found),
        "without_numbers": len(found) - len(cards),
        "wrong": len(wrong),
        "mistakes": contents.cards(wrong[:_MISTAKES]),
        "unsure": contents.cards(unsure[:_UNSURE]),
        "thresholds": [_at_threshold(threshold, shares, right) for threshold in _THRESHOLDS],
        # Rounded down, so that a photo stays below any threshold that its probability is below
        "data": {"confidence": (np.floor(shares * 1e4) / 1e4).tolist(), "right": right.astype(int).tolist()},
    }


def _card(found: Predictions, place: int) -> dict:
    row, shares = found.rows[place], found.probabilities[place]
    true = found.class_names.index(row["class_name"]) if row["class_name"] in found.class_names else None
    return row | {"of_true": None if true is None else float(shares[true])}


def _at_threshold(threshold: float, shares: np.ndarray, right: np.ndarray) -> dict:
    """Judge the photos with at least this probability; the others are not answered."""
    answered = shares >= threshold
    count, errors = int(answered.sum()), int((answered & ~right).sum())
    return {
        "threshold": threshold, "count": count, "errors": errors,
        "accepted": count / len(shares) if len(shares) else None, "error": errors / count if count else None,
    }  # fmt: skip


def reliability(contents: Contents) -> dict:
    """Compare probabilities with how often they are right."""
    result = contents.metrics
    calibration = result["calibration"]
    rows = [
        {"name": name, "before": calibration["before"].get(key, {}), "after": result[key]}
        for key, name in _SPLITS.items()
    ]
    return {
        "temperature": calibration["temperature"],
        "interval": calibration["interval"],
        "rows": rows,
        "figure": contents.figure("reliability"),
    }


def strangers(contents: Contents) -> dict:
    """Say which photos are not like the training photos, and how well such photos are found."""
    found = contents.judged
    rows = [row | {"strangeness": float(row["strangeness"])} for row in found.rows if row.get("strangeness")]
    rows = sorted((row for row in rows if np.isfinite(row["strangeness"])), key=lambda row: -row["strangeness"])
    summary = contents.metrics.get("strangers") if contents.run.path("metrics.json").is_file() else None
    summary = summary or contents.facts("train").get("strangers", {})
    left_out = summary.get("left_out", [])
    asked = {key: sum(int(row[key]) for row in left_out) for key in ("count", "accepted")}
    return {
        "split": contents.judged_split,
        "summary": summary,
        "missed": asked if 2 * asked["accepted"] > asked["count"] else None,
        "parts": [(name, summary[key]) for key, name in _SPLITS.items() if key in summary],
        "strangest": contents.cards(rows[:_STRANGE]),
    }


def labels(contents: Contents) -> dict:
    """Show photos whose label may be wrong, the most suspect first."""
    path = contents.run.path("labels.csv")
    if not path.is_file():
        return {"absent": True, "run": str(contents.run.folder)}
    rows = read_csv(path, ["path", "class_name"])
    return {"absent": False, "count": len(rows), "rows": contents.cards(rows[:_SUSPECTED])}


def quarantine(contents: Contents) -> dict:
    """List the files that were set aside, with the reasons."""
    rows = contents.run.table("quarantine.csv")
    reasons = Counter(row["reason"] for row in rows)
    return {"count": len(rows), "reasons": reasons.most_common(), "rows": rows[:_FILES]}


def cues(contents: Contents) -> dict:
    """Compare the run with what simple cues reach."""
    if not contents.run.path("metrics.json").is_file():
        rows = contents.run.table("cues.csv")
        return {"run": None, "rows": [_cue(row) for row in rows], "warnings": contents.facts("audit").get("warnings")}
    result = contents.metrics
    rows = result.get("baselines") or [_cue(row) for row in contents.run.table("cues.csv")]
    rows = [row | {"name": _baseline(row["name"])} for row in rows]
    return {"run": result["test"], "rows": rows, "warnings": result.get("warnings", [])}


def _cue(row: dict) -> dict:
    interval = [float(row["interval_low"]), float(row["interval_high"])]
    return {"name": row["cue"], "accuracy": float(row["accuracy"]), "interval": interval, "verdict": ""}


def settings(contents: Contents) -> dict:
    """Show how long each stage took, how the training went, and all settings."""
    run, usual = contents.run, RunConfig().as_dict()
    features = contents.facts("train")
    return {
        "seconds": {name: seconds for name, seconds in run.seconds().items() if name != "report"},
        "figure": contents.figure("learning_curves") if contents.run.path("metrics.json").is_file() else None,
        "trials": features.get("trials", []),
        "chosen": (features.get("features"), features.get("weight_decay")),
        "settings": [(name, value, value != usual[name]) for name, value in run.config.as_dict().items()],
    }


def versions(contents: Contents) -> dict:
    """List machine, versions and hashes."""
    receipt = contents.run.receipt()
    files = {name: digest for entry in receipt["stages"].values() for name, digest in entry["sha256"].items()}
    files.pop("report.html", None)
    return {
        "machine": receipt.get("machine", {}),
        "versions": receipt.get("versions", {}),
        "checkpoint": contents.facts("restore").get("fingerprint", ""),
        "files": dict(sorted(files.items())),
    }


SECTIONS: dict[str, tuple[str, Callable[[Contents], dict]]] = {
    "verdict": ("Verdict", verdict),
    "photos": ("What it was trained on", photos),
    "accuracy": ("Accuracy", accuracy),
    "confusion": ("Confusion", confusion),
    "mistakes": ("Sure and wrong, unsure and right", mistakes),
    "reliability": ("Reliability", reliability),
    "strangers": ("Strangers", strangers),
    "labels": ("Suspected labels", labels),
    "quarantine": ("Quarantine", quarantine),
    "cues": ("Simple cues", cues),
    "settings": ("Time and settings", settings),
    "versions": ("Versions and hashes", versions),
}
