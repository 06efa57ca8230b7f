"""TensorBoard and MLflow get a run's numbers and figures only if asked to, and a failure costs nothing else."""

import importlib.util
import json
import shutil

import pytest

from bears_tl.config import RunConfig
from bears_tl.pipeline import tracking
from bears_tl.pipeline.run import Run

RESULT = {
    "val": {"count": 6, "errors": 1, "accuracy": 5 / 6},
    "test": {"count": 9, "errors": 0, "accuracy": 1.0},
    "seconds": {"train": 2.5},
}


@pytest.fixture
def run(tmp_path):
    """Give a function that makes an evaluated run with settings."""
    from bears_tl.judging.plots import learning_curves, to_png

    def made(**settings):
        run = Run(RunConfig(run=str(tmp_path / "run"), **settings))
        (run.folder / "figures").mkdir(parents=True, exist_ok=True)
        header = "epoch,train_loss,train_accuracy,val_loss,val_accuracy,seconds\n"
        run.path("history.csv").write_text(f"{header}1,0.5,0.75,0.5,,0.1\n2,0.25,1,0.5,1,0.1\n")
        run.path("metrics.json").write_text(json.dumps(RESULT))
        rows = [{**row, "val_accuracy": 1} for row in run.table("history.csv")]
        run.path("figures/learning_curves.png").write_bytes(to_png(learning_curves(rows)))
        return run

    return made


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_without_a_setting_nothing_is_written(run, tmp_path):
    before = files((made := run()).folder)
    tracking.track(made, RESULT)
    assert files(tmp_path) == before


def test_tensorboard_reads_the_numbers_of_each_epoch_and_the_figures(run):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    made = run(tensorboard=True)
    for _ in range(2):  # the second time replaces the first
        tracking.track(made, RESULT)
    assert files(made.path("tensorboard")) == ["events.out.tfevents.run"]
    read = EventAccumulator(str(made.path("tensorboard"))).Reload()
    assert [(point.step, point.value) for point in read.Scalars("training/train_loss")] == [(1, 0.5), (2, 0.25)]
    assert [point.step for point in read.Scalars("training/val_accuracy")] == [2]
    assert [point.value for point in read.Scalars("result/test_count")] == [9]
    (picture,) = read.Images("figures/learning_curves")
    assert picture.encoded_image_string == made.path("figures/learning_curves.png").read_bytes()


def test_mlflow_has_settings_numbers_and_figures(run, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    tracking.track(run(mlflow=True, seed=7), RESULT)
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.run_name, found.info.status, found.data.params["seed"]) == ("run", "FINISHED", "7")
    assert found.data.metrics["test_count"] == 9 and found.data.metrics["train_loss"] == 0.25
    assert {path.path for path in client.list_artifacts(found.info.run_id)} == {"metrics.json", "figures"}


def test_a_server_that_fails_costs_one_line(run, monkeypatch, capsys):
    def fails(*_):
        raise OSError("no route\nto host")

    monkeypatch.setattr(tracking, "_to_mlflow", fails)
    tracking.track(run(mlflow=True), RESULT)
    said = capsys.readouterr().err
    assert "mlflow got nothing (no route to host)" in said and said.count("\n") == 1


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_missing_package_is_named_before_the_work(name, monkeypatch, refused):
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    tracking.check_packages(RunConfig())
    with refused(f"{name}=true", "bears_tl[track]", f"{name}=false"):
        tracking.check_packages(RunConfig(**{name: True}))


def test_an_evaluation_writes_the_logs_without_tensorflow(workspace, tmp_path):
    pytest.importorskip("tensorboard")
    shutil.copytree(workspace.folder / "runs/trained", tmp_path / "run")
    Run.open(tmp_path / "run", tensorboard=True).keep_settings()
    program = "import sys; from bears_tl.cli import main; print(main(sys.argv[1:]), 'tensorflow' in sys.modules)"
    done = workspace.command("-c", program, "evaluate", "--run", tmp_path / "run")
    assert done.stdout.endswith("0 False\n"), done.stderr
    assert files(tmp_path / "run/tensorboard") == ["events.out.tfevents.run"]
