"""Figures. Each function draws one and returns it; `save` writes and closes it."""

import base64
import html
import io
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from bears_tl.files import write_bytes
from bears_tl.judging.metrics import confusions
from bears_tl.judging.names import shorten, visible

# One palette for all figures. Blue and orange differ for colour-blind readers too; orange highlights, grey is context.
BLUE, ORANGE, GREY, LIGHT, RED = "#2a6f97", "#e07a1f", "#8d99ae", "#eef0f3", "#b00020"
SPLIT_COLOURS = {"train": GREY, "val": ORANGE, "test": BLUE}
_WHITE_TO_BLUE = LinearSegmentedColormap.from_list("white to blue", ["white", BLUE])
# Fonts with characters that DejaVu Sans lacks (Chinese, Japanese, Korean, emoji), of Linux, macOS and Windows.
_MORE_FONTS = [
    "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Droid Sans Fallback", "IPAexGothic", "Noto Emoji", "Symbola",
    "Arial Unicode MS", "Hiragino Sans", "Apple SD Gothic Neo", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic",
    "Segoe UI Emoji",
]  # fmt: skip
MOST_CLASSES = 30  # with more classes, a figure no longer names or numbers each of them
TITLE_COLUMNS = 29  # of a line above a photo with its predictions
_MOST_BARS = 5  # per photo; one more for its true class
_MOST_CELLS = 400  # per side of a large confusion matrix, about two pixels each


