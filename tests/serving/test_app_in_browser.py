"""`bears app` in a browser, as its user has it: a trained run, a server of its own, no network."""

import base64
import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import ExifTags, Image

from bears_tl.files import read_csv
from bears_tl.photos.edits import EDIT_COLUMNS
from bears_tl.pipeline.run import Run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(workspace, tmp_path_factory):
    """Serve a copy of the trained run: its address, the run, and the folder for temporary files."""
    base = tmp_path_factory.mktemp("app")
    run = Run.open(shutil.copytree(workspace.folder / "runs/trained", base / "run"), edits=str(base / "edits.csv"))
    run.keep_settings()
    (base / "temporary").mkdir()
    words = [sys.executable, "-m", "bears_tl", "app", "--run", str(run.folder), "--port", "0"]
    changed = {"BEARS_TL_CACHE": str(workspace.folder / "cache"), "TMPDIR": str(base / "temporary")}
    with subprocess.Popen(
        words, cwd=workspace.folder, env=os.environ | changed, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("http://127.0.0.1:"), process.stderr.read()
            yield line.split()[0], run, base
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()


@pytest.fixture(scope="module")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def opened(served, browser):
    """Give a context that opens the page at a width; nothing but the server may be asked, and no script may fail."""

    @contextlib.contextmanager
    def open_page(width=1400):
        address, outside, failed = served[0], [], []

        def pass_on(route):
            if route.request.url.startswith(address):
                return route.continue_()
            outside.append(route.request.url)
            return route.abort()

        with browser.new_context(viewport={"width": width, "height": 900}) as context:
            context.route("**/*", pass_on)
            page = context.new_page()
            page.on("pageerror", lambda error: failed.append(str(error)))
            page.on("console", lambda message: failed.append(message.text) if "Policy" in message.text else None)
            page.goto(address)
            yield page
            assert (outside, failed) == ([], [])

    return open_page


def upload(page, *files):
    """Choose files, and wait until each has an answer or a refusal: the cards in their order."""
    from playwright.sync_api import expect

    page.get_by_label("photo files").set_input_files(files)
    expect(page.locator(".found:not([hidden]), .failed")).to_have_count(len(files), timeout=60_000)
    return page.get_by_role("article").all()


@pytest.mark.parametrize("width", [390, 1400])
def test_photos_are_answered_like_on_the_command_line_and_a_rotated_one_is_upright(
    workspace, served, opened, tmp_path, width
):
    _, run, _ = served
    row = run.table("photos.csv")[0]
    upright = Image.open(workspace.photos / row["path"]).convert("RGB")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "rotated.jpg", exif=exif, quality=95)
    said = workspace.bears_here("predict", tmp_path / "rotated.jpg", "--run", run.folder).stdout.split(": ", 1)[1]
    with opened(width) as page:
        (card,) = upload(page, tmp_path / "rotated.jpg")
        rows = [row.inner_text().split() for row in card.locator("tbody tr").all()]
        expected = re.findall(r"(\w+) ([\d.]+) %", said)
        assert [(name, share) for name, share, _ in rows[:2]] == expected
        assert ("Not one of these" in card.locator(".verdict").inner_text()) == said.startswith("not like")
        shown = Image.open(io.BytesIO(base64.b64decode(card.locator(".photo").get_attribute("src").split(",")[1])))
        side = min(upright.size)
        left, top = (upright.width - side) // 2, (upright.height - side) // 2
        square = upright.crop((left, top, left + side, top + side)).resize(shown.size)
        assert np.abs(np.subtract(shown.convert("RGB"), square, dtype=float)).mean() < 12
        pictures = card.locator("img").all()
        assert len(pictures) == 5  # the photo, its map and three training photos
        assert all(picture.evaluate("it => it.naturalWidth > 0 && it.alt !== ''") for picture in pictures)
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_what_is_no_photo_or_too_large_is_refused_in_words_and_the_next_photo_is_answered(
    workspace, served, opened, tmp_path
):
    photo = workspace.photos / served[1].table("photos.csv")[0]["path"]
    files = [tmp_path / name for name in ("notes.jpg", "bomb.png", "large.jpg")]
    files[0].write_text("no photo")
    Image.new("1", (20_000, 10_000)).save(files[1])
    files[2].write_bytes(bytes(20_000_001))
    with opened() as page:
        said = [card.locator(".verdict").inner_text() for card in upload(page, *files, photo)]
        assert "not a photo" in said[0] and "200 megapixels" in said[1] and "up to 100 megapixels" in said[1]
        assert "larger than 20 MB" in said[2] and "%" in said[3]
        page.get_by_role("button", name="Use the camera").click()
        page.get_by_text("choose a photo file instead").wait_for()  # this browser has none


def test_a_photo_can_be_dropped_or_pasted(workspace, served, opened):
    from playwright.sync_api import expect

    photo = (workspace.photos / served[1].table("photos.csv")[1]["path"]).read_bytes()
    make = """([data, kind]) => {
      const moved = new DataTransfer();
      moved.items.add(new File([Uint8Array.from(atob(data), (it) => it.charCodeAt(0))], `${kind}.png`));
      const given = { bubbles: true, cancelable: true, clipboardData: moved, dataTransfer: moved };
      document.body.dispatchEvent(kind === "drop" ? new DragEvent(kind, given) : new ClipboardEvent(kind, given));
    }"""
    with opened() as page:
        for count, kind in enumerate(["drop", "paste"], 1):
            page.evaluate(make, [base64.b64encode(photo).decode(), kind])
            expect(page.locator(".found:not([hidden])")).to_have_count(count, timeout=60_000)


def test_a_label_is_corrected_by_keyboard_after_a_confirmation_and_nothing_else_is_written(
    workspace, served, opened, tmp_path
):
    _, run, base = served
    row = run.table("photos.csv")[0]
    before = {path for folder in (base, workspace.folder) for path in folder.rglob("*")}
    strange = tmp_path / "strange.png"
    Image.effect_noise((320, 320), 90).save(strange)
    with opened(390) as page:
        assert page.evaluate("[...document.querySelectorAll('input, select')].every((it) => it.labels.length === 1)")
        other, card = upload(page, strange, workspace.photos / row["path"])
        assert "not a photo of the run" in other.locator(".label").inner_text()
        assert not other.get_by_role("button", name="This is wrong").is_visible()
        assert f"Its label is {row['class_name']}." in card.locator(".label").inner_text()

        def choose_another(key):
            page.get_by_role("button", name="Use the camera").focus()
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
            dialog = page.get_by_role("dialog", name="Correct the label?")
            dialog.wait_for()
            page.get_by_label("The right class").press("P")  # Panda, the first class that begins so
            page.keyboard.press("Tab")
            page.keyboard.type("black and white")
            page.keyboard.press(key)
            dialog.wait_for(state="hidden")

        choose_another("Escape")
        assert not (base / "edits.csv").exists()
        choose_another("Enter")
        card.get_by_text(f"Corrected from {row['class_name']} to Panda").wait_for()
        assert "Its label is Panda." in card.locator(".label").inner_text()
    (edit,) = read_csv(base / "edits.csv", EDIT_COLUMNS)
    assert (edit["sha256"], edit["from"], edit["to"]) == (row["sha256"], row["class_name"], "Panda")
    assert edit["why"] == "black and white"
    after = {path for folder in (base, workspace.folder) for path in folder.rglob("*")}
    assert {path.name for path in after - before} <= {"edits.csv", ".edits.csv.lock"}
    assert list((base / "temporary").iterdir()) == []
