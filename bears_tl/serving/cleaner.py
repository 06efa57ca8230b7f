"""The cleaning door: photos with their labels in a notebook, where wrong ones are set right by hand."""

import base64
import html
import io
import warnings
from collections.abc import Callable
from pathlib import Path

import ipywidgets as widgets

from bears_tl.errors import InputError
from bears_tl.photos.edits import add_edit, apply_edits, read_edits, undo_edit
from bears_tl.photos.image import read_image
from bears_tl.photos.storage import decode_photo
from bears_tl.pipeline import artifacts
from bears_tl.pipeline.run import Run
from bears_tl.threads import map_ahead

PHOTOS_A_PAGE = 12
THUMBNAIL_PX = 360  # the longer side; twice what is shown, for screens with fine pixels
# Text that is cut with an ellipsis and lets its box be narrow, which `white-space: nowrap` does not
_ONE_LINE = (
    "display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 1; "
    "overflow: hidden; word-break: break-all; line-height: 1.4"
)
_IMAGE = "width: 100%; height: 100%; object-fit: contain"


class Cleaner(widgets.VBox):
    """Photos by the page, each with the label that the next intake will give it and a list to choose another from.

    Only the photos of the page that is shown are read. Choices are kept when another page is shown; "Save corrections"
    adds them to the table that the run's setting `edits` names, "Undo" takes back the last one that was saved here. The
    run itself stays as it is. What goes wrong is said in a line at the end. Made of core widgets, and of what
    ipywidgets 7 and 8 have in common: Colab comes with 7.
    """

    def __init__(self, run: Run, rows: list[dict]):
        """Show the first page of photos: rows of photos.csv, or others that have its path and sha256."""
        self.run, self.rows, self.page = run, list(rows), 0
        self.chosen: dict[str, tuple[dict, str]] = {}  # photo to its row, as labelled, and the class chosen instead
        self.saved: list[tuple[dict, str]] = []  # the same, in the order in which they were saved
        self.cards, self.grid = [], widgets.GridBox()
        self.grid.layout.grid_template_columns = "repeat(auto-fill, minmax(180px, 1fr))"
        self.grid.layout.grid_gap = "12px"
        self.place, self.message = widgets.HTML(), widgets.HTML()
        self.back = self._button("Previous", lambda: self._go_to(self.page - 1))
        self.forth = self._button("Next", lambda: self._go_to(self.page + 1))
        self.why = widgets.Text(description="Why:", placeholder="a few words for whoever reads the table")
        self.why.layout.width, self.why.style.description_width = "400px", "initial"
        self.save, self.undo = self._button("Save corrections", self._save), self._button("Undo", self._undo)
        pages = [widgets.HBox([self.back, self.place, self.forth])] if len(self.rows) > PHOTOS_A_PAGE else []
        does = widgets.HBox([self.why, self.save, self.undo], layout=widgets.Layout(flex_flow="row wrap"))
        super().__init__([self.grid, *pages, does, self.message])
        self._do(lambda: self._go_to(0))

    def _go_to(self, page: int) -> str:
        """Show a page, with the labels as they are now."""
        if not self.cards:
            self.class_names = sorted({*self.run.facts("intake")["per_class"], *map(_lies_in, self.rows)})
            self.cards = [_Card(self.class_names, self._choose) for _ in self.rows[:PHOTOS_A_PAGE]]
        rows = self.rows[page * PHOTOS_A_PAGE : (page + 1) * PHOTOS_A_PAGE]
        folder, edits = artifacts.photo_folder(self.run), read_edits(self.run.config.edits)
        found = [{"path": row["path"], "class_name": _lies_in(row), "sha256": row["sha256"]} for row in rows]
        labelled = apply_edits(found, edits, set(self.class_names))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow warns of was judged at intake
            pictures = list(map_ahead(lambda row: _thumbnail(folder, row), rows, PHOTOS_A_PAGE))
        self.page, last = page, max(0, len(self.rows) - 1) // PHOTOS_A_PAGE
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
                raise InputError(f"{len(self.saved) - before} saved, {row['path']!r} is not: {error}") from None
            self.saved.append(self.chosen.pop(row["sha256"]))
        count = len(self.saved) - before
        if not count:
            return "No class was changed: there is nothing to save."
        self.why.value = ""
        self._go_to(self.page)
        return f"{count} correction{'s' * (count > 1)} added to {path}. Run 01_fetch again to apply the table."

    def _undo(self) -> str:
        if not self.saved:
            return "Nothing saved here is left to undo; to go back further, choose the class of before and save."
        row, to = self.saved[-1]
        undo_edit(self.run.config.edits, row["sha256"], to)
        self.saved.pop()
        self._go_to(self._page_of(row))
        return f"Undone: {row['path']} is {row['class_name']} again, not {to}. Run 01_fetch again to apply the table."

    def _page_of(self, row: dict) -> int:
        return [other["sha256"] for other in self.rows].index(row["sha256"]) // PHOTOS_A_PAGE

    def _button(self, text: str, action: Callable[[], str | None]) -> widgets.Button:
        button = widgets.Button(description=text, layout=widgets.Layout(width="auto"))
        button.on_click(lambda _: self._do(action))
        return button

    def _do(self, action: Callable[[], str | None]) -> None:
        """Do what a button is for, and tell what came of it or what was wrong."""
        try:
            said, role = action() or "", "status"
        except InputError as error:
            said, role = str(error), "alert"
        style = "color: var(--jp-error-color1, #b71c1c)" if role == "alert" else ""
        self.message.value = f'<div role="{role}" style="line-height: 1.4; {style}">{_escaped(said)}</div>'


