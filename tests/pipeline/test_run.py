"""A run directory records the result of each stage and holds nothing that is out of date."""

import json
import os

import pytest

from bears_tl.config import RunConfig
from bears_tl.pipeline.run import ASIDE, STAGES, STAND_IN_NOTICE, Run, settings_from

FILES = {stage: [name for name in names if name != "figures"] for stage, names in STAGES.items()}


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run").mkdir()
    return Run(RunConfig(run=str(tmp_path / "run")))


def do(run, stage, content="as ever", **facts):
    """Go through a stage that writes all its files."""
    with run.stage(stage) as entered:
        for name in FILES.get(stage, []):
            run.path(name).write_text(content)
        if stage == "evaluate":
            run.path("figures").mkdir(exist_ok=True)
            (run.path("figures") / "curve.png").write_text(content)
        entered.update(facts)


@pytest.fixture
def walked(run):
    """Give a run after all its stages."""
    for stage in STAGES:
        do(run, stage)
    return run


def tree(run):
    return {str(path): path.read_bytes() for path in sorted(run.folder.rglob("*")) if path.is_file()}


def test_a_run_starts_without_stages_and_its_settings_are_on_disk_after_the_first(run):
    assert run.receipt() == {"stages": {}} and run.seconds() == {} and not any(run.folder.iterdir())
    do(run, "fetch")
    assert json.loads(run.path("config.json").read_text()) == run.config.as_dict()


def test_a_stage_enters_facts_hashes_and_seconds(run):
    do(run, "intake", count=3)
    entry = run.receipt()["stages"]["intake"]
    assert run.facts("intake") == entry["facts"] == {"count": 3}
    assert set(entry["sha256"]) == {"photos.csv", "quarantine.csv"}
    assert all(len(digest) == 64 for digest in entry["sha256"].values())
    assert run.seconds() == {"intake": entry["seconds"]} and entry["seconds"] >= 0
    assert {"python", "bears_tl", "numpy"} <= set(run.receipt()["versions"])


def test_seconds_are_in_the_order_of_the_walk(run):
    for stage in reversed(STAGES):
        do(run, stage)
        assert list(run.seconds()) == [stage]  # a change of an earlier stage removes all later ones
    for stage in STAGES:
        do(run, stage)
    assert list(run.seconds()) == list(STAGES)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failing_stage_changes_nothing(error, walked):
    before = tree(walked)
    with pytest.raises(error), walked.stage("split") as facts:
        facts["counts"] = 5
        raise error
    assert tree(walked) == before


@pytest.mark.parametrize(
    ("stage", "change"),
    [(stage, {"fact": 1}) for stage in STAGES] + [(stage, {"content": "another"}) for stage in STAGES if FILES[stage]],
)
def test_what_was_made_from_something_else_goes(stage, change, walked):
    do(walked, stage, **change)
    place = list(STAGES).index(stage)
    earlier, later = list(STAGES)[: place + 1], list(STAGES)[place + 1 :]
    assert list(walked.seconds()) == earlier
    assert all(walked.path(name).exists() for kept in earlier for name in STAGES[kept])
    assert not any(walked.path(name).exists() for gone in later for name in STAGES[gone])


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_finds_the_same_again_leaves_the_later_ones(stage, walked):
    before = tree(walked)
    do(walked, stage)
    after = tree(walked)
    assert list(walked.seconds()) == list(STAGES)
    receipt = str(walked.path("receipt.json"))
    assert before.pop(receipt) and after.pop(receipt) and after == before


def test_a_head_that_is_trained_again_the_same_in_other_seconds_takes_nothing_away(walked):
    do(walked, "ladder")
    with walked.stage("train"):
        walked.path("history.csv").write_text("epoch,seconds\n1,0.2\n")
    assert list(walked.seconds()) == list(STAGES) and walked.facts("ladder") == {}
    with walked.stage("train"):
        walked.path("head.npz").write_text("another")
    assert list(walked.seconds()) == list(STAGES)[: list(STAGES).index("train") + 1]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_aside_goes_only_with_what_it_was_made_from(stage, walked):
    for aside in ASIDE:
        with walked.stage(aside) as facts:
            walked.path(ASIDE[aside][0]).write_text("a table")
            facts["rows"] = 3
    assert list(walked.seconds()) == list(STAGES) and all(walked.path(name).exists() for name in FILES["evaluate"])
    do(walked, stage)
    assert all(walked.facts(aside) == {"rows": 3} for aside in ASIDE)
    do(walked, stage, fact=1)
    stays = stage in ("audit", "evaluate", "report")
    assert all(walked.path(ASIDE[aside][0]).exists() == stays for aside in ASIDE)
    assert set(ASIDE) <= set(walked.receipt()["stages"]) if stays else not set(ASIDE) & set(walked.receipt()["stages"])


def test_what_is_not_the_runs_own_stays(walked):
    walked.path("notes.txt").write_text("mine")
    do(walked, "fetch", fact=1)
    assert walked.path("notes.txt").read_text() == "mine"


