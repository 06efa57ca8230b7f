"""Show photos with their labels in a notebook, to find and correct wrong labels by hand."""

import base64
import html
import io
import warnings
from collections.abc import Callable
from pathlib import Path

import ipywidgets as widgets
import numpy as np
from PIL import Image

from bears_tl.errors import InputError
from bears_tl.photos.edits import add_edit, apply_edits, read_edits, undo_edit
from bears_tl.photos.image import read_image
from bears_tl.photos.storage import decode_photo
from bears_tl.pipeline import artifacts
from bears_tl.pipeline.run import Run
from bears_tl.threads import map_ahead

PHOTOS_PER_PAGE = 12
MAX_CAPTION = 30  # characters of a line above a photo in the static picture
THUMBNAIL_PX = 360  # the longer side; twice the displayed size, for high-resolution screens
# One line of text, cut off with an ellipsis. Unlike `white-space: nowrap`, it lets the box become narrow.
_ONE_LINE = (
    "display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 1; "
    "overflow: hidden; word-break: break-all; line-height: 1.4"
)
_PLACE = ("label", "given_split")  # of a row, see `_folder_class`
_IMAGE = "width: 100%; height: 100%; object-fit: contain"


class Cleaner(widgets.VBox):
    """A widget that shows photos page by page, each with a list to choose its class from.

    The list starts with the label that the next intake will assign. Only the photos of the current page are read.
    Choices are kept when the page changes. "Save corrections" appends them to the table named by the run's setting
    `edits`; "Undo" reverts the last correction saved here. The run itself does not change. Errors appear in a line at
    the end. Where widgets cannot be shown, as on GitHub, the notebook has a picture of the page instead. Uses only what
    ipywidgets 7 and 8 have in common, because Colab has version 7; the picture needs version 8.
    """

    def __init__(self, run: Run, rows: list[dict], folder: str | Path | None = None):
        """Show the first page of photos.

        Args:
            run: the run that the photos belong to.
            rows: rows of photos.csv, or other rows with path and sha256. What speaks against a label (`doubt`) is shown
                with it, see `suspects.suspects_first`; nothing is chosen for the reader. Photos that are not in a class
                folder yet have the class that they get as `label`, see `sorting.unsure_first`.
            folder: what the paths are relative to, if not the photo folder of the run.
        """
        self.run, self.rows, self.page, self.folder = run, list(rows), 0, folder
        self.chosen: dict[str, tuple[dict, str]] = {}  # sha256 -> row with the current label, and the chosen class
        self.saved: list[tuple[dict, str]] = []  # the same pairs, in the order in which they were saved
        self.cards, self.grid = [], widgets.GridBox()
        self.grid.layout.grid_template_columns = "repeat(auto-fill, minmax(180px, 1fr))"
        self.grid.layout.grid_gap = "12px"
        self.place, self.message = widgets.HTML(), widgets.HTML()
        self.back = self._button("Previous", lambda: self._go_to(self.page - 1))
        self.forth = self._button("Next", lambda: self._go_to(self.page + 1))
        self.why = widgets.Text(description="Why:", placeholder="a few words for readers of the table")
        self.why.layout.width, self.why.style.description_width = "400px", "initial"
        self.save, self.undo = self._button("Save corrections", self._save), self._button("Undo", self._undo)
        pages = [widgets.HBox([self.back, self.place, self.forth])] if len(self.rows) > PHOTOS_PER_PAGE else []
        actions = widgets.HBox([self.why, self.save, self.undo], layout=widgets.Layout(flex_flow="row wrap"))
        super().__init__([self.grid, *pages, actions, self.message])
        self._do(lambda: self._go_to(0))

    def _repr_mimebundle_(self, **kwargs) -> dict:
        """Add a picture of the page, for viewers without widgets; a viewer shows only one of the two."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if self.grid.children:
            bundle["image/png"] = base64.b64encode(self._picture()).decode()
        return bundle

    def _picture(self) -> bytes:
        """Draw the photos of the page with their paths and classes: a PNG."""
        from bears_tl.judging.plots import photo_grid, to_png

        photos = [_pixels(card.picture) for card in self.grid.children]
        titles = [f"{_caption(card.choice.value)}\n{_caption(card.row['path'])}" for card in self.grid.children]
        title = self.place.value if len(self.rows) > len(photos) else ""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # characters that Matplotlib's font lacks are drawn as boxes
            return to_png(photo_grid(photos, titles, title=title))

    def _go_to(self, page: int) -> str:
        """Show a page with the current labels."""
        if not self.cards:
            self.class_names = sorted({*self.run.facts("intake")["per_class"], *map(_folder_class, self.rows)})
            self.cards = [_Card(self.class_names, self._choose) for _ in self.rows[:PHOTOS_PER_PAGE]]
        rows = self.rows[page * PHOTOS_PER_PAGE : (page + 1) * PHOTOS_PER_PAGE]
        folder, edits = Path(self.folder or artifacts.photo_folder(self.run)), read_edits(self.run.config.edits)
        known = [{name: row.get(name, "") for name in ("path", "sha256", "doubt", *_PLACE)} for row in rows]
        found = [row | {"class_name": _folder_class(row)} for row in known]
        labelled = apply_edits(found, edits, set(self.class_names))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # intake already handled what Pillow warns of
            pictures = list(map_ahead(lambda row: _thumbnail(folder, row), rows, PHOTOS_PER_PAGE))
        self.page, last = page, max(0, len(self.rows) - 1) // PHOTOS_PER_PAGE
        self.back.disabled, self.forth.disabled = page == 0, page == last
        self.place.value = f"page {page + 1} of {last + 1}"
        for card, row, picture in zip(self.cards, labelled, pictures, strict=False):
            card.show(row, picture, self.chosen.get(row["sha256"], (row, row["class_name"]))[1])
        self.grid.children = self.cards[: len(rows)]
        return "" if rows else "There are no photos to look at."

    def _choose(self, row: dict, to: str) -> None:
        if to == row["class_name"]:
            self.chosen.pop(row["sha256"], None)
        else:
            self.chosen[row["sha256"]] = (row, to)
        self.save.description = f"Save corrections ({len(self.chosen)})" if self.chosen else "Save corrections"

    def _save(self) -> str:
        path, before = self.run.config.edits, len(self.saved)
        for row, to in list(self.chosen.values()):
            try:
                add_edit(path, row["sha256"], row["class_name"], to, self.why.value)
            except InputError as error:
                self._go_to(self._page_of(row))
                raise InputError(f"{len(self.saved) - before} saved, but not {row['path']!r}: {error}") from None
            self.saved.append(self.chosen.pop(row["sha256"]))
        count = len(self.saved) - before
        if not count:
            return "No class was changed: there is nothing to save."
        self.why.value = ""
        self._go_to(self.page)
        return f"{count} correction{'s' * (count > 1)} added to {path}. Run 01_fetch again to apply the table."

    def _undo(self) -> str:
        if not self.saved:
            return "No correction saved here is left to undo. To reverse an older one, choose the old class and save."
        row, to = self.saved[-1]
        undo_edit(self.run.config.edits, row["sha256"], to)
        self.saved.pop()
        self._go_to(self._page_of(row))
        return f"Undone: {row['path']} is {row['class_name']} again, not {to}. Run 01_fetch again to apply the table."

    def _page_of(self, row: dict) -> int:
        return [other["sha256"] for other in self.rows].index(row["sha256"]) // PHOTOS_PER_PAGE

    def _button(self, text: str, action: Callable[[], str | None]) -> widgets.Button:
        button = widgets.Button(description=text, layout=widgets.Layout(width="auto"))
        button.on_click(lambda _: self._do(action))
        return button

    def _do(self, action: Callable[[], str | None]) -> None:
        """Run an action and show its message or its error."""
        try:
            text, role = action() or "", "status"
        except InputError as error:
            text, role = str(error), "alert"
        style = "color: var(--jp-error-color1, #b71c1c)" if role == "alert" else ""
        self.message.value = f'<div role="{role}" style="line-height: 1.4; {style}">{_escaped(text)}</div>'


class _Card(widgets.VBox):
    """One photo: its thumbnail and path, the list of classes, and a note on the label."""

    def __init__(self, class_names: list[str], choose: Callable[[dict, str], None]):
        wide = widgets.Layout(width="auto", margin="2px")
        self.photo, self.note = widgets.HTML(layout=wide), widgets.HTML(layout=wide)
        self.choice = widgets.Dropdown(options=[(_shown(name), name) for name in class_names], layout=wide)
        self.choose, self.row, self.picture, self.hint = choose, {}, b"", ""
        self.choice.observe(lambda _: self._chosen(), "value")
        super().__init__([self.photo, self.choice, self.note])

    def show(self, row: dict, picture: bytes, to: str) -> None:
        """Show another photo.

        Args:
            row: its row with the current label.
            picture: its thumbnail, a JPEG; empty if the photo is missing.
            to: the chosen class.
        """
        corrected = f"corrected, its folder is {_folder_class(row)}" if row["class_name"] != _folder_class(row) else ""
        self.row, self.picture, self.hint = row, picture, row.get("detail") or corrected or row["doubt"]
        path, source = _escaped(row["path"]), base64.b64encode(picture).decode()
        missing = "the photo is gone or was changed: run 01_fetch again"  # shown instead of the thumbnail
        shown = f'<img alt="{path}" src="data:image/jpeg;base64,{source}" style="{_IMAGE}">' if picture else missing
        self.photo.value = f'<div style="height: 180px">{shown}</div>{_line(row["path"])}'
        self.choice.tooltip = _shown(row["path"])  # the name for screen readers; no effect in ipywidgets 7
        self.choice.value = to
        self._chosen()

    def _chosen(self) -> None:
        changed = self.choice.value != self.row["class_name"]
        self.note.value = _line(f"was {self.row['class_name']}, not saved yet" if changed else self.hint)
        self.choose(self.row, self.choice.value)


def _folder_class(row: dict) -> str:
    """Return the class that the folder of a photo gives it; below train, val and test it is the second folder."""
    return row.get("label") or row["path"].split("/")[1 if row.get("given_split") else 0]


def _thumbnail(folder: Path, row: dict) -> bytes:
    """Return the whole photo, upright, as a small JPEG; empty if the photo is missing or has changed."""

    def shrink(file) -> bytes:
        image = read_image(file, THUMBNAIL_PX)
        image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), reducing_gap=2)
        written = io.BytesIO()
        image.save(written, "JPEG", quality=85)
        return written.getvalue()

    try:
        return decode_photo(folder, row, shrink)
    except InputError:
        return b""


def _pixels(picture: bytes) -> np.ndarray:
    """Decode a thumbnail: uint8 [height, width, 3]; a grey square if the photo is missing."""
    if not picture:
        return np.full((THUMBNAIL_PX, THUMBNAIL_PX, 3), 224, np.uint8)
    return np.asarray(Image.open(io.BytesIO(picture)))


def _caption(text: str) -> str:
    """Shorten text to one line above a photo; `$` is escaped, because Matplotlib would read it as a formula."""
    line = " ".join(_shown(text).split())
    return (line if len(line) <= MAX_CAPTION else f"...{line[3 - MAX_CAPTION :]}").replace("$", r"\$")


def _shown(text: str) -> str:
    """Convert a name to valid UTF-8 text: file names may contain other bytes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _escaped(text: str) -> str:
    return html.escape(_shown(text))


def _line(text: str) -> str:
    return f'<div style="{_ONE_LINE}" title="{_escaped(text)}">{_escaped(text) or "&nbsp;"}</div>'
