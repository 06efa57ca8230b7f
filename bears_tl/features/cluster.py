"""Compute features on many machines: Ray Data reads photos in tasks, and each worker is an actor with the body."""

import contextlib
import io
import itertools
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bears_tl.batches import batches_of
from bears_tl.errors import InputError, NotReachableError, reason_of
from bears_tl.features.extract import WORTH_TUNING
from bears_tl.inception.architecture import POOLED
from bears_tl.inception.body import Body
from bears_tl.photos.storage import read_photo
from bears_tl.photos.views import IMAGE_SIZE_PX, View
from bears_tl.tensorflow import quiet_stderr

_BLOCK_VIEWS = 128  # per task and per call of a body, 34 MB; a worker that dies loses a few blocks


class Worker:
    """A Ray actor: the body of one machine or one GPU, opened once."""

    def __init__(self, packed, precision: str, engine: str, tune: bool):
        """Open the body.

        Args:
            packed: Ray's reference to the result of `inception.body.pack`.
            precision: the precision of the body.
            engine: the engine of the body.
            tune: whether to find the fastest batch size and number of streams first.
        """
        import ray

        self.body = Body.unpack(ray.get(packed), precision, engine)
        if tune:
            self.body.tune()

    def __call__(self, block: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Replace the pixels of a block, uint8 [n, 299, 299, 3], with features, float16 [n, 6144]."""
        pixels, good = block.pop("pixels"), block["error"] == ""
        features = np.zeros((len(pixels), POOLED), np.float16)
        try:
            features[good] = self.body.features(pixels[good])
        except InputError as error:  # broken weights
            block["error"] = np.full(len(pixels), str(error), object)
        return block | {"features": features}


def compute(
    packed: list[bytes],
    folder: str | Path,
    missing: list[tuple[dict, list[View]]],
    precision: str,
    engine: str,
    address: str | None = None,
    worker: type = Worker,
) -> Iterator[tuple]:
    """Yield rows, (SHA-256, view) each, and their features, float16 [n, 6144], in the order of completion.

    If a worker dies, Ray Data restarts it and repeats its unfinished work. An error about a photo is returned as a
    value, because Ray would wrap and log an exception and retry the task.

    Args:
        packed: the body, see `inception.body.pack`; it is sent through Ray's object store, so workers need no file.
        folder: the photo folder, on a disk that all workers can read, or its address, see `storage.read_photo`.
        missing: photos, and which of their views to compute.
        precision: the precision of the body.
        engine: the engine of the body.
        address: the address of a cluster; without it Ray's rules apply: RAY_ADDRESS, a cluster on this machine, or a
            new one.
        worker: the class of the actors.

    Raises:
        InputError: a photo cannot be read or was changed, or Ray failed; finished features are yielded first.
        NotReachableError: there is no cluster at the address.
    """
    views = list({view: None for _, todo in missing for view in todo})

    def read(block: dict[str, np.ndarray]) -> dict[str, np.ndarray]:  # pickled by value: tasks import no TensorFlow
        rows = []
        for path, sha256, todo in zip(block["path"], block["sha256"], block["todo"], strict=True):
            try:
                pixels = read_photo(folder, {"path": path, "sha256": sha256}, [views[view] for view in todo])
                rows += [(sha256, view, "", of_view) for view, of_view in zip(todo, pixels, strict=True)]
            except InputError as error:
                rows.append((sha256, -1, str(error), np.zeros((IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3), np.uint8)))
        columns = zip(("sha256", "view", "error", "pixels"), zip(*rows, strict=True), strict=True)
        return {name: np.array(column) for name, column in columns}

    total = sum(len(todo) for _, todo in missing)
    with _connected(address) as (ray, ending):
        gpus, machines, cores = _resources(ray)
        workers = gpus or machines
        # Small enough that few photos still make several blocks per body, and that no task holds too many views
        block_photos = min(len(missing) // (4 * cores), _BLOCK_VIEWS * len(missing) // total)
        table = ray.data.from_arrow(_tables(missing, views, max(block_photos, 1)))
        done = table.map_batches(read, batch_size=None).map_batches(
            worker,
            batch_size=None,
            fn_constructor_kwargs={
                "packed": ray.put(packed),
                "precision": precision,
                "engine": engine,
                "tune": total >= WORTH_TUNING * workers,
            },
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_gpus=1 if gpus else 0,
            num_cpus=0,  # its threads share the cores with the readers, as on a single machine
        )
        blocks = iter(done.iter_batches(batch_size=None, batch_format="numpy"))
        ending.callback(blocks.close)
        with quiet_stderr():  # Ray's C++ code warns about what Ray Data does when it starts actors
            first = next(blocks)
        for block in itertools.chain([first], blocks):
            good = block["error"] == ""
            if good.any():
                named = zip(block["sha256"][good], block["view"][good], strict=True)
                yield [(sha256, views[view]) for sha256, view in named], block["features"][good]
            if not good.all():
                raise InputError(block["error"][~good][0])


def _tables(missing: list[tuple[dict, list[View]]], views: list[View], photos: int) -> list:
    """Split the work into tables of `photos` photos each; views are given by number."""
    import pyarrow

    numbers = {view: number for number, view in enumerate(views)}
    return [
        pyarrow.table(
            {
                "path": [photo["path"] for photo, _ in part],
                "sha256": [photo["sha256"] for photo, _ in part],
                "todo": [[numbers[view] for view in todo] for _, todo in part],
            }
        )
        for part in batches_of(missing, photos)
    ]


def _resources(ray) -> tuple[int, int, int]:
    """Return the number of GPUs of a cluster, of machines that may run tasks, and of their cores."""
    machines = [machine["Resources"] for machine in ray.nodes() if machine["Alive"] and machine["Resources"].get("CPU")]
    totals = [int(sum(machine.get(name, 0) for machine in machines)) for name in ("GPU", "CPU")]
    return totals[0], max(len(machines), 1), max(totals[1], 1)


@contextlib.contextmanager
def _connected(address: str | None) -> Iterator:
    """Connect to a cluster, or start one on this machine, and disconnect at the end; an open connection stays open.

    Yields Ray, and an ExitStack for what must be closed before disconnecting.

    Usage reports to Ray's makers are turned off, and Ray's messages go to its log files only: errors that matter to the
    user are raised.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # else a late call would start another cluster
    try:
        import ray
        import ray.data
    except ImportError:
        raise InputError("the engine ray needs the extra `ray`: run pip install 'bears_tl[ray]'") from None
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL + 1)
    ray.data.DataContext.get_current().enable_progress_bars = False
    started = not ray.is_initialized()
    if started:
        address = address or os.environ.get("RAY_ADDRESS")
        try:
            _check_reachable(address or "")
            with quiet_stderr():
                ray.init(address, include_dashboard=False, log_to_driver=False, logging_level=logging.CRITICAL)
        except Exception as error:  # Ray raises many kinds
            raise NotReachableError(
                f"no Ray cluster at {address!r} ({reason_of(error)}): start one with `ray start --head` "
                "and give its HOST:PORT"
            ) from None
    ending = contextlib.ExitStack()
    if started:
        ending.callback(ray.shutdown)
    try:
        yield ray, ending
    except ray.exceptions.RayError as error:
        last = str(error).strip().splitlines()[-1]
        raise InputError(f"Ray failed ({last}): finished features are kept, run the same command again") from None
    finally:
        with contextlib.redirect_stdout(io.StringIO()):  # Ray prints that each stopped actor was killed
            ending.close()


def _check_reachable(address: str) -> None:
    """Raise OSError or ValueError if nothing listens there; Ray would retry for minutes and print many lines."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), timeout=10).close()
