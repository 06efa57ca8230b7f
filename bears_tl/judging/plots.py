"""Figures. Each function draws one and gives it back; `save` writes and closes it."""

import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bears_tl.files import atomic_path
from bears_tl.judging import paired

BLUE, ORANGE, GREY = "#2a6f97", "#e07a1f", "#8d99ae"


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, whole or not at all, and close it."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)


def photo_grid(photos: list[np.ndarray], titles: list[str], columns: int = 6, title: str = "") -> Figure:
    """Draw photos in rows.

    Args:
        photos: uint8 [height, width, 3] in [0, 255], of any sizes.
        titles: one a photo; may hold line breaks.
        columns: photos in a row.
        title: of the whole figure.
    """
    rows = -(-len(photos) // columns)
    lines = max(text.count("\n") for text in titles) + 1
    size = (2.1 * columns, (2.1 + 0.2 * lines) * rows + (0.4 if title else 0))
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for axis, photo, text in zip(axes.flat, photos, titles, strict=False):
        axis.imshow(photo)
        axis.set_title(text, fontsize=9)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def count_bars(counts: dict[str, dict[str, int]], title: str = "") -> Figure:
    """Draw counts as grouped bars: class name to split to count."""
    splits = list(next(iter(counts.values())))
    figure, axis = plt.subplots(figsize=(1.5 + 1.7 * len(counts), 3.2), layout="constrained")
    places = np.arange(len(counts))
    for i, (split, colour) in enumerate(zip(splits, (BLUE, GREY, ORANGE), strict=False)):
        bars = axis.bar(
            places + (i - 1) * 0.27, [counts[name][split] for name in counts], 0.25, label=split, color=colour
        )
        axis.bar_label(bars, fontsize=8)
    axis.set_xticks(places, list(counts))
    axis.set_ylabel("photos")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, ncols=len(splits), loc="lower right", bbox_to_anchor=(1, 1))
    axis.set_title(title, fontsize=10, loc="left")
    return figure


def learning_curves(history: list[dict], note: str = "") -> Figure:
    """Draw loss and accuracy of training and validation by epoch, with the epoch whose weights were kept."""
    epochs = [int(row["epoch"]) for row in history]
    kept = epochs[int(np.argmin([float(row["val_loss"]) for row in history]))]
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.3), layout="constrained")
    for axis, quantity, label in zip(axes, ("loss", "accuracy"), ("cross-entropy, nats", "accuracy"), strict=True):
        for split, colour in (("train", BLUE), ("val", ORANGE)):
            axis.plot(epochs, [float(row[f"{split}_{quantity}"]) for row in history], color=colour, label=split)
        axis.axvline(kept, color=GREY, linewidth=1, linestyle="--", label=f"kept: epoch {kept}")
        axis.set_xlabel("epoch")
        axis.set_ylabel(label)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylim(bottom=0)
    axes[1].set_ylim(top=1.01)
    axes[1].legend(frameon=False, loc="lower right")
    add_note(figure, note)
    return figure


def learning_rate_range(
    learning_rates: np.ndarray, losses: np.ndarray, smoothed: np.ndarray, suggestions: dict[str, float], note: str = ""
) -> Figure:
    """Draw a learning-rate range test: the loss over the rate, and the suggested rates.

    Args:
        learning_rates: float [k], rising.
        losses: float [k], of each step.
        smoothed: float [k].
        suggestions: what it is to a learning rate.
        note: a line below, in red.
    """
    figure, axis = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
    axis.plot(learning_rates, losses, ".", color=GREY, markersize=4, label="of each step")
    axis.plot(learning_rates, smoothed, color=BLUE, label="smoothed")
    for (name, rate), style in zip(suggestions.items(), ("--", ":", "-."), strict=False):
        axis.axvline(rate, color=ORANGE, linestyle=style, label=f"{name}: {rate:.2g}")
    axis.set_xscale("log")
    axis.set_ylim(0, 1.5 * smoothed[0])  # what lies above has diverged
    axis.set_xlabel("learning rate")
    axis.set_ylabel("cross-entropy, nats")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="lower left")
    add_note(figure, note)
    return figure


def cue_accuracies(rows: list[dict], note: str = "") -> Figure:
    """Draw rows of cues.csv: the accuracy of each cue with its interval, and the body's as a line."""
    figure, axis = plt.subplots(figsize=(6.5, 1.2 + 0.45 * len(rows)), layout="constrained")
    places = np.arange(len(rows))[::-1]
    shares, low, high = (
        np.array([float(row[name]) for row in rows]) for name in ("accuracy", "interval_low", "interval_high")
    )
    axis.barh(
        places, shares, 0.6, color=BLUE, xerr=np.maximum([shares - low, high - shares], 0), ecolor=GREY, capsize=3
    )
    body = float(rows[0]["body_accuracy"])
    axis.axvline(body, color=ORANGE, label=f"the body: {body:.1%}")
    names = [row["cue"].replace("_", " ") for row in rows]
    axis.set_yticks(places, [f"{name}  {share:.1%}" for name, share in zip(names, shares, strict=True)])
    axis.set_xlim(0, 1.01)
    axis.set_xlabel("accuracy on the test photos, with 95 % interval")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1, 1))
    add_note(figure, note)
    return figure


