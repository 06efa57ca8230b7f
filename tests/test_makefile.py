"""The Makefile hands its variables on as they were given, and refuses those that it does not know."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@pytest.fixture
def make(tmp_path):
    """Give a function that runs make on a copy whose .venv only prints the words of each command."""
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("bears_tl", "scripts", "notebooks"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    made_from = (ROOT / "requirements.txt").read_bytes() + (ROOT / "pyproject.toml").read_bytes()
    (tmp_path / ".venv/made_from").write_bytes(made_from)
    for name in ("python", "bears"):
        (tmp_path / ".venv/bin" / name).write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        (tmp_path / ".venv/bin" / name).chmod(0o755)
    inherited = {name: value for name, value in os.environ.items() if name not in ("CONFIG", "PHOTOS", "RUN", "SET")}

    def made(*words, **environment):
        words = ["make", "-s", *words, f"PYTHON={sys.executable}"]
        return subprocess.run(words, cwd=tmp_path, env=inherited | environment, capture_output=True, text=True)

    return made


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "PHOTO=birds"], "make train: unknown variable PHOTO: did you mean PHOTOS?"),
        (["train", "photos=birds"], "make train: unknown variable photos: did you mean PHOTOS?"),
        (["train", "EPOCHS=5"], 'make train: EPOCHS is a setting: use SET="epochs=5"'),
        (["train", "epochs=a b"], 'make train: epochs is a setting: use SET="epochs=a b"'),
        (["train", "EPOCH=5"], 'make train: unknown variable EPOCH: did you mean SET="epochs=5"?'),
        (["beyond", "RNU=runs/x"], "make beyond: unknown variable RNU: did you mean RUN?"),
        (["beyond", "PHOTOS=birds"], "make beyond: PHOTOS is not used here: expected CONFIG, RUN, SET, PYTHON"),
        (["bench", "PHOTO=birds"], "make bench: unknown variable PHOTO: did you mean PHOTOS?"),
        (["bench", "SEED=1"], "make bench: unknown variable SEED: expected PHOTOS, CHECKPOINT, PYTHON"),
        (["test", "PHOTOS=birds"], "make test: PHOTOS is not used here: expected PYTHON"),
    ],
)
def test_an_unknown_variable_is_refused_before_anything_is_done(make, words, said):
    done = make(*words)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.splitlines()[0] == said


def test_variables_reach_the_program_as_they_were_given(make):
    done = make("train", "PHOTOS=a b=c", 'RUN=it\'s "mine"', "CHECKPOINT=~/x, y.ckpt", "SET=epochs=5 edits='my edits'")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "scripts/run_notebooks.py", "--run", "it's \"mine\"", "--set", "photos=a b=c",
        "--set", "checkpoint=~/x, y.ckpt", "--set", "epochs=5", "edits=my edits",
    ]  # fmt: skip
    beyond = make("beyond", "RUN=runs/a b").stdout.splitlines()
    assert beyond == ["scripts/run_notebooks.py", "08_beyond", "09_as_2019", "10_loop", "--run", "runs/a b"]
    assert make("bench", "PHOTOS=a b").stdout.splitlines() == ["benchmark", "--peers", "--photos", "a b"]


def test_a_config_is_named_only_if_it_is_given_so_that_a_run_keeps_its_settings(make):
    assert make("train", "RUN=runs/mine").stdout.splitlines() == ["scripts/run_notebooks.py", "--run", "runs/mine"]
    done = make("train", "CONFIG=my recipe.yaml")
    assert done.stdout.splitlines() == ["scripts/run_notebooks.py", "--config", "my recipe.yaml"]


def test_variables_of_the_environment_are_not_checked(make):
    assert make("train", EPOCHS="5", PHOTO="birds").stdout.splitlines() == ["scripts/run_notebooks.py"]


def test_one_of_several_targets_may_use_a_variable(make):
    assert make("train", "beyond", "PHOTOS=birds", "RUN=runs/birds").returncode == 0
