"""The same features from many machines: Ray Data reads photos in tasks, and an actor a worker holds the body."""

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
from bears_tl.inception.architecture import FEATURES
from bears_tl.inception.body import Body
from bears_tl.photos.storage import read_photo
from bears_tl.photos.views import IMAGE_SIZE_PX, View
from bears_tl.tensorflow import quiet_stderr

_BLOCK_VIEWS = 128  # what a task reads and a body is given at once, 34 MB; a worker that dies loses a few blocks


class Worker:
    """An actor of Ray: one machine's or one GPU's body, opened once."""

    def __init__(self, graph, precision: str, tune: bool):
        """Open the body.

        Args:
            graph: Ray's reference to the bytes of the frozen graph.
            precision: what it computes in.
            tune: whether to find out first how it is fed the fastest here.
        """
        import ray

        from bears_tl.tensorflow import tf

        self.body = Body(tf.compat.v1.GraphDef.FromString(ray.get(graph)), precision)
        if tune:
            self.body.tune()

    def __call__(self, block: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Put features, float16 [n, 2048], in the place of pixels, uint8 [n, 299, 299, 3]."""
        pixels, good = block.pop("pixels"), block["error"] == ""
        features = np.zeros((len(pixels), FEATURES), np.float16)
        try:
            features[good] = self.body.features(pixels[good])
        except InputError as error:  # the weights are broken
            block["error"] = np.full(len(pixels), str(error), object)
        return block | {"features": features}


def compute(
    graph,
    folder: str | Path,
    missing: list[tuple[dict, list[View]]],
    precision: str,
    address: str | None = None,
    worker: type = Worker,
) -> Iterator[tuple]:
    """Yield rows, (SHA-256, view) each, and their features, float16 [n, 2048], in the order in which they are finished.

    A worker that dies is started again, and what it had in work is done again; Ray Data sees to that. An error of a
    photo travels as a value: an exception would be wrapped, logged and, as Ray cannot know better, tried again.

    Args:
        graph: the frozen graph, which travels through Ray's object store: workers need no file of it.
        folder: of the photos, on a disk that all workers see, or its address, see `storage.read_photo`.
        missing: photos, and which of their views.
        precision: what the graph computes in.
        address: of a cluster; without it Ray's own rules hold: RAY_ADDRESS, a cluster on this machine, a new one.
        worker: the class of the actors.

    Raises:
        InputError: a photo can no longer be read or was changed, or Ray gave up; what was finished came before.
        NotReachableError: there is no cluster at the address.
    """
    views = list({view: None for _, todo in missing for view in todo})

    def read(block: dict[str, np.ndarray]) -> dict[str, np.ndarray]:  # it travels by value: no task imports TensorFlow
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
        # A block for each body and more even of few photos, and never more views than a task should hold.
        block_photos = min(len(missing) // (4 * cores), _BLOCK_VIEWS * len(missing) // total)
        table = ray.data.from_arrow(_tables(missing, views, max(block_photos, 1)))
        done = table.map_batches(read, batch_size=None).map_batches(
            worker,
            batch_size=None,
            fn_constructor_kwargs={
                "graph": ray.put(graph.SerializeToString()),
                "precision": precision,
                "tune": total >= WORTH_TUNING * workers,
            },
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_gpus=1 if gpus else 0,
            num_cpus=0,  # its threads share the cores with the reading, as those of one machine alone do
        )
        blocks = iter(done.iter_batches(batch_size=None, batch_format="numpy"))
        ending.callback(blocks.close)
        with quiet_stderr():  # Ray's C++ warns of what Ray Data itself does when it starts actors
            first = next(blocks)
        for block in itertools.chain([first], blocks):
            good = block["error"] == ""
            if good.any():
                named = zip(block["sha256"][good], block["view"][good], strict=True)
                yield [(sha256, views[view]) for sha256, view in named], block["features"][good]
            if not good.all():
                raise InputError(block["error"][~good][0])


def _tables(missing: list[tuple[dict, list[View]]], views: list[View], photos: int) -> list:
    """Write what is to do as tables of some photos each; views by their numbers."""
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
    """Count the GPUs of a cluster, its machines that may work, and their cores."""
    machines = [machine["Resources"] for machine in ray.nodes() if machine["Alive"] and machine["Resources"].get("CPU")]
    totals = [int(sum(machine.get(name, 0) for machine in machines)) for name in ("GPU", "CPU")]
    return totals[0], max(len(machines), 1), max(totals[1], 1)


@contextlib.contextmanager
def _connected(address: str | None) -> Iterator:
    """Connect to a cluster, or start one on this machine and stop it in the end; one that is connected stays so.

    Gives Ray, and an ExitStack for what is to be ended before that.

    Nothing is reported to Ray's makers, and Ray's own lines stay in its log files: what matters to a user is raised.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # or a straggler's call would start a cluster of its own
    try:
        import ray
        import ray.data
    except ImportError:
        raise InputError("the engine ray needs the extra `ray`: pip install 'bears_tl[ray]'") from None
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL + 1)
    ray.data.DataContext.get_current().enable_progress_bars = False
    started = not ray.is_initialized()
    if started:
        address = address or os.environ.get("RAY_ADDRESS")
        try:
            _knock(address or "")
            with quiet_stderr():
                ray.init(address, include_dashboard=False, log_to_driver=False, logging_level=logging.CRITICAL)
        except Exception as error:  # Ray raises many kinds
            raise NotReachableError(
                f"no Ray cluster at {address!r} ({reason_of(error)}): "
                "expected HOST:PORT of a running `ray start --head`"
            ) from None
    ending = contextlib.ExitStack()
    if started:
        ending.callback(ray.shutdown)
    try:
        yield ray, ending
    except ray.exceptions.RayError as error:
        last = str(error).strip().splitlines()[-1]
        raise InputError(f"Ray gave up ({last}): what was finished is kept, run the same command again") from None
    finally:
        with contextlib.redirect_stdout(io.StringIO()):  # Ray says of each actor that it stops that it was killed
            ending.close()


def _knock(address: str) -> None:
    """Raise OSError or ValueError where nobody listens: Ray itself would try for minutes, with many lines."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), timeout=10).close()