def paired_changes(rows: list[dict], loss: str, note: str = "") -> Figure:
    """Draw rows of `paired.compare`, the base first: photos that a variant wins and loses, and how it changes the loss.

    Args:
        rows: values may be strings, those of a CSV file.
        loss: which, such as "validation loss".
        note: a line below, in red.
    """
    base, *rows = rows
    wrong = [f"{row['errors']} of {row['photos']} wrong" for row in (base, *rows)]
    names = [
        textwrap.fill(paired.label(row), 40) + f"\n{count}, p = {float(row['p_value']):.2g}"
        for row, count in zip(rows, wrong[1:], strict=True)
    ]
    places = np.arange(len(rows))[::-1]
    height = 1.6 + 0.17 * sum(2 + name.count("\n") for name in names)
    figure, (photos, change) = plt.subplots(1, 2, figsize=(10, height), sharey=True, layout="constrained")
    most = max([3, *(int(row[name]) for row in rows for name in ("only_base_right", "only_variant_right"))])
    for name, sign, side, colour in (("base", -1, "right", ORANGE), ("variant", 1, "left", BLUE)):
        counts = np.array([int(row[f"only_{name}_right"]) for row in rows])
        photos.barh(places, sign * counts, 0.6, color=colour, label=f"right with the {name} only")
        for place, count in zip(places, counts, strict=True):
            photos.text(sign * count, place, f" {count} ", ha=side, va="center", fontsize=8)
    photos.set_xlim(-1.25 * most, 1.25 * most)
    photos.xaxis.set_major_locator(MaxNLocator(integer=True))
    photos.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    photos.set_xlabel(f"test photos of base and variant, all seeds\n(base: {wrong[0]})")
    photos.set_yticks(places, names, fontsize=8)
    photos.legend(frameon=False, fontsize=8, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    mean, low, high = (  # where base and variant have nothing in common there is no change
        np.array([float("nan" if row[name] == "" else row[name]) for row in rows])
        for name in ("loss_change", "change_low", "change_high")
    )
    spread = np.maximum([mean - low, high - mean], 0)
    change.errorbar(mean, places, xerr=spread, fmt="o", color=BLUE, ecolor=GREY, capsize=3)
    change.set_xlabel(f"{loss} less the base's, nats; mean, lowest\nand highest seed (left of the line is better)")
    change.set_ylim(-0.6, len(rows) - 0.4)
    change.xaxis.set_major_locator(MaxNLocator(4))
    for axis in (photos, change):
        axis.axvline(0, color=GREY, linewidth=1)
        axis.spines[["top", "right"]].set_visible(False)
    add_note(figure, note)
    return figure


def ladder(rows: list[dict], note: str = "") -> Figure:
    """Draw rows of ladder.csv: the accuracy of each rung on val and test, with intervals."""
    figure, axis = plt.subplots(figsize=(max(4.5, 1.5 + 0.75 * len(rows)), 3.6), layout="constrained")
    for shift, split, colour in ((-0.1, "val", ORANGE), (0.1, "test", BLUE)):
        shares, low, high = (
            np.array([float(row[f"{split}_{name}"]) for row in rows])
            for name in ("accuracy", "interval_low", "interval_high")
        )
        label = f"{split}, {rows[0][f'{split}_count']} photos"
        reach = np.maximum([shares - low, high - shares], 0)
        places = np.arange(len(rows)) + shift
        axis.errorbar(places, shares, reach, fmt="o", color=colour, ecolor=colour, capsize=3, label=label)
    counts = [int(row["trained_values"]) for row in rows]
    sizes = [f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count:,}" for count in counts]
    names = [f"{row['rung']}\n{size}" for row, size in zip(rows, sizes, strict=True)]
    axis.set_xticks(range(len(rows)), names, fontsize=8)
    axis.set_xlim(-0.5, len(rows) - 0.5)
    axis.set_xlabel("trained from here up, and how many values that are")
    axis.set_ylabel("accuracy, with 95 % interval")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    add_note(figure, note)
    return figure


def transfer_gain(rows: list[dict], classes: int, note: str = "") -> Figure:
    """Draw rows of learning_curves.csv: test accuracy over training photos per class, transfer and scratch.

    Dots are seeds, lines go through their means; bars are Wilson's 95 % interval, its ends averaged over seeds.

    Args:
        rows: of one number of classes and one test.
        classes: how many; where all photos train, a class has this part of them on average.
        note: a line below, in red.
    """
    figure, axis = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
    ways = {"transfer": ("a head on the frozen body", BLUE), "scratch": ("a network from scratch", ORANGE)}
    sizes = sorted({int(row["train_photos"]) for row in rows})
    last = {}
    for road, (label, colour) in ways.items():
        of_road = [row for row in rows if row["road"] == road]
        beside = (0.985 if road == "transfer" else 1.015) / classes  # or the bars would lie on each other
        axis.plot(
            [int(row["train_photos"]) * beside for row in of_road],
            [float(row["test_accuracy"]) for row in of_road],
            "o", color=colour, markersize=3.5, alpha=0.5,
        )  # fmt: skip
        means, lows, highs = (
            np.array([
                np.mean([float(row[column]) for row in of_road if int(row["train_photos"]) == size]) for size in sizes
            ])
            for column in ("test_accuracy", "test_interval_low", "test_interval_high")
        )  # fmt: skip
        reach = np.maximum([means - lows, highs - means], 0)
        axis.errorbar(np.array(sizes) * beside, means, reach, color=colour, linewidth=2, elinewidth=1, capsize=3)
        last[road] = (means[-1], label, colour)
    higher, lower = sorted(last.values(), key=lambda end: end[0], reverse=True)
    apart = higher[0] - lower[0] > 0.12  # or the labels would lie on each other
    for (share, label, colour), shift in ((higher, 14), (lower, -14)):
        place = (sizes[-1] / classes, share)
        axis.annotate(
            f"{label}\n{share:.1%} with all photos", place, (10, 0 if apart else shift), color=colour, fontsize=9,
            textcoords="offset points", va="center", annotation_clip=False,
        )  # fmt: skip
    axis.axhline(1 / classes, color=GREY, linewidth=1, linestyle=":")
    axis.text(sizes[0] / classes, 1 / classes + 0.01, "guessing", color=GREY, fontsize=8, va="bottom")
    axis.set_xscale("log")
    axis.set_xticks([size / classes for size in sizes], [f"{size / classes:.3g}" for size in sizes])
    axis.minorticks_off()
    axis.set_ylim(0, 1.02)
    axis.set_xlabel("training photos a class (on average), log scale")
    axis.set_ylabel(f"accuracy on {rows[0]['test_count']} test photos, with 95 % interval")
    axis.set_title("What transfer buys", fontsize=11, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    add_note(figure, note)
    return figure


def confusion(judged: dict, class_names: list[str], note: str = "") -> Figure:
    """Draw the confusion matrix of what `metrics.judge` gave: counts, coloured by share of the true class."""
    matrix = np.array(judged["confusion"])
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    size = 2.2 + 0.75 * len(class_names)
    figure, axis = plt.subplots(figsize=(size, size * 0.9), layout="constrained")
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(matrix):
        axis.text(j, i, str(count), ha="center", va="center", color="white" if shares[i, j] > 0.5 else "black")
    axis.set_xticks(range(len(class_names)), class_names, rotation=30, ha="right")
    axis.set_yticks(range(len(class_names)), class_names)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    axis.set_title(f"{judged['count'] - judged['errors']} of {judged['count']} right", fontsize=10)
    add_note(figure, note)
    return figure


def predictions(
    photos: list[np.ndarray], titles: list[str], probabilities: np.ndarray, class_names: list[str], note: str = ""
) -> Figure:
    """Draw photos with a bar a class below each.

    Args:
        photos: uint8 [height, width, 3] in [0, 255].
        titles: one a photo.
        probabilities: float [n, n classes] in [0, 1].
        class_names: in the order of the columns.
        note: a line below, in red.
    """
    columns = min(6, len(photos))
    rows = -(-len(photos) // columns)
    bar_height = 0.28 * len(class_names)
    figure, axes = plt.subplots(
        2 * rows,
        columns,
        figsize=(2.2 * columns, rows * (2.4 + bar_height)),
        squeeze=False,
        layout="constrained",
        gridspec_kw={"height_ratios": [2.2, bar_height] * rows},
    )
    for axis in axes.flat:
        axis.axis("off")
    for i, (photo, title) in enumerate(zip(photos, titles, strict=True)):
        above, below = axes[2 * (i // columns), i % columns], axes[2 * (i // columns) + 1, i % columns]
        above.imshow(photo)
        above.set_title(title, fontsize=9)
        places = np.arange(len(class_names))[::-1]
        colours = [ORANGE if j == probabilities[i].argmax() else GREY for j in range(len(class_names))]
        below.barh(places, np.ones(len(places)), color="#eef0f3")
        below.barh(places, probabilities[i], color=colours)
        for place, name, share in zip(places, class_names, probabilities[i], strict=True):
            below.text(0.02, place, f"{name} {share:.1%}", va="center", fontsize=8)
        below.set_xlim(0, 1)
    add_note(figure, note)
    return figure


def add_note(figure: Figure, note: str) -> None:
    """Write a notice below a figure, in red; nothing where there is none."""
    if note:
        figure.text(0.5, -0.01, note, ha="center", va="top", fontsize=8, color="#b00020", wrap=True)
