"""The ladder of a run and its verb: finished rungs are kept, an interrupted one resumes, the run stays the same."""

import csv
import json
import shutil

import numpy as np
import pytest

from bears_tl.inception.architecture import columns
from bears_tl.inception.body import Body
from bears_tl.photos.views import CENTER, read_views
from bears_tl.pipeline import artifacts, stages
from bears_tl.pipeline.run import Run
from bears_tl.studies import ladder
from bears_tl.training.head import softmax

pytestmark = pytest.mark.slow


@pytest.fixture
def run(workspace, tmp_path, monkeypatch):
    """Give a copy of the trained run with two epochs per rung."""
    monkeypatch.chdir(workspace.folder)
    monkeypatch.setenv("BEARS_TL_CACHE", str(workspace.folder / "cache"))
    shutil.copytree(workspace.folder / "runs/trained", tmp_path / "run")
    shutil.rmtree(tmp_path / "run/ladder", ignore_errors=True)
    return Run.open(tmp_path / "run", fine_tune_epochs=2)


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def files(run):
    return {
        str(path.relative_to(run.folder)): path.read_bytes() for path in sorted(run.folder.rglob("*")) if path.is_file()
    }


def val_loss_of_the_head(run):
    """Compute the loss of the run's own head before its temperature, with the body in float32 as rungs have it."""
    head, val, photos = ladder._first_head(run), artifacts.split_rows(run)["val"], artifacts.photo_folder(run)
    views = np.stack([read_views(photos / row["path"], [CENTER], row["sha256"])[0] for row in val])
    facts = artifacts.checkpoint_facts(run)
    body = Body.open(facts["path"], facts["fingerprint"], "float32", artifacts.cache_folder())
    shares = softmax(head.logits(body.features(views)[:, columns(head.depths)]))
    own = [head.class_names.index(row["class_name"]) for row in val]
    return -np.log(shares[np.arange(len(val)), own]).mean()


def test_a_ladder_is_climbed_rung_by_rung_and_nothing_else_of_the_run_moves(run, capsys):
    before = files(run)
    said = []
    found = ladder.climb(run, ["mixed_7c", "head"], said.append)
    assert [row["rung"] for row in found] == ["head", "mixed_7c"] == [line.partition(":")[0] for line in said]
    after = files(run)
    others = {"receipt.json", "config.json"}
    assert {name: after[name] for name in before if name not in others} == {
        name: before[name] for name in before if name not in others
    }
    made = {"history.csv", "predictions.csv", "result.json", "weights.npz"}
    assert set(after) - set(before) == {"ladder.csv", "ladder.png"} | {
        f"ladder/{rung}/{name}" for rung in ("head", "mixed_7c") for name in made
    }
    table = rows(run.path("ladder.csv"))
    assert list(table[0]) == ladder.LADDER_COLUMNS
    assert [int(row["trained_values"]) for row in table] == [6147, 6147 + 6_073_536]
    for row in table:
        predictions = rows(run.path("ladder") / row["rung"] / "predictions.csv")
        wrong = sum(each["predicted"] != each["class_name"] for each in predictions if each["split"] == "test")
        assert int(row["test_errors"]) == wrong and int(row["test_count"]) == 6
        assert float(row["test_interval_low"]) <= 1 - wrong / 6 <= float(row["test_interval_high"])
    start = rows(run.path("ladder/head/history.csv"))[0]
    assert float(start["val_loss"]) == pytest.approx(val_loss_of_the_head(run), abs=5e-3)
    assert run.facts("ladder") == {"rungs": ["head", "mixed_7c"]} and "metrics.json" in after

    # a finished rung is not trained again; the table keeps both rungs
    state = files(run)
    found = ladder.climb(run, ["mixed_7c"], said.append)
    assert {name: data for name, data in files(run).items() if name not in others | {"ladder.png"}} == {
        name: data for name, data in state.items() if name not in others | {"ladder.png"}
    }
    assert len(found) == 2
    # with another setting, the table holds only rungs trained with that setting
    changed = Run.open(run.folder, fine_tune_epochs=1)
    assert [row["rung"] for row in ladder.climb(changed, ["head"], said.append)] == ["head"]
    # training another head removes the ladder
    other = Run.open(run.folder, epochs=3)
    stages.train(other)
    assert not other.path("ladder.csv").exists() and not other.path("ladder").exists()


def test_an_interrupted_ladder_says_so_keeps_what_is_done_and_goes_on(run, monkeypatch, capsys):
    from bears_tl import cli
    from bears_tl.training import fine_tuning

    whole = fine_tuning.FineTuning.train

    def interrupted(self, table, epoch, first_step):
        if self.network.rung == "mixed_7c" and epoch == 2:
            raise KeyboardInterrupt
        yield from whole(self, table, epoch, first_step)

    monkeypatch.setattr(fine_tuning.FineTuning, "train", interrupted)
    with run.stage("evaluate"):
        pass  # so that config.json has this test's settings
    words = ["ladder", "--run", str(run.folder), "--rungs", "head", "mixed_7c"]
    assert cli.main(words) == 130
    said = capsys.readouterr()
    assert "interrupted at mixed_7c" in said.err and "Traceback" not in said.err
    assert [row["rung"] for row in rows(run.path("ladder.csv"))] == ["head"]
    assert run.path("ladder/mixed_7c/state.npz").is_file() and "ladder" not in run.receipt()["stages"]
    monkeypatch.undo()
    monkeypatch.chdir(run.folder.parent)
    assert cli.main(words) == 0
    assert [row["rung"] for row in rows(run.path("ladder.csv"))] == ["head", "mixed_7c"]
    assert [row["epoch"] for row in rows(run.path("ladder/mixed_7c/history.csv"))] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--rungs", "mixed_8a"], ["'mixed_8a'", "head, mixed_7c"]),
        (["--rungs", "HEAD"], ["'HEAD'"]),
    ],
)
def test_an_unknown_rung_is_one_line(run, capsys, words, named):
    from bears_tl import cli

    before = files(run)
    assert cli.main(["ladder", "--run", str(run.folder), *words]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and all(word in said for word in named)
    assert files(run) == before


def test_a_run_that_is_not_trained_is_one_line(run, refused):
    receipt = json.loads(run.path("receipt.json").read_text())
    run.path("head.npz").unlink()
    with refused("head.npz", "train the run"):
        ladder.climb(run, ["head"])
    del receipt["stages"]["train"]
    run.path("receipt.json").write_text(json.dumps(receipt))
    with refused("'train'"):
        ladder.climb(run, ["head"])


def test_a_damaged_result_or_state_is_one_line_and_stays(run, refused):
    for name in ("result.json", "state.npz"):
        path = run.path("ladder/head") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("broken")
        with refused(name, "remove it"):
            ladder.climb(run, ["head"])
        assert path.read_text() == "broken"
        path.unlink()