class _Card(widgets.VBox):
    """One photo: its thumbnail and path, the list of classes and a note on the label."""

    def __init__(self, class_names: list[str], choose: Callable[[dict, str], None]):
        wide = widgets.Layout(width="auto", margin="2px")
        self.photo, self.note = widgets.HTML(layout=wide), widgets.HTML(layout=wide)
        self.choice = widgets.Dropdown(options=[(_shown(name), name) for name in class_names], layout=wide)
        self.choose, self.row, self.hint = choose, {}, ""
        self.choice.observe(lambda _: self._chosen(), "value")
        super().__init__([self.photo, self.choice, self.note])

    def show(self, row: dict, picture: bytes, to: str) -> None:
        """Show another photo: its row with the label of now, its thumbnail, and the class chosen."""
        folder_says = f"corrected, it lies in {_lies_in(row)}" if row["class_name"] != _lies_in(row) else ""
        self.row, self.hint = row, row.get("detail") or folder_says
        path, source = _escaped(row["path"]), base64.b64encode(picture).decode()
        missing = "it is gone or was changed: run 01_fetch again"  # in place of the thumbnail
        shown = f'<img alt="{path}" src="data:image/jpeg;base64,{source}" style="{_IMAGE}">' if picture else missing
        self.photo.value = f'<div style="height: 180px">{shown}</div>{_line(row["path"])}'
        self.choice.tooltip = _shown(row["path"])  # its name for a screen reader; without effect in ipywidgets 7
        self.choice.value = to
        self._chosen()

    def _chosen(self) -> None:
        changed = self.choice.value != self.row["class_name"]
        self.note.value = _line(f"was {self.row['class_name']}, not saved yet" if changed else self.hint)
        self.choose(self.row, self.choice.value)


def _lies_in(row: dict) -> str:
    return row["path"].partition("/")[0]


def _thumbnail(folder: Path, row: dict) -> bytes:
    """Give the whole photo, upright, as a small JPEG; nothing when it is no longer the photo that the row is about."""

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


def _shown(text: str) -> str:
    """Give a name as text that any front end takes: file names may hold bytes that are none."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _escaped(text: str) -> str:
    return html.escape(_shown(text))


def _line(text: str) -> str:
    return f'<div style="{_ONE_LINE}" title="{_escaped(text)}">{_escaped(text) or "&nbsp;"}</div>'
