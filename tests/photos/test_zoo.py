"""Every file of the zoo gets the expected verdict, and none is lost, moved or changed."""

import dataclasses
import os
import stat
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bears_tl.files import sha256_of
from bears_tl.photos.intake import MAX_MEGAPIXELS, REASONS, Intake, take_in
from bears_tl.photos.views import CENTER, read_views

from .zoo import CLASSES, PASSED_OVER, ZOO, write_zoo


@dataclasses.dataclass(frozen=True)
class Visit:
    """The zoo, what it held before intake and after, and what intake said."""

    folder: Path
    verdicts: dict[str, str]
    before: dict
    after: dict
    intake: Intake
    said: dict[str, dict]
    printed: str


def state(folder: Path) -> dict:
    """Return what can be seen of each file without following a link."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = sha256_of(path) if stat.S_ISREG(status.st_mode) else ""
        found[path.relative_to(folder).as_posix()] = (status.st_mode, status.st_size, status.st_mtime_ns, content)
    return found


@pytest.fixture(scope="module")
def visit(tmp_path_factory) -> Visit:
    root = tmp_path_factory.mktemp("zoo")
    verdicts = write_zoo(root / "zoo", root / "outside")
    before = state(root / "zoo")
    with pytest.MonkeyPatch.context() as patch, open(root / "stderr", "w+b") as file:
        patch.setattr(subprocess, "Popen", None)  # no photo is worth starting another program
        stderr = os.dup(2)
        os.dup2(file.fileno(), 2)  # capfd is for one test; this sees what C libraries print, too
        try:
            intake = take_in(root / "zoo")
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        file.seek(0)
        printed = file.read().decode()
    rows = [row | {"reason": "ok", "detail": ""} for row in intake.photos] + intake.quarantined
    assert len(rows) == len({row["path"] for row in rows})
    return Visit(
        root / "zoo", verdicts, before, state(root / "zoo"), intake, {row["path"]: row for row in rows}, printed
    )


@pytest.mark.parametrize("path", ZOO)
def test_every_animal_gets_its_verdict(path, visit):
    if path not in visit.verdicts:
        pytest.skip(f"this machine cannot hold {path!r}")
    row = visit.said.get(path, {"reason": PASSED_OVER, "detail": ""})
    assert row["reason"] == ZOO[path], row["detail"]
    assert row["reason"] in ("ok", PASSED_OVER) or (row["detail"] and row["detail"].isprintable())


def test_the_zoo_holds_every_verdict():
    assert set(ZOO.values()) == {"ok", PASSED_OVER, *REASONS}
    assert sum(len(files) for files in CLASSES.values()) > 150


def test_files_in_are_rows_out(visit):
    assert set(visit.said) == {path for path, verdict in visit.verdicts.items() if verdict != PASSED_OVER}
    assert {row["reason"] for row in visit.intake.quarantined} <= set(REASONS)


def test_nothing_is_moved_or_changed(visit):
    assert visit.before == visit.after


def test_nothing_is_printed(visit):
    assert visit.printed == ""


@pytest.mark.parametrize("path", [path for path, verdict in ZOO.items() if verdict == "ok"])
def test_what_is_ok_can_be_seen(path, visit):
    if path not in visit.verdicts:
        pytest.skip(f"this machine cannot hold {path!r}")
    (view,) = read_views(visit.folder / path, [CENTER], visit.said[path]["sha256"])
    assert view.shape == (299, 299, 3) and view.dtype == np.uint8
    assert view.std() > 5  # a painted picture, not an empty one


CONTENT = {"not_an_image", "truncated", "damaged", "empty", "too_large", "unreadable"}


@pytest.mark.parametrize("path", [path for path, verdict in ZOO.items() if verdict in CONTENT and path[:5] != "Links"])
def test_what_is_set_aside_for_its_content_cannot_be_seen_for_the_same_reason(path, visit):
    if path not in visit.verdicts:
        pytest.skip(f"this machine cannot hold {path!r}")
    with pytest.raises(Exception) as caught:
        read_views(visit.folder / path, [CENTER], "", MAX_MEGAPIXELS)
    assert visit.said[path]["detail"].endswith(" ".join(str(caught.value).split()))


def test_another_look_says_the_same(visit):
    assert take_in(visit.folder) == visit.intake


def test_settings_let_more_in(visit):
    intake = take_in(visit.folder, min_side_px=1, allow_animated=True)
    reasons = intake.per_reason()
    assert "animated" not in reasons and "too_small" not in reasons
    let_in = [path for path, verdict in visit.verdicts.items() if verdict in ("animated", "too_small")]
    assert {row["path"] for row in intake.photos} == {row["path"] for row in visit.intake.photos} | set(let_in)
    for path in let_in:
        assert read_views(visit.folder / path, [CENTER], "")[0].shape == (299, 299, 3)
