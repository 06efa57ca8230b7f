"""Show a run in TensorBoard or record it in MLflow, if its settings ask for that."""

import importlib.util
import os
import sys
import time
from pathlib import Path

from bears_tl.config import RunConfig
from bears_tl.errors import InputError, reason_of
from bears_tl.files import atomic_path
from bears_tl.pipeline.run import Run

FOLDER = "tensorboard"  # in the run
EXPERIMENT = "bears_tl"  # in MLflow


def check_packages(config: RunConfig) -> None:
    """Check that what the settings ask for is installed, before minutes of work.

    Raises:
        InputError: a package is missing.
    """
    database = () if "MLFLOW_TRACKING_URI" in os.environ else ("sqlalchemy", "alembic")
    for name, packages in {"tensorboard": ("tensorboard",), "mlflow": ("mlflow", *database)}.items():
        missing = [package for package in packages if importlib.util.find_spec(package) is None]
        if getattr(config, name) and missing:
            raise InputError(
                f"{name}=true, but {missing[0]} is not installed: pip install 'bears_tl[track]', or set {name}=false"
            )


def track(run: Run, result: dict) -> None:
    """Write the logs that the settings ask for. A failure costs a line on stderr, not the results.

    Args:
        run: an evaluated run.
        result: the content of metrics.json.
    """
    for name, write in (("tensorboard", _to_tensorboard), ("mlflow", _to_mlflow)):
        if getattr(run.config, name):
            try:
                write(run, _curves(run), _scalars(result))
            except Exception as error:  # servers and disks fail in many ways
                print(f"{run.folder}: {name} got nothing ({reason_of(error)})", file=sys.stderr)


def _curves(run: Run) -> list[tuple[int, dict[str, float]]]:
    """Return the numbers of each epoch; empty cells are left out."""
    found = []
    for row in run.table("history.csv"):
        epoch = int(row.pop("epoch"))
        found.append((epoch, {name: float(value) for name, value in row.items() if value}))
    return found


def _scalars(result: dict) -> dict[str, float]:
    """Return the numbers of val and test that stand for the whole run."""
    names = ("count", "errors", "accuracy", "balanced_accuracy", "cross_entropy", "ece")
    found = {f"{split}_{name}": result[split].get(name) for split in ("val", "test") for name in names}
    found |= {f"seconds_{name}": seconds for name, seconds in result["seconds"].items()}
    return {name: float(value) for name, value in found.items() if value is not None}


def _figures(run: Run) -> list[Path]:
    return sorted(run.path("figures").glob("*.png"))


def _to_tensorboard(run: Run, curves: list[tuple[int, dict]], scalars: dict) -> None:
    """Write one file of events. TensorBoard's own writer of files would import TensorFlow; that of records does not."""
    from PIL import Image
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    def numbers(folder: str, values: dict[str, float]) -> list:
        return [Summary.Value(tag=f"{folder}/{name}", simple_value=value) for name, value in values.items()]

    last = curves[-1][0] if curves else 0
    events = [(epoch, numbers("training", values)) for epoch, values in curves] + [(last, numbers("result", scalars))]
    for path in _figures(run):
        with Image.open(path) as image:
            width, height = image.size
        picture = Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=path.read_bytes())
        events.append((last, [Summary.Value(tag=f"figures/{path.stem}", image=picture)]))
    now = time.time()
    with atomic_path(run.path(FOLDER) / "events.out.tfevents.run") as temporary, open(temporary, "wb") as file:
        records = RecordWriter(file)
        records.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        for step, values in events:
            records.write(Event(wall_time=now, step=step, summary=Summary(value=values)).SerializeToString())


def _to_mlflow(run: Run, curves: list[tuple[int, dict]], scalars: dict) -> None:
    """Record settings, numbers, metrics.json and figures as a new run of MLflow."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # a run sends nothing to anyone unless asked to
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # the default tries for minutes
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    client = MlflowClient()
    known = client.get_experiment_by_name(EXPERIMENT)
    experiment = known.experiment_id if known else client.create_experiment(EXPERIMENT)
    name = client.create_run(experiment, run_name=run.folder.name).info.run_id
    now = int(1000 * time.time())
    metrics = [Metric(key, value, now, epoch) for epoch, values in curves for key, value in values.items()]
    metrics += [Metric(key, value, now, 0) for key, value in scalars.items()]
    settings = [Param(key, str(value)) for key, value in run.config.as_dict().items()]
    client.log_batch(name, params=settings)
    for start in range(0, len(metrics), 1000):  # MLflow takes no more at once
        client.log_batch(name, metrics=metrics[start : start + 1000])
    client.log_artifact(name, str(run.path("metrics.json")))
    for path in _figures(run):
        client.log_artifact(name, str(path), "figures")
    client.set_terminated(name)
