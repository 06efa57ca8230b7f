"""What several test files share."""

import contextlib
import dataclasses
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import filelock
import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("MPLBACKEND", "Agg")  # no window, whatever machine the tests run on

from bears_tl.errors import InputError


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    """Fail a test that leaves a figure open: figures that stay open fill the memory of a long run."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        left = pyplot.get_fignums()
        pyplot.close("all")
        assert left == []


@pytest.fixture(scope="session")
def real() -> Path:
    """Give the folder with the real photos and checkpoint (photos/, checkpoints/), or skip."""
    named = os.environ.get("BEARS_TL_REAL")
    if not named:
        pytest.skip("needs real photos: set BEARS_TL_REAL to a folder that holds photos/ and checkpoints/")
    return Path(named).resolve(strict=True)


@pytest.fixture
def refused():
    """Give a context in which bad input must be refused in one line that holds all the given words."""

    @contextlib.contextmanager
    def refused_with(*words):
        with pytest.raises(InputError) as caught:
            yield
        message = str(caught.value)
        assert "\n" not in message
        for word in words:
            assert word in message

    return refused_with


@pytest.fixture
def write_photos(tmp_path):
    """Give a function that writes a folder of class folders with so many small photos each, no two alike."""
    rng = np.random.default_rng(0)

    def write(folder=tmp_path / "photos", **counts: int) -> Path:
        for class_name, count in counts.items():
            (folder / class_name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / class_name / f"{i}.png")
        return folder

    return write


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """Give a context with a folder of all workers, for one of them at a time: what it makes, the others find."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent

    @contextlib.contextmanager
    def opened(name):
        folder = base / f"shared_{name}"
        with filelock.FileLock(f"{folder}.lock"):
            folder.mkdir(exist_ok=True)
            yield folder

    return opened


@pytest.fixture(scope="session")
def real_checkpoint(real, shared) -> Path:
    """Unpack the real checkpoint."""
    from bears_tl.inception import checkpoint

    with shared("checkpoints") as folder:
        return checkpoint.unpack(real / "checkpoints/inception_v3_partial_2015.tar.gz", folder)


@pytest.fixture(scope="session")
def real_photos(real, shared) -> Path:
    """Unpack the real photos: the folder of class folders."""
    from bears_tl.photos.fetch import fetch

    with shared("photos") as folder:
        return fetch(real / "photos/bear_photos.tar.xz", folder)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Give the path of the system's Chromium, or skip; CI must have one."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None and "CI" not in os.environ:
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    assert found, "CI tests pages in Chromium; .ci/run could not install it"
    return found


@dataclasses.dataclass(frozen=True)
class Workspace:
    """A folder to work in, with a small painted data set and the stand-in's checkpoint; commands run there."""

    folder: Path
    photos: Path
    checkpoint: Path

    def command(self, *words, **environment) -> subprocess.CompletedProcess:
        """Run a command line in the folder, without a network to fall back on, and keep what it prints."""
        process = self.start(*words, **environment)
        try:
            printed = process.communicate(timeout=600)
        finally:
            process.kill()
        return subprocess.CompletedProcess(words, process.returncode, *printed)

    def start(self, *words, **environment) -> subprocess.Popen:
        """Start a command line in the folder."""
        pipes = {name: subprocess.PIPE for name in ("stdout", "stderr")}
        environment = os.environ | {"BEARS_TL_CACHE": str(self.folder / "cache")} | environment
        return subprocess.Popen(
            [sys.executable, *map(str, words)], cwd=self.folder, env=environment, text=True, **pipes
        )

    def bears(self, *words, **environment) -> subprocess.CompletedProcess:
        """Run the command line tool."""
        return self.command("-m", "bears_tl", *words, **environment)

    def bears_here(self, *words) -> subprocess.CompletedProcess:
        """Run the command line tool in this process, where TensorFlow is started already; see `bears`."""
        from bears_tl.cli import main

        output, errors, words = io.StringIO(), io.StringIO(), [str(word) for word in words]
        with (
            contextlib.chdir(self.folder),
            mock.patch.dict(os.environ, BEARS_TL_CACHE=str(self.folder / "cache")),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(errors),
        ):
            status = main(words)
        return subprocess.CompletedProcess(words, status, output.getvalue(), errors.getvalue())


@pytest.fixture
def empty_workspace(tmp_path) -> Workspace:
    """Give a folder to run commands in that holds nothing yet."""
    return Workspace(tmp_path, tmp_path / "photos", tmp_path / "none.ckpt")


@pytest.fixture(scope="session")
def workspace(shared, tmp_path_factory) -> Workspace:
    """Give a copy of the workspace that one worker paints and trains in; all read the same photos."""
    from bears_tl.photos.sample import paint_sample

    own = tmp_path_factory.mktemp("workspace")
    with shared("workspace") as folder:
        made = Workspace(folder, folder / "photos", folder / "checkpoints" / "stand_in_2_seed_0.ckpt")
        if not (folder / "runs/trained/metrics.json").exists():
            paint_sample(made.photos, photos_per_class=8)
            settings = [f"photos={made.photos}", "checkpoint=random", "run=runs/trained"]
            done = made.bears("train", *(word for pair in settings for word in ("--set", pair)))
            assert done.returncode == 0, done.stderr
        shutil.copytree(folder, own, dirs_exist_ok=True, ignore=shutil.ignore_patterns("photos"))
    return Workspace(own, made.photos, own / made.checkpoint.relative_to(folder))
