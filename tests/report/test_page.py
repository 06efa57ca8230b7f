import base64
import contextlib
import hashlib
import re
import shutil

import pytest

from bears_tl.cli import main
from bears_tl.files import read_json, write_json
from bears_tl.pipeline.run import Run
from bears_tl.report import page
from bears_tl.report.sections import SECTIONS, sentence

HOSTILE = "</script><script>alert(1)</script>\u202e\"'&\n<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def run(workspace):
    with contextlib.chdir(workspace.folder):
        yield Run.open("runs/trained")


@pytest.fixture
def copy(run, tmp_path, monkeypatch):
    """Give a copy of the trained run that a test may damage."""
    return Run.open(shutil.copytree(run.folder, tmp_path / "copy"))


def name_hostile(run):
    """Rename a class in all tables, to what would break out of a page."""
    quoted = '"' + HOSTILE.replace('"', '""') + '"'
    (run.folder / "labels.csv").write_text(f"path,class_name,suggested,reason\nx.png,Grizzly,{quoted},label\n")
    for name in ("predictions.csv", "splits.csv", "photos.csv"):
        text = run.path(name).read_text()
        text = text.replace("probability_Grizzly", '"probability_' + HOSTILE.replace('"', '""') + '"')
        run.path(name).write_text(text.replace(",Grizzly", f",{quoted}"))
    text = run.path("metrics.json").read_text()
    assert '"Grizzly"' in text and quoted in run.path("splits.csv").read_text()
    metrics = read_json(run.path("metrics.json"))

    def renamed(value):
        if isinstance(value, dict):
            return {renamed(key): renamed(item) for key, item in value.items()}
        return (
            [renamed(item) for item in value] if isinstance(value, list) else HOSTILE if value == "Grizzly" else value
        )

    write_json(run.path("metrics.json"), renamed(metrics))


def test_the_page_of_a_finished_run_has_every_section_and_is_the_same_again(run, capsys):
    assert main(["report", "--run", str(run.folder)]) == 0 and "report.html" in capsys.readouterr().out
    text = run.path("report.html").read_text()
    assert re.findall(r'<section id="(\w+)">', text) == list(SECTIONS)
    missing = re.findall(r'class="missing">([^<]*)', text)
    assert all("labels.csv" in said for said in missing)
    assert page.make(run) == text and len(text) < 8e6


def test_the_policy_allows_its_own_style_and_script_alone(run):
    text = page.make(run)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1].replace("&#39;", "'")
    for tag in ("style", "script"):
        digest = hashlib.sha256(re.search(rf"<{tag}>(.*?)</{tag}>", text, re.S)[1].encode()).digest()
        assert f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert "default-src 'none'; img-src data:;" in policy and "unsafe" not in policy
    assert not re.search(r"""(?:src|href)="(?!data:|#)|<[^>]* (?:style|on\w+)=""", text)


def test_what_is_missing_is_named_and_the_rest_is_shown(copy):
    for name in ("metrics.json", "predictions.csv"):
        copy.path(name).unlink()
    text = page.make(copy)
    assert "metrics.json is missing" in text and "predictions.csv is missing" in text
    assert '<section id="photos">' in text and "could not be made" not in text and "good photos" in text


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: re.sub(r"^(.*,test,.*),[^,\n]+$", r"\1,nan", text, flags=re.M),
        lambda text: "\n".join(line for line in text.split("\n") if ",test," not in line),
        lambda text: "\n".join(text.split("\n")[:1]) + "\n",
        lambda text: text[: len(text) // 2],
    ],
    ids=["nan", "no_test", "empty", "cut"],
)
def test_bad_predictions_are_no_traceback(copy, damage):
    path = copy.path("predictions.csv")
    before = path.read_text()
    path.write_text(damage(before))
    assert path.read_text() != before
    text = page.make(copy)
    assert re.findall(r'<section id="(\w+)">', text) == list(SECTIONS)
    numbers = re.search(r'id="threshold-data">(.*?)</script>', text)
    assert not numbers or "NaN" not in numbers[1]  # a browser could not read it


def test_a_run_without_test_photos_says_so():
    assert "no test photo" in sentence({"test": {"count": 0, "accuracy": None, "interval": [0, 1]}})


def test_photos_that_are_gone_are_shown_as_gone(copy, monkeypatch):
    before = page.make(copy)
    assert "image/webp" in before and "cannot be read any more" not in before
    monkeypatch.setattr("bears_tl.pipeline.artifacts.photo_folder", lambda run: run.folder)
    after = page.make(copy)
    assert "image/webp" not in after and "cannot be read any more" in after


@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.slow
def test_a_browser_shows_it_without_error_request_or_broken_picture(copy, width, chromium):
    from playwright.sync_api import sync_playwright

    name_hostile(copy)
    path, said, asked = page.write(copy), [], []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": width, "height": 900})
        shown.on("console", lambda message: said.append(message.text))
        shown.on("pageerror", lambda error: said.append(str(error)))
        shown.on("dialog", lambda dialog: (said.append("dialog"), dialog.dismiss()))
        shown.on("request", lambda request: request.url.startswith("data:") or asked.append(request.url))
        shown.goto(path.as_uri())
        assert (said, asked) == ([], [path.as_uri()])
        assert shown.evaluate(
            "document.images.length > 5 && [...document.images].every(it => it.naturalWidth && it.alt)"
        )
        assert shown.evaluate("document.documentElement.scrollWidth") == width
        answered = []
        for threshold in ("0", "1"):
            shown.locator("#threshold").fill(threshold)
            answered.append(shown.locator("#accepted-text").inner_text())
        assert answered[0].startswith("100.0%") and answered[0] != answered[1] and not said
        browser.close()