def test_the_words_of_a_command_line_become_settings(tmp_path, monkeypatch, capsys, refused):
    monkeypatch.chdir(tmp_path)
    birds = settings_from(None, ["photos=birds", "epochs=5"], "runs/birds")
    assert birds == RunConfig(photos="birds", epochs=5, run="runs/birds") and capsys.readouterr().out == ""
    run = Run(birds)
    assert settings_from(None, [], "runs/birds").photos == "sample"  # a run without stages keeps no settings
    with run.stage("fetch"):
        pass
    for words, folder in ((["seed=1"], "runs/birds"), (["seed=1", "run=runs/birds"], None)):
        assert settings_from(None, words, folder) == birds.replace(seed=1)
        assert capsys.readouterr().out == "settings kept from runs/birds: photos=birds epochs=5\n"
    (tmp_path / "sample.yaml").write_text("photos: sample")
    assert settings_from("sample.yaml", ["epochs=50"], "runs/birds").photos == "sample"  # which `Run` refuses
    assert settings_from("sample.yaml", [f"photos={tmp_path}/birds"], "runs/birds").epochs == 200


def test_what_is_removed_is_said(walked, capsys):
    walked.path("ladder").mkdir()  # left by an interrupted ladder, so it is in no receipt
    do(walked, "train", content="another")
    assert "the result of train has changed, so ladder is removed" in capsys.readouterr().err
    assert not walked.path("ladder").exists()


def test_a_stage_that_is_unknown_is_refused(run):
    with pytest.raises(KeyError), run.stage("dream"):
        pass
    assert run.receipt() == {"stages": {}}


def test_facts_of_a_stage_that_has_not_run_are_refused(run, refused):
    with refused("stage 'train'", str(run.folder), "has not run", "run 01_fetch (or `bears train --run"):
        run.facts("train")
    for stage in list(STAGES)[:2]:
        do(run, stage)
    with refused("stage 'train'", "run 03_split (or `bears split --run"):
        run.facts("train")


def test_open_goes_on_with_the_settings_of_the_run(run, refused):
    do(run, "fetch", folder="here")
    changed = Run(run.config.replace(seed=5))
    assert Run.open(changed.folder).config.seed == run.config.seed, "changed before any stage has ended well"
    do(changed, "fetch", folder="here")
    again = Run.open(changed.folder, max_zoom=0.5)
    assert (again.config.seed, again.config.max_zoom) == (5, 0.5)
    assert again.facts("fetch") == {"folder": "here"}
    with refused("'sede'"):
        Run.open(run.folder, sede=1)


def test_all_runs_below_some_folders_are_opened(run, tmp_path, refused):
    do(run, "fetch", folder="here")
    (tmp_path / "README.md").write_text("not a run")
    (tmp_path / "empty").mkdir()
    for paths in ([run.folder], [run.folder.parent], [tmp_path / "README.md", run.folder]):
        assert [found.folder for found in Run.open_all(paths)] == [run.folder]
    for paths in ([tmp_path / "README.md"], [tmp_path / "empty", run.folder], [run.folder, tmp_path / "nowhere"]):
        with refused("no run", str(paths[0] if "README" in str(paths[0]) else tmp_path)):
            Run.open_all(paths)


def test_settings_can_be_kept_without_a_stage(run):
    do(run, "fetch", folder="here")
    Run(run.config.replace(max_zoom=0.5)).keep_settings()
    assert Run.open(run.folder).config.max_zoom == 0.5 and run.facts("fetch") == {"folder": "here"}


def test_a_run_that_was_moved_is_opened_where_it_lies(run, tmp_path):
    moved = tmp_path / "moved"
    do(run, "fetch", folder="here")
    run.folder.rename(moved)
    assert Run.open(moved).folder == moved
    do(Run.open(moved), "fetch", folder="here")
    assert json.loads((moved / "config.json").read_text())["run"] == str(moved)


def test_a_run_that_is_not_there_is_refused_and_not_made(tmp_path, refused):
    (tmp_path / "empty").mkdir()
    for name in ("absent", "empty"):
        with refused("no run", repr(str(tmp_path / name)), "train one first (make train)"):
            Run.open(tmp_path / name)
    assert os.listdir(tmp_path) == ["empty"] and os.listdir(tmp_path / "empty") == []


def test_a_misspelt_run_is_told_the_nearest_one(run, refused):
    run.keep_settings()
    with refused("no run", "did you mean", repr(str(run.folder))):
        Run.open(f"{run.folder}s")


def test_a_table_that_no_stage_wrote_is_refused(run, refused):
    with refused("splits.csv is missing", "run 01_fetch"):
        run.table("splits.csv")


def test_the_notice_is_for_the_stand_in_alone(run, refused):
    with refused("'restore'"):
        run.notice()
    for kind, notice in {"stand_in": STAND_IN_NOTICE, "named_official": "", "local": ""}.items():
        do(run, "restore", kind=kind)
        assert run.notice() == notice
    assert "\n" not in STAND_IN_NOTICE
