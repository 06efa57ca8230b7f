"""Figures of the reasons for predictions: class maps over photos, and training photos beside them."""

import textwrap

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgba
from matplotlib.figure import Figure

from bears_tl.judging.plots import BLUE, ORANGE, TITLE_COLUMNS, finish, fit, new_figure

# Places that say nothing show the grey photo; the more one says, the less of the photo shows through.
_COLOURS = [to_rgba(BLUE, 0.8), to_rgba("white", 0), to_rgba(ORANGE, 0.8)]
_AGAINST_TO_FOR = LinearSegmentedColormap.from_list("against to for", _COLOURS)
_MAP = "orange: for, blue: against\nlogit, less the classes' mean"


def reasons(
    photos: np.ndarray,
    titles: list[str],
    maps: np.ndarray,
    nearest: list[list[tuple[np.ndarray, str]]],
    note: str = "",
    title: str = "",
) -> Figure:
    """Draw one row per photo: the photo, the photo under its class map, and the training photos most alike.

    Each map has a colour scale of its own, in logits, because the question is where in the photo its class comes from.

    Args:
        photos: uint8 [n, height, width, 3] in [0, 255].
        titles: one per photo; may hold line breaks.
        maps: float [n, side, side], see `bears_tl.pipeline.reasons.explain`.
        nearest: per photo some training photos, uint8 [height, width, 3], with a title each.
        note: a line below, in red.
        title: of the whole figure.
    """
    columns = 2 + max(map(len, nearest))
    figure, axes = new_figure(len(photos), columns, figsize=(1.95 * columns + 0.5, 2.2 * len(photos) + 0.4))
    for axis in axes.flat:
        axis.axis("off")
        axis.set(xticks=[], yticks=[])  # Matplotlib would lay them out, unseen, and take twice the time
    for row, photo, text, values, beside in zip(axes, photos, titles, maps, nearest, strict=True):
        for axis, (pixels, name) in zip(row, [(photo, text), (photo.mean(axis=2), _MAP), *beside], strict=False):
            axis.imshow(pixels, cmap="gray", vmin=0, vmax=255)
            axis.set_title(fit(name, TITLE_COLUMNS), fontsize=8)
        height, width, _ = photo.shape
        limit = _limit(values)
        extent = {"extent": (-0.5, width - 0.5, height - 0.5, -0.5), "interpolation": "bilinear"}
        drawn = row[1].imshow(values, _AGAINST_TO_FOR, Normalize(-limit, limit), **extent)
        bar = figure.colorbar(drawn, cax=row[1].inset_axes((1.03, 0, 0.05, 1)), ticks=[-limit, 0, limit])
        bar.ax.set_yticklabels([f"{-limit:.2g}", "0", f"{limit:.2g}"], fontsize=7)
    shown = [
        f"{' '.join(text.split())}: most comes from {place(values)}; most alike: "
        + ", ".join(" ".join(name.split()) for _, name in beside)
        for text, values, beside in zip(titles, maps, nearest, strict=True)
    ]
    shown = "Photos with their class maps and the training photos most alike. " + ". ".join(shown)
    return finish(figure, title, textwrap.shorten(shown, 1200), note)


def colours(values: np.ndarray) -> np.ndarray:
    """Give each place of a map, float [side, side], its colour in `reasons`: float64 [side, side, 4] in [0, 1]."""
    return _AGAINST_TO_FOR(Normalize(-_limit(values), _limit(values))(values))


def place(values: np.ndarray) -> str:
    """Say in which ninth of a map, float [side, side], the largest value is."""
    row, column = (3 * place // len(values) for place in np.unravel_index(values.argmax(), values.shape))
    words = (("top", "", "bottom")[row], ("left", "", "right")[column])
    return f"the {' '.join(filter(None, words)) or 'centre'}"


def _limit(values: np.ndarray) -> float:
    """Return the end of a map's colour scale, in logits."""
    return float(np.abs(values).max()) or 1.0