class NotebookFigure(Figure):
    """A figure with an alt text. Notebooks show it as HTML: JupyterLab and nbconvert ignore the alt text of a PNG."""

    alt = ""

    def _repr_html_(self) -> str:
        source = base64.b64encode(_rendered(self)).decode()
        return f'<img alt="{html.escape(self.alt)}" src="data:image/png;base64,{source}">'


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, completely or not at all, and close it."""
    write_bytes(path, to_png(figure))


def try_to_save(draw: Callable[[], Figure], path: Path) -> str:
    """Draw a figure and save it; if that fails, no file of that name stays, and nothing is raised.

    Args:
        draw: draws the figure.
        path: the PNG to write.

    Returns:
        One line that says why there is no figure; empty if there is one.
    """
    others = plt.get_fignums()
    try:
        path.unlink(missing_ok=True)
        save(draw(), path)
    except Exception as error:  # a figure may fail in any way, and is worth less than what else its caller does
        reason = visible(textwrap.shorten(f"{type(error).__name__}: {error}", 300))
        return f"the figure {path.name} is missing, because it could not be drawn ({reason})"
    finally:
        for number in set(plt.get_fignums()).difference(others):
            plt.close(number)
    return ""


def to_png(figure: Figure) -> bytes:
    """Render a figure as PNG and close it, so that a notebook does not show it as well."""
    try:
        return _rendered(figure, dpi=110, metadata={"Software": None, "Description": figure.alt})
    finally:
        plt.close(figure)


def _rendered(figure: Figure, **options) -> bytes:
    png = io.BytesIO()
    figure.savefig(png, format="png", bbox_inches="tight", **options)
    return png.getvalue()


def photo_grid(
    photos: list[np.ndarray], titles: list[str], columns: int = 6, title: str = "", side_inches: float = 2.1
) -> Figure:
    """Draw photos in rows.

    Args:
        photos: uint8 [height, width, 3] in [0, 255], of any sizes.
        titles: one per photo; may hold line breaks. Empty ones take no space.
        columns: photos per row.
        title: of the whole figure.
        side_inches: width of one photo, and largest height.
    """
    rows = -(-len(photos) // columns)
    titles = [fit(text, int(12.5 * side_inches)) for text in titles]
    lines = max(text.count("\n") + bool(text) for text in titles)
    shapes = [np.shape(photo) for photo in photos]
    height = side_inches * float(np.clip(max(shape[0] / shape[1] for shape in shapes), 0.4, 1))
    size = (side_inches * columns, (height + 0.2 * lines) * rows + (0.4 if title else 0))
    figure, axes = new_figure(rows, columns, figsize=size)
    for axis in axes.flat:
        axis.axis("off")
    for axis, photo, text in zip(axes.flat, photos, titles, strict=False):
        axis.imshow(photo)
        if text:
            axis.set_title(text, fontsize=9)
    names = ", ".join(dict.fromkeys(" ".join(text.split()) for text in titles if text))
    shown = f"{len(photos)} pictures" + (f": {names}" if names else "")
    return finish(figure, title, textwrap.shorten(shown, 400))


def filter_grid(kernels: np.ndarray, title: str = "The filters of one layer", columns: int = 8) -> Figure:
    """Draw the filters of a convolution on RGB, each stretched to the full range of levels.

    Args:
        kernels: float [height, width, 3, n filters].
        title: of the whole figure.
        columns: filters per row.
    """
    filters = np.moveaxis(kernels, -1, 0)
    low, high = filters.min(axis=(1, 2, 3), keepdims=True), filters.max(axis=(1, 2, 3), keepdims=True)
    pictures = ((filters - low) / (high - low + 1e-9) * 255).astype(np.uint8)
    return photo_grid(list(pictures), [""] * len(pictures), columns, title, side_inches=0.9)


def count_bars(counts: dict[str, dict[str, int]], title: str = "Photos per class and split") -> Figure:
    """Draw counts (class name to split to count) as grouped bars; many classes as areas, the largest class first."""
    if len(counts) > MOST_CLASSES:
        return _count_areas(counts, title)
    splits = list(next(iter(counts.values())))
    crowded = len(counts) > 8
    figure, ((axis,),) = new_figure(figsize=(min(1.5 + 1.7 * len(counts), 15), 3.4))
    places = np.arange(len(counts))
    for i, split in enumerate(splits):
        heights = [counts[name][split] for name in counts]
        bars = axis.bar(places + (i - 1) * 0.27, heights, 0.25, label=split, color=SPLIT_COLOURS[split])
        axis.bar_label(bars, fontsize=6 if crowded else 8, rotation=90 if crowded else 0, padding=1)
    axis.set_xticks(places, [shorten(name, 20) for name in counts])
    if crowded:
        axis.tick_params(axis="x", labelsize=8, labelrotation=30)
        for label in axis.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axis.set_ylabel("photos")
    axis.legend(frameon=False, fontsize=8, ncols=len(splits), loc="lower right", bbox_to_anchor=(1, 1))
    shown = [f"{name}: " + ", ".join(f"{n} {split}" for split, n in count.items()) for name, count in counts.items()]
    return finish(figure, title, "Bar chart. " + "; ".join(shown))


def _count_areas(counts: dict[str, dict[str, int]], title: str) -> Figure:
    totals = {name: sum(count.values()) for name, count in counts.items()}
    names = sorted(totals, key=totals.get, reverse=True)
    splits = list(counts[names[0]])
    figure, ((axis,),) = new_figure(figsize=(9, 3.4))
    heights = [[counts[name][split] for name in names] for split in splits]
    colours = [SPLIT_COLOURS[split] for split in splits]
    axis.stackplot(range(len(names)), heights, labels=splits, colors=colours, step="mid", linewidth=0)
    places = np.linspace(0, len(names) - 1, 5).astype(int)
    axis.set_xticks(places, [f"{shorten(names[place], 16)}\n{totals[names[place]]}" for place in places], fontsize=8)
    axis.set_xlim(-0.5, len(names) - 0.5)
    axis.set_xlabel(f"{len(names)} classes, the largest first; five are named, with their number of photos")
    axis.set_ylabel("photos")
    axis.legend(frameon=False, fontsize=8, ncols=len(splits), loc="lower right", bbox_to_anchor=(1, 1))
    ends = [f"{name} with {totals[name]} photos" for name in (names[0], names[-1])]
    return finish(figure, title, f"Area chart of {len(names)} classes, from {ends[0]} to {ends[1]}")


def learning_curves(history: list[dict], note: str = "") -> Figure:
    """Draw loss and accuracy of training and validation by epoch, with the epoch whose weights were kept."""
    epochs = [int(row["epoch"]) for row in history]
    val_losses = [float(row["val_loss"]) for row in history]
    kept = epochs[int(np.argmin(val_losses))]
    figure, axes = new_figure(1, 2, figsize=(9, 3.6))
    labels = ("cross-entropy (nats), log scale", "accuracy")
    for axis, quantity, label in zip(axes.flat, ("loss", "accuracy"), labels, strict=True):
        for split in ("train", "val"):
            values = [float(row[f"{split}_{quantity}"]) for row in history]
            axis.plot(epochs, values, color=SPLIT_COLOURS[split], label=split)
        axis.axvline(kept, color="black", linewidth=1, linestyle="--", label=f"kept: epoch {kept}")
        axis.set_xlabel("epoch")
        axis.set_ylabel(label)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0, 0].set_yscale("log", nonpositive="clip")  # most of the fall would be hidden in a linear one
    axes[0, 1].set_ylim(top=1.01)
    axes[0, 1].legend(loc="lower right", edgecolor="none")  # on white: the dashed line may pass behind it
    shown = (
        f"Two line charts over {len(epochs)} epochs. The validation loss starts at {val_losses[0]:.2g} and is lowest, "
        f"{min(val_losses):.2g}, at epoch {kept}"
    )
    return finish(figure, "Loss and accuracy during training", shown, note)


def fold_trials(trials: list[dict], note: str = "") -> Figure:
    """Draw the loss on held-out folds against weight decay, one line per kind of features.

    Args:
        trials: features, weight_decay and cross_entropy (in nats) of each, see `trainer.TRIAL_COLUMNS`.
        note: a line below, in red.
    """
    figure, ((axis,),) = new_figure(figsize=(7, 3.5))
    for name, colour in (("last", GREY), ("depths", BLUE)):
        rows = sorted((row for row in trials if row["features"] == name), key=lambda row: row["weight_decay"])
        points = [row["weight_decay"] for row in rows], [row["cross_entropy"] for row in rows]
        axis.plot(*points, "o-", color=colour, markersize=4, label=name) if rows else None
    shown = "no choice was tried"
    if trials:
        best = min(trials, key=lambda row: row["cross_entropy"])
        place = best["weight_decay"], best["cross_entropy"]
        axis.plot(*place, "o", markersize=12, color=ORANGE, fillstyle="none", markeredgewidth=2, label="chosen")
        axis.legend(frameon=False)
        shown = f"the lowest loss, {place[1]:.4f} nats, has features {best['features']}, weight decay {place[0]:g}"
    decays = sorted({row["weight_decay"] for row in trials})
    axis.set_xscale("log")
    axis.set_xticks(decays, [f"{decay:g}" for decay in decays])
    axis.set_xticks([], minor=True)
    axis.invert_xaxis()
    axis.set_xlabel("weight decay, from strong to weak")
    axis.set_ylabel("loss on held-out folds, nats")
    return finish(figure, "Choosing features and weight decay", shown, note)


def cue_accuracies(rows: list[dict], note: str = "") -> Figure:
    """Draw rows of cues.csv: the accuracy of each cue with its interval, and the body's as a line."""
    figure, ((axis,),) = new_figure(figsize=(6.5, 1.4 + 0.45 * len(rows)))
    places = np.arange(len(rows))[::-1]
    shares, low, high = (
        np.array([float(row[name]) for row in rows]) for name in ("accuracy", "interval_low", "interval_high")
    )
    reach = np.maximum([shares - low, high - shares], 0)
    axis.barh(places, shares, 0.6, color=BLUE, xerr=reach, ecolor="black", error_kw={"linewidth": 1}, capsize=3)
    body = float(rows[0]["body_accuracy"])
    axis.axvline(body, color=ORANGE, label=f"the body: {body:.1%}")
    names = [row["cue"].replace("_", " ") for row in rows]
    labels = [f"{name}  {share:.1%}" for name, share in zip(names, shares, strict=True)]
    axis.set_yticks(places, labels)
    axis.set_xlim(0, 1.01)
    axis.set_xlabel("accuracy on the test photos, with 95 % interval")
    axis.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1, 1))
    shown = f"Bar chart. {', '.join(labels)}; the body {body:.1%}"
    return finish(figure, "Accuracy from simple cues alone", shown, note)


