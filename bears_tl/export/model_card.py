"""MODEL_CARD.md of an export, after Mitchell et al. 2019 (https://arxiv.org/abs/1810.03993)."""

import collections
import csv
from pathlib import Path

from bears_tl.files import read_json
from bears_tl.hardware import versions_of
from bears_tl.judging.names import in_markdown
from bears_tl.pipeline import artifacts
from bears_tl.pipeline.run import Run

_MOST_CLASSES = 100
_LIMITS = """\
- It knows only the classes above, and always names one of them. The strangeness says whether a photo is like the
  training photos at all; 95 % of photos like them are accepted, and some strangers too.
- It looks at the largest centered square of a photo. What is outside it does not count.
- Test and training photos come from the same folder. Photos from other cameras, places or times may do worse.
- Probabilities were calibrated on validation photos of this folder; elsewhere they may be too sure.
- int8 and float16 answer a little differently: see parity.md.
"""


def make(run: Run) -> str:
    """Write the card as Markdown; names are untrusted and shown as code.

    Args:
        run: an evaluated run.

    Raises:
        InputError: metrics.json is missing, or the photo folder.
    """
    metrics, restored = read_json(run.existing("metrics.json")), run.facts("restore")
    parts = [
        "# Model card\n\nA classifier of photos: a frozen Inception v3 and one softmax layer, trained with bears_tl.\n",
        f"**{run.notice()}**\n" if run.notice() else "",
        "## Data\n" + _data(run),
        "## Licences\n" + _licences(artifacts.photo_folder(run), run.table("splits.csv")),
        "## How good it is\n" + _metrics(metrics),
        "## Photos that are not of these classes\n" + _strangers(metrics["strangers"]),
        "## Limits\n" + _LIMITS,
        f"## Made from\n- Weights: {restored['kind']}, SHA-256 `{restored['fingerprint']}`.\n" + _versions(run),
    ]
    return "\n".join(part for part in parts if part)


def _data(run: Run) -> str:
    counts = run.facts("split")["counts"]
    lines = ["| class | train | val | test |", "| --- | ---: | ---: | ---: |"]
    for name, count in list(counts.items())[:_MOST_CLASSES]:
        lines.append(
            f"| {in_markdown(name)} | {count.get('train', 0)} | {count.get('val', 0)} | {count.get('test', 0)} |"
        )
    if len(counts) > _MOST_CLASSES:
        lines.append(f"\n{len(counts) - _MOST_CLASSES} more classes are in contract.json.")
    facts = run.facts("intake")
    groups, corrections = facts["near_duplicate_groups"], facts["corrections"]
    lines.append(f"\nGroups of near-duplicates, each in one split: {groups}. Corrected labels: {corrections}.")
    return "\n".join(lines) + "\n"


def _licences(folder: Path, rows: list[dict]) -> str:
    """Count the licences of the photos used, from the sources.csv of `bears open-images`."""
    try:
        with open(folder / "sources.csv", encoding="utf-8", errors="surrogateescape", newline="") as file:
            licence_of = {row["path"]: row.get("licence") or "" for row in csv.DictReader(file)}
    except (OSError, csv.Error, KeyError):
        return (
            "Not recorded: the photo folder has no sources.csv. Ask who owns the photos before you share the model.\n"
        )
    counts = collections.Counter(licence_of.get(row["path"], "") for row in rows)
    return "".join(
        f"- {in_markdown(licence) if licence else 'not recorded'}: {count} photos\n"
        for licence, count in counts.most_common()
    )


def _metrics(metrics: dict) -> str:
    lines = []
    for split, title in ("test", "Test"), ("val", "Validation"):
        if part := metrics.get(split):
            low, high = part["interval"]
            right = part["count"] - part["errors"]
            lines.append(
                f"- {title}: {right} of {part['count']} photos right, {part['accuracy']:.1%} (95 % Wilson interval "
                f"{low:.1%} to {high:.1%}); cross-entropy {part['cross_entropy']:.4f} nats, calibration error "
                f"{part['ece']:.3f}"
            )
    lines += [
        "",
        "| class (test) | photos | recall | 95 % interval | precision |",
        "| --- | ---: | ---: | --- | ---: |",
    ]
    for name, row in list((metrics.get("test") or {}).get("per_class", {}).items())[:_MOST_CLASSES]:
        lines.append(_class_row(name, row))
    return "\n".join(lines) + "\n"


def _class_row(name: str, row: dict) -> str:
    interval = row.get("recall_interval") or (None, None)
    shown = [_percent(row.get("recall")), " to ".join(map(_percent, interval)), _percent(row.get("precision"))]
    return f"| {in_markdown(name)} | {row['count']} | {' | '.join(shown)} |"


def _strangers(facts: dict) -> str:
    lines = [f"Method: {facts['method']}; a photo is known up to {facts['threshold']:.4f}.\n"]
    for split, title in ("val", "validation"), ("test", "test"):
        if (part := facts.get(split)) and part["count"]:
            lines.append(f"- Accepted as known: {part['accepted']} of {part['count']} {title} photos.")
    for row in facts["left_out"]:
        if row["auroc"] is not None:
            lines.append(
                f"- With {in_markdown(row['class_name'])} left out of training, its photos are told from known ones "
                f"with an AUROC of {row['auroc']:.3f}; {row['accepted']} of {row['count']} would be accepted."
            )
    return "\n".join(lines) + "\n"


def _versions(run: Run) -> str:
    trained = ", ".join(" ".join(pair) for pair in run.receipt().get("versions", {}).items())
    exported = versions_of("bears_tl", "tensorflow", "openvino", "tf2onnx", "ai-edge-litert")
    exported = ", ".join(" ".join(pair) for pair in exported.items())
    return f"- Trained with: {trained}.\n- Exported with: {exported}.\n"


def _percent(share) -> str:
    return "\N{EN DASH}" if share is None else f"{share:.1%}"
