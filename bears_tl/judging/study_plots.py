"""Figures of the studies: learning rates, variants in pairs, the ladder, and what transfer buys."""

import textwrap

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bears_tl.judging import paired
from bears_tl.judging.names import visible
from bears_tl.judging.plots import BLUE, GREY, ORANGE, SPLIT_COLOURS, finish, new_figure


def learning_rate_range(
    learning_rates: np.ndarray, losses: np.ndarray, smoothed: np.ndarray, suggestions: dict[str, float], note: str = ""
) -> Figure:
    """Draw a learning-rate range test: the loss over the rate, and the suggested rates.

    Args:
        learning_rates: float [k], rising.
        losses: float [k], of each step.
        smoothed: float [k].
        suggestions: name of a rule to the learning rate that it suggests.
        note: a line below, in red.
    """
    figure, ((axis,),) = new_figure(figsize=(6.5, 3.8))
    axis.plot(learning_rates, losses, ".", color=GREY, markersize=4, label="loss of each step")
    axis.plot(learning_rates, smoothed, color=BLUE, label="smoothed")
    for (name, rate), style in zip(suggestions.items(), ("--", ":", "-."), strict=False):
        axis.axvline(rate, color=ORANGE, linestyle=style, label=f"{name}: {rate:.2g}")
    axis.set_xscale("log")
    axis.set_ylim(0, 1.5 * smoothed[0])  # what lies above has diverged
    axis.set_xlabel("learning rate, log scale")
    axis.set_ylabel("cross-entropy (nats)")
    axis.legend(frameon=False, fontsize=8, loc="lower left")
    shown = (
        f"Line chart for learning rates from {learning_rates[0]:.2g} to {learning_rates[-1]:.2g}. The smoothed loss "
        f"is lowest at {learning_rates[int(np.argmin(smoothed))]:.2g}. Suggested: "
        + ", ".join(f"{rate:.2g} ({name})" for name, rate in suggestions.items())
    )
    return finish(figure, "Range test: the loss as the learning rate rises", shown, note)