def confusion(judged: dict, class_names: list[str], note: str = "") -> Figure:
    """Draw the confusion matrix that `metrics.judge` computed: counts, coloured by share of the true class.

    With many classes there are colours alone. Each cell of a very large matrix is the largest of a square block.
    """
    matrix = np.array(judged["confusion"])
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    draw = _draw_counts if len(class_names) <= MOST_CLASSES else _draw_shares
    figure, axis = draw(matrix, shares, [shorten(name, 24) for name in class_names])
    axis.set_xlabel("predicted class")
    axis.set_ylabel("true class")
    axis.spines[:].set_visible(True)
    right = f"{judged['count'] - judged['errors']} of {judged['count']} photos right"
    found = confusions(judged, class_names)
    mistakes = [f"{row['count']} {row['class_name']} predicted as {row['predicted']}" for row in found[:10]]
    mistakes += [f"and {len(found) - 10} more pairs of classes"] if len(found) > 10 else []
    return finish(figure, f"Confusion matrix: {right}", "; ".join(mistakes) or "No mistakes", note)


def _draw_counts(matrix: np.ndarray, shares: np.ndarray, names: list[str]) -> tuple[NotebookFigure, Axes]:
    size = 2.2 + (0.75 if len(names) <= 10 else 0.45) * len(names)
    figure, ((axis,),) = new_figure(figsize=(size, size * 0.9 + 0.3))
    axis.imshow(shares, cmap=_WHITE_TO_BLUE, vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(matrix):
        if count or len(names) <= 10:  # hundreds of zeros would hide the other numbers
            axis.text(j, i, str(count), ha="center", va="center", color="white" if shares[i, j] > 0.5 else "black")
    axis.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axis.set_yticks(range(len(names)), names)
    return figure, axis


def _draw_shares(matrix: np.ndarray, shares: np.ndarray, names: list[str]) -> tuple[NotebookFigure, Axes]:
    figure, ((axis,),) = new_figure(figsize=(9, 7.8))
    block = -(-len(names) // _MOST_CELLS)
    shares = np.pad(shares, (0, -len(names) % block))
    cells = shares.reshape(len(shares) // block, block, -1, block).max(axis=(1, 3))
    ends = (-0.5, len(shares) - 0.5)
    # The square root makes a share of 1 % visible beside one of 100 %
    drawn = axis.imshow(
        cells, cmap=_WHITE_TO_BLUE, norm=PowerNorm(0.5, 0, 1), interpolation="nearest", extent=(*ends, *ends[::-1])
    )
    label = "share of the true class" + (f", the largest of {block} x {block} cells" if block > 1 else "")
    figure.colorbar(drawn, label=label, ticks=[0, 0.01, 0.1, 0.25, 0.5, 1], shrink=0.6)
    places = np.linspace(0, len(names) - 1, 20).astype(int)
    axis.set_xticks(places, [names[place] for place in places], rotation=90, fontsize=7)
    axis.set_yticks(places, [names[place] for place in places], fontsize=7)
    return figure, axis


def predictions(
    photos: list[np.ndarray],
    titles: list[str],
    probabilities: np.ndarray,
    class_names: list[str],
    note: str = "",
    title: str = "",
    labels: np.ndarray | None = None,
) -> Figure:
    """Draw photos with one bar per class below each; of many classes only the most probable ones and the true one.

    Args:
        photos: uint8 [height, width, 3] in [0, 255].
        titles: one per photo.
        probabilities: float [n, n classes] in [0, 1].
        class_names: in the order of the columns.
        note: a line below, in red.
        title: of the whole figure.
        labels: int [n] in [0, n classes), the true class of each photo; None if unknown.
    """
    columns = min(6, len(photos))
    rows = -(-len(photos) // columns)
    titles = [fit(text, TITLE_COLUMNS) for text in titles]
    lines = max(text.count("\n") for text in titles)
    chosen = [_chosen(shares, None if labels is None else labels[i]) for i, shares in enumerate(probabilities)]
    most = max(map(len, chosen))
    bar_height = 0.28 * most
    figure, axes = new_figure(
        2 * rows,
        columns,
        figsize=(2.2 * columns, rows * (2.4 + 0.2 * lines + bar_height) + (0.4 if title else 0)),
        gridspec_kw={"height_ratios": [2.2, bar_height] * rows},
    )
    for axis in axes.flat:
        axis.axis("off")
    for i, (photo, text) in enumerate(zip(photos, titles, strict=True)):
        above, below = axes[2 * (i // columns), i % columns], axes[2 * (i // columns) + 1, i % columns]
        above.imshow(photo)
        above.set_anchor("S")
        above.set_title(text, fontsize=9)
        shares, places = probabilities[i][chosen[i]], most - 1 - np.arange(len(chosen[i]))
        below.barh(places, np.ones(len(places)), color=LIGHT)
        below.barh(places, shares, color=[ORANGE if share == probabilities[i].max() else GREY for share in shares])
        for place, j, share in zip(places, chosen[i], shares, strict=True):
            below.text(0.02, place, f"{shorten(class_names[j], 22)} {share:.1%}", va="center", fontsize=8)
        below.set_xlim(0, 1)
        below.set_ylim(-0.6, most - 0.4)
    bars = "one bar per class" if most == len(class_names) else "bars of the most probable classes"
    shown = f"{len(photos)} photos with {bars}: " + "; ".join(" ".join(text.split()) for text in titles)
    return finish(figure, title, textwrap.shorten(shown, 400), note)


def _chosen(shares: np.ndarray, label: int | None) -> list[int]:
    """Choose the classes to show of a photo: all of a few, else the most probable ones, falling, and the true one."""
    if len(shares) <= _MOST_BARS + 1:
        return list(range(len(shares)))
    first = np.argsort(-shares, kind="stable")[:_MOST_BARS].tolist()
    return first if label is None or label in first else [*first, int(label)]


def new_figure(rows: int = 1, columns: int = 1, **options) -> tuple[NotebookFigure, np.ndarray]:
    """Start a figure that has an alt text, with axes [rows, columns]; `finish` completes it."""
    warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # of a name; a box is drawn instead
    figure, axes = plt.subplots(
        rows, columns, FigureClass=NotebookFigure, squeeze=False, layout="constrained", **options
    )
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def finish(figure: NotebookFigure, title: str, shown: str, note: str = "") -> Figure:
    """Add the title and, below in red, the note; make the alt text of title, what is shown, and note.

    All text is drawn as it is, because a name may hold what Matplotlib would take for a formula ($10_$20).
    """
    if title:
        figure.suptitle(title, fontsize=11)
    if note:
        figure.text(0.5, -0.01, note, ha="center", va="top", fontsize=8, color=RED, wrap=True)
    figure.alt = visible(". ".join(text.rstrip(".") for text in (title, shown, note) if text) + ".")
    for text in figure.findobj(Text):
        # Numbers of axes are still empty. Matplotlib writes them when it draws; on log axes they are formulas.
        if text.get_text():
            text.set_text("\n".join(map(visible, text.get_text().split("\n"))))
            text.set_parse_math(False)
            if not text.get_text().isascii():
                text.set_fontfamily([*text.get_fontfamily(), *_more_fonts()])
    return figure


def fit(text: str, columns: int) -> str:
    """Shorten each line of a title."""
    return "\n".join(shorten(line, columns) for line in text.split("\n"))


def _more_fonts() -> list[str]:
    """Return the installed ones of _MORE_FONTS; Matplotlib would complain about others."""
    installed = set(fontManager.get_font_names())
    return [name for name in _MORE_FONTS if name in installed]
