"""What several test files share."""

import contextlib
import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("MPLBACKEND", "Agg")  # no window, whatever machine the tests run on

from bears_tl.errors import InputError


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
def real_checkpoint(real, tmp_path_factory) -> Path:
    """Unpack the real checkpoint."""
    from bears_tl.inception import checkpoint

    packed = real / "checkpoints/inception_v3_partial_2015.tar.gz"
    return checkpoint.unpack(packed, tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="session")
def real_photos(real, tmp_path_factory) -> Path:
    """Unpack the real photos: the folder of class folders."""
    from bears_tl.photos.fetch import fetch

    return fetch(real / "photos/bear_photos.tar.xz", tmp_path_factory.mktemp("photos"))


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


@pytest.fixture
def empty_workspace(tmp_path) -> Workspace:
    """Give a folder to run commands in that holds nothing yet."""
    return Workspace(tmp_path, tmp_path / "photos", tmp_path / "none.ckpt")


@pytest.fixture(scope="session")
def workspace(tmp_path_factory) -> Workspace:
    from bears_tl.photos.sample import paint_sample

    folder = tmp_path_factory.mktemp("workspace")
    paint_sample(folder / "photos", photos_per_class=8)
    made = Workspace(folder, folder / "photos", folder / "checkpoints" / "stand_in_2_seed_0.ckpt")
    done = made.bears("train", "--set", f"photos={made.photos}", "--set", "checkpoint=random", "--run", "runs/trained")
    assert done.returncode == 0, done.stderr
    return made