def paired_changes(rows: list[dict], loss: str, note: str = "") -> Figure:
    """Draw rows of `paired.compare`, the base first: photos each variant wins and loses, and the change of its loss.

    Args:
        rows: values may be strings, those of a CSV file.
        loss: which loss, such as "validation loss".
        note: a line below, in red.
    """
    base, *rows = rows
    wrong = [f"{row['errors']} of {row['photos']} wrong" for row in (base, *rows)]
    names = [
        textwrap.fill(visible(paired.label(row)), 40) + f"\n{count}, p = {float(row['p_value']):.2g}"
        for row, count in zip(rows, wrong[1:], strict=True)
    ]
    places = np.arange(len(rows))[::-1]
    height = 1.6 + 0.17 * sum(2 + name.count("\n") for name in names)
    figure, ((photos, change),) = new_figure(1, 2, figsize=(10, height + 0.3), sharey=True)
    most = max([3, *(int(row[name]) for row in rows for name in ("only_base_right", "only_variant_right"))])
    for name, sign, side, colour in (("base", -1, "right", ORANGE), ("variant", 1, "left", BLUE)):
        counts = np.array([int(row[f"only_{name}_right"]) for row in rows])
        photos.barh(places, sign * counts, 0.6, color=colour, label=f"only the {name} is right")
        for place, count in zip(places, counts, strict=True):
            photos.text(sign * count, place, f" {count} ", ha=side, va="center", fontsize=8)
    photos.set_xlim(-1.25 * most, 1.25 * most)
    photos.xaxis.set_major_locator(MaxNLocator(integer=True))
    photos.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    photos.set_xlabel(f"test photos of base and variant, all seeds\n(base: {wrong[0]})")
    photos.set_yticks(places, names, fontsize=8)
    photos.legend(frameon=False, fontsize=8, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    mean, low, high = (  # there is no change where base and variant share no photos
        np.array([float("nan" if row[name] == "" else row[name]) for row in rows])
        for name in ("loss_change", "change_low", "change_high")
    )
    spread = np.maximum([mean - low, high - mean], 0)
    change.errorbar(mean, places, xerr=spread, fmt="o", color=BLUE, ecolor=GREY, capsize=3)
    change.set_xlabel(f"{loss} minus the base's (nats): mean, lowest and\nhighest seed; left of the line is better")
    change.set_ylim(-0.6, len(rows) - 0.4)
    change.xaxis.set_major_locator(MaxNLocator(4))
    for axis in (photos, change):
        axis.axvline(0, color=GREY, linewidth=1)
    shown = "; ".join(" ".join(name.split()) for name in names)
    shown = f"Two charts, one row per variant. Base: {wrong[0]}" + (f"; {shown}" if shown else "")
    return finish(figure, "Each variant against the base, on the same test photos", shown, note)


def ladder(rows: list[dict], note: str = "") -> Figure:
    """Draw rows of ladder.csv: the accuracy of each rung on val and test, with intervals."""
    figure, ((axis,),) = new_figure(figsize=(max(4.5, 1.5 + 0.75 * len(rows)), 3.9))
    for shift, split in ((-0.1, "val"), (0.1, "test")):
        colour = SPLIT_COLOURS[split]
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
    axis.set_xlabel("lowest trained block, and the number of trained values")
    axis.set_ylabel("accuracy, with 95 % interval")
    axis.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    tests = ", ".join(f"{row['rung']} {float(row['test_accuracy']):.1%}" for row in rows)
    shown = f"Dots with error bars, one pair per rung. Test accuracy: {tests}"
    return finish(figure, "Accuracy by how much of the network is trained", shown, note)


def transfer_gain(rows: list[dict], classes: int, note: str = "") -> Figure:
    """Draw rows of learning_curves.csv: test accuracy over training photos per class, transfer and scratch.

    Dots are seeds, and lines connect their means. Bars are Wilson's 95 % interval, its ends averaged over seeds.

    Args:
        rows: all with the same classes and the same test photos.
        classes: how many; a size in photos per class is the number of training photos divided by it.
        note: a line below, in red.
    """
    figure, ((axis,),) = new_figure(figsize=(7.5, 4.4))
    ways = {"transfer": ("a head on the frozen body", BLUE), "scratch": ("a network from scratch", ORANGE)}
    sizes = sorted({int(row["train_photos"]) for row in rows})
    last = {}
    for way, (label, colour) in ways.items():
        of_way = [row for row in rows if row["road"] == way]
        beside = (0.985 if way == "transfer" else 1.015) / classes  # keeps the two bars of a size apart
        axis.plot(
            [int(row["train_photos"]) * beside for row in of_way],
            [float(row["test_accuracy"]) for row in of_way],
            "o", color=colour, markersize=3.5, alpha=0.5,
        )  # fmt: skip
        means, lows, highs = (
            np.array([
                np.mean([float(row[column]) for row in of_way if int(row["train_photos"]) == size]) for size in sizes
            ])
            for column in ("test_accuracy", "test_interval_low", "test_interval_high")
        )  # fmt: skip
        reach = np.maximum([means - lows, highs - means], 0)
        axis.errorbar(np.array(sizes) * beside, means, reach, color=colour, linewidth=2, elinewidth=1, capsize=3)
        last[way] = (means[-1], label, colour)
    higher, lower = sorted(last.values(), key=lambda end: end[0], reverse=True)
    apart = higher[0] - lower[0] > 0.12  # otherwise the labels are moved apart
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
    axis.set_xlabel("training photos per class (mean), log scale")
    axis.set_ylabel(f"accuracy on {rows[0]['test_count']} test photos, with 95 % interval")
    ends = " and ".join(f"{label} {share:.1%}" for share, label, _ in (higher, lower))
    shown = f"Two curves with error bars over {len(sizes)} sizes. With all photos: {ends}"
    return finish(figure, "Test accuracy by number of training photos", shown, note)
