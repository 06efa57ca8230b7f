"""A run cannot be damaged by a notebook's defaults, other photos, a second process or a wrong folder."""

import os
import subprocess
import sys

import pytest

from bears_tl.cli import main
from bears_tl.config import RunConfig
from bears_tl.files import read_json
from bears_tl.pipeline import stages
from bears_tl.pipeline.run import STAGES, Run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Give the folder of a finished run on the photos `birds`, with settings of its own."""
    monkeypatch.chdir(tmp_path)
    own = {"photos": "birds", "seed": 5, "train_views": 3, "epochs": 7, "fine_tune_epochs": 2}
    run = Run(RunConfig(run="runs/mine", **own))
    run.folder.mkdir(parents=True)
    for stage in STAGES:
        with run.stage(stage):
            for name in STAGES[stage]:
                run.path(name).write_text("as ever")
    return "runs/mine"


def tree(folder):
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    "parameters",
    [
        {"photos": "sample", "seed": 0, "edits": "data/edits.csv"},  # 01_fetch
        {"seed": 0, "max_zoom": 0.2, "train_views": 1},  # 02_augment
        {"seed": 0, "test_fraction": 0.2, "val_fraction": 0.1},  # 03_split
        {"seed": 0, "train_views": 1, "epochs": 200, "patience": 20},  # 05_train
        {"seed": 0},  # 07_predict
        {"beyond": "glimpse", "fine_tune_epochs": 10},  # 08_beyond
    ],
)
def test_a_runs_own_settings_win_over_a_notebooks_defaults(folder, parameters, capsys):
    before = read_json("runs/mine/config.json")
    run = Run.open_or_start(folder, **parameters)
    assert run.config.as_dict() == before
    lines = capsys.readouterr().out.splitlines()
    differing = [name for name, value in parameters.items() if value != before[name]]
    assert [line.partition(" = ")[0] for line in lines] == differing
    assert all("from runs/mine" in line and f"default is {parameters[line.split()[0]]!r}" in line for line in lines)
    run.keep_settings()
    assert read_json("runs/mine/config.json") == before


def test_a_parameter_that_the_reader_changed_is_applied_and_said(folder, capsys):
    run = Run.open_or_start(folder, seed=6, epochs=200, patience=9)
    assert (run.config.seed, run.config.epochs, run.config.patience, run.config.train_views) == (6, 7, 9, 3)
    said = capsys.readouterr().out
    assert "seed = 6 (set here; runs/mine has 5)" in said and "patience = 9 (set here; runs/mine has 20)" in said


def test_a_notebook_starts_a_run_with_its_parameters_where_there_is_none(tmp_path, capsys):
    folder = str(tmp_path / "run")
    assert Run.open_or_start(folder, seed=4).config == RunConfig(run=folder, seed=4)
    assert not os.path.exists(folder) and not capsys.readouterr().out


@pytest.mark.parametrize("door", ["Run", "open", "open_or_start"])
def test_other_photos_are_never_taken_into_a_run(folder, door, tmp_path, refused):
    before = tree(tmp_path)
    with refused("'runs/mine' is a run on the photos 'birds', not on 'others'", "--run"):
        {
            "Run": lambda: Run(RunConfig(run=folder, photos="others")),
            "open": lambda: Run.open(folder, photos="others"),
            "open_or_start": lambda: Run.open_or_start(folder, photos="others"),
        }[door]()
    assert tree(tmp_path) == before
    for same in ("birds", "./birds", str(tmp_path / "birds")):
        assert Run.open(folder, photos=same).facts("evaluate") == {}


@pytest.mark.parametrize("photos", ["others", "sample"])
def test_intake_takes_no_other_photos_into_a_run_not_even_the_default_ones(folder, tmp_path, capsys, photos):
    before = tree(tmp_path)
    assert main(["intake", photos, "--run", folder]) == 2
    assert f"is a run on the photos 'birds', not on '{photos}'" in capsys.readouterr().err
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", ["photos.csv", "Panda/1.jpg"])
def test_a_folder_that_is_no_run_is_refused_and_left_alone(tmp_path, name, refused):
    (tmp_path / "photos/Panda").mkdir(parents=True)
    (tmp_path / "photos" / name).write_text("mine")
    before = tree(tmp_path)
    with refused(repr(str(tmp_path / "photos")), "is not a run directory", "new or empty"):
        Run(RunConfig(run=str(tmp_path / "photos")))
    with refused("is not a run directory"):
        Run(RunConfig(run=str(tmp_path / "photos" / name)))  # a file
    assert tree(tmp_path) == before


def test_a_config_of_something_else_is_refused(tmp_path, refused):
    (tmp_path / "config.json").write_text('{"architectures": ["BertModel"]}')
    (tmp_path / "receipt.json").write_text('{"stages": {"fetch": {}}}')
    with refused("'architectures'"):
        Run(RunConfig(run=str(tmp_path)))


@pytest.mark.parametrize("inside", ["run", "cache"])
def test_a_run_or_cache_inside_the_photo_folder_is_refused(tmp_path, write_photos, monkeypatch, inside, refused):
    photos = write_photos(A=6, B=6)
    run, cache = (photos / name if name == inside else tmp_path / name for name in ("run", "cache"))
    monkeypatch.setenv("BEARS_TL_CACHE", str(cache))
    before = tree(tmp_path)
    with refused(repr(str(photos / inside)), "lies in the photo folder", "another place"):
        stages.fetch(Run(RunConfig(run=str(run), photos=str(photos))))
    assert tree(tmp_path) == before and not run.exists() and not cache.exists()


def test_a_start_that_is_refused_leaves_no_folder(tmp_path, refused):
    run = Run(RunConfig(run=str(tmp_path / "runs/new"), photos="nowhere"))
    with refused("'nowhere'"):
        stages.run_all(run, say=lambda line: None)
    assert not (tmp_path / "runs").exists()


def test_a_stage_of_another_process_in_between_is_noticed(folder, refused):
    first, second = Run.open(folder), Run.open(folder)
    with second.stage("split"):
        second.path("splits.csv").write_text("another split")
    before = tree(second.folder)
    with refused("another process has changed the stage 'split'", "open the run again"), first.stage("train"):
        pytest.fail("trained on another split than it knows")
    assert tree(second.folder) == before
    with first.stage("split"):  # made from what both know
        first.path("splits.csv").write_text("another split")


def test_what_another_process_made_again_the_same_is_no_change(folder):
    first, second = Run.open(folder), Run.open(folder)
    with second.stage("train"):
        second.path("history.csv").write_text("other seconds")
    with first.stage("evaluate"):
        pass


def test_a_second_process_waits_until_the_first_has_ended_and_then_looks_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = """
import sys
from bears_tl.cli import main
from bears_tl.config import RunConfig
from bears_tl.pipeline.run import Run
run = Run(RunConfig(run="runs/new", photos=sys.argv[1]))
print("ready", flush=True)
input()
with run.alone():
    with run.stage("fetch"):
        pass
    print("has it", flush=True)
    input()
"""

    def begin(photos):
        words = [sys.executable, "-c", program, photos]
        started = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
        )
        assert started.stdout.readline() == "ready\n"
        return started

    first, same, other = begin("birds"), begin("birds"), begin("others")
    first.stdin.write("\n")
    assert first.stdout.readline() == "has it\n"
    for later in (same, other):
        later.stdin.write("\n")
        assert "waiting for another process that is working on the run runs/new" in later.stderr.readline()
    first.stdin.write("\n")
    assert first.wait(30) == 0
    same.stdin.write("\n")
    said = other.communicate("\n", timeout=60)[1]
    assert same.communicate(timeout=60)[0] == "has it\n" and same.returncode == 0
    assert other.returncode != 0 and "is a run on the photos 'birds', not on 'others'" in said
