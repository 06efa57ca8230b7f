"""The contenders of the benchmark, each measured in a separate process.

`python -m bears_tl.bench.contenders TASK` does one piece of work, described in a JSON file: see `main`.
"""

import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bears_tl.errors import InputError
from bears_tl.files import read_json, write_json

WARM_UP_PHOTOS = 32
LEAST_SECONDS = 2.0  # of steady work per measured rate


@dataclasses.dataclass(frozen=True)
class Contender:
    """Something that is measured.

    Attributes:
        label: its name in tables.
        group: the table it belongs to, see `speed.GROUPS`.
        ours: whether it is part of bears_tl.
        packages: packages it needs from the extras `bench` and `int8`.
    """

    label: str
    group: str
    ours: bool = False
    packages: tuple[str, ...] = ()


CONTENDERS = {
    "ours_float32": Contender("ours, float32", "body", ours=True),
    "ours_bfloat16": Contender("ours, bfloat16", "body", ours=True),
    "ours_float16": Contender("ours, float16", "body", ours=True),
    "ours_int8": Contender("ours, int8", "body", ours=True, packages=("nncf",)),
    "tensorflow_float32": Contender("ours with engine=tensorflow, float32", "body", ours=True),
    "keras_predict": Contender("Keras model.predict", "body"),
    "openvino_float32": Contender("OpenVINO's throughput mode, float32", "body", packages=("openvino",)),
    "openvino_bfloat16": Contender("OpenVINO's throughput mode, bfloat16", "body", packages=("openvino",)),
    "onnxruntime_float32": Contender("ONNX Runtime, float32", "body", packages=("onnxruntime", "tf2onnx")),
    "bound_float32": Contender("bound, float32", "bound"),
    "bound_bfloat16": Contender("bound, bfloat16", "bound"),
    "bound_int8": Contender("bound, int8", "bound"),
    "ours_files": Contender("ours, cache written", "files", ours=True),
    "tf_data": Contender("tf.data, Keras model.predict", "files"),
    "ours_reading": Contender("ours: Pillow, threads", "reading", ours=True),
    "scikit_image": Contender("the article's: scikit-image, one core", "reading"),
    "train_cold": Contender("bears train, nothing cached", "training", ours=True),
    "train_int8": Contender("bears train, nothing cached, int8", "training", ours=True, packages=("nncf",)),
    "train_warm": Contender("bears train, features cached", "training", ours=True),
    "scikit_learn": Contender("scikit-learn on features of model.predict", "training", packages=("sklearn",)),
    "tutorial": Contender("TensorFlow's tutorial, 10 epochs", "training"),
    "as_2019": Contender("the article's loop", "training"),
}
# These are tuned before the rounds; tf_data uses the best settings of Keras.
TUNED = [name for name, contender in CONTENDERS.items() if contender.group == "body"]


def main(path: str) -> None:
    """Do the work of one process.

    Args:
        path: a JSON file with
            work: prepare, tune or measure; contender: a name in `CONTENDERS`, not for prepare;
            result: the JSON file to write; started: time.time() when the process was started;
            folder: of the work files (pixels.npy, body.pb, body.onnx); photos: the photo folder; rows: all its valid
            photos (path, class_name, sha256, group, split); sample: those of them that rates are measured on;
            checkpoint, fingerprint; cache: a filled cache folder; settings: chosen by `tune`; operations_per_photo;
            precision and engine of our body; iterations of the article's loop and steps of the tutorial (None: all),
            and batch_size of the loop.
    """
    task = read_json(path)
    work = {"prepare": _prepare, "tune": _tune, "measure": _measure}[task["work"]]
    write_json(task["result"], work(task))


def _prepare(task: dict) -> dict:
    """Save the pixels for measuring bodies, and count operations."""
    from bears_tl.bench import bound

    np.save(_file(task, "pixels.npy"), np.stack([pixels for pixels in _read_all(task)]))
    return {"operations_per_photo": bound.operations_per_photo(task["checkpoint"]), "gpus": bound.gpu_names()}


def _tune(task: dict) -> dict:
    """Find a contender's fastest settings on a few photos (best of three tries)."""
    name = task["contender"]
    if CONTENDERS[name].ours:
        body = _body_of(task)
        body.tune()
        return {"settings": dataclasses.asdict(body.plan)}
    _convert(task)
    pixels = np.load(_file(task, "pixels.npy"))[:WARM_UP_PHOTOS]
    candidates, seconds = _candidates(name), []
    for settings in candidates:  # one at a time, because an engine may need a gigabyte
        features = _open_body(task | {"settings": settings})
        features(pixels)
        seconds.append(min(_seconds_of(lambda features=features: features(pixels)) for _ in range(3)))
        del features
    return {"settings": candidates[int(np.argmin(seconds))]}


def _measure(task: dict) -> dict:
    name = task["contender"]
    if CONTENDERS[name].group == "body":
        return _measure_body(task)
    if CONTENDERS[name].group == "bound":
        return _measure_bound(task)
    single = {
        "ours_files": _measure_files,
        "tf_data": _measure_tf_data,
        "ours_reading": _measure_reading,
        "scikit_image": _measure_scikit_image,
        "as_2019": _measure_2019,
        "tutorial": _measure_tutorial,
        "scikit_learn": _measure_scikit_learn,
    }
    return single[name](task)


def _measure_body(task: dict) -> dict:
    pixels = np.load(_file(task, "pixels.npy"))
    features = _open_body(task)
    features(pixels[:WARM_UP_PHOTOS])
    start_seconds = time.time() - task["started"]
    return {"value": _rate(lambda: features(pixels), len(pixels)), "start_seconds": start_seconds}


def _measure_bound(task: dict) -> dict:
    from bears_tl.bench import bound

    precision = task["contender"].removeprefix("bound_")
    if not (rates := bound.best_rates(precision)):
        raise InputError(f"no library computes in {precision} on this processor")
    best = rates[0]
    value = best["gflop_per_second"] * 1e9 / task["operations_per_photo"]
    note = f"{best['work']}: {best['gflop_per_second']:.0f} GFLOP/s, the best of {len(rates)} kinds of work"
    return {"value": value, "rates": rates, "note": note}


def _measure_files(task: dict) -> dict:
    """Extract features as `bears features` does, each time into an empty cache."""
    from bears_tl.features.cache import FeatureCache
    from bears_tl.features.extract import extract
    from bears_tl.photos.views import CENTER

    body = _our_body(task, task["precision"], task["engine"])
    body.tune()
    body.infer(np.load(_file(task, "pixels.npy"), mmap_mode="r")[:WARM_UP_PHOTOS])
    start_seconds = time.time() - task["started"]

    def work():
        with tempfile.TemporaryDirectory(dir=task["folder"]) as folder:
            cache = FeatureCache(folder, task["fingerprint"], body.bits)
            extract(lambda: body, task["photos"], task["sample"], [CENTER], cache)

    return {"value": _rate(work, len(task["sample"])), "start_seconds": start_seconds}


def _measure_tf_data(task: dict) -> dict:
    from bears_tl.bench.peers import TfData

    pipeline = TfData(task["checkpoint"], **task["settings"])
    pipeline.warm_up(np.load(_file(task, "pixels.npy"), mmap_mode="r")[:WARM_UP_PHOTOS])
    start_seconds = time.time() - task["started"]
    read = []
    rate = _rate(lambda: read.append(len(pipeline.features(_paths(task)))), len(task["sample"]))
    skipped = len(task["sample"]) - read[0]
    note = f"{skipped} photos could not be decoded" if skipped else ""
    return {"value": rate * read[0] / len(task["sample"]), "start_seconds": start_seconds, "note": note}


def _measure_reading(task: dict) -> dict:
    rate = _rate(lambda: sum(1 for _ in _read_all(task)), len(task["sample"]))
    return {"value": rate}


def _measure_scikit_image(task: dict) -> dict:
    from bears_tl.article.views import read_view

    started = time.perf_counter()
    views = [read_view(path, "center", None) for path in _paths(task)]
    rate = len(views) / (time.perf_counter() - started)
    differences = [
        np.abs((view + 1) * 127.5 - pixels).mean() for view, pixels in zip(views, _read_all(task), strict=True)
    ]
    note = f"differs from ours by {np.mean(differences):.2f} of 255 levels on average, {max(differences):.1f} at most"
    return {"value": rate, "pixel_differences": [float(difference) for difference in differences], "note": note}


def _measure_2019(task: dict) -> dict:
    from bears_tl.article import procedure

    imported_seconds = time.time() - task["started"]
    limits = {"batch_size": task["batch_size"], "iterations": task["iterations"]}
    with tempfile.TemporaryDirectory(dir=task["folder"]) as saved:
        result = procedure.train_and_test(task["photos"], task["rows"], task["checkpoint"], saved, **limits)
    done, planned = len(result.iteration_seconds), result.planned_iterations
    rate = f"{task['batch_size'] / result.seconds_per_iteration:.1f} photos/s in its loop"
    facts = {"iterations": done, "planned_iterations": planned, "seconds_of_parts": result.seconds}
    if done < planned:
        note = f"extrapolated from {done} of {planned} iterations; {rate}"
        return facts | {"value": imported_seconds + result.extrapolated_seconds(), "extrapolated": True, "note": note}
    right = f"{int(result.hits.sum())} of {len(result.hits)} test photos right"
    facts |= {"test_accuracy": result.accuracy_of_photos, "test_count": len(result.hits), "extrapolated": False}
    return facts | {"value": imported_seconds + result.seconds["total"], "note": f"{right}; {rate}"}


def _measure_tutorial(task: dict) -> dict:
    from bears_tl.bench import tutorial

    found = tutorial.train_and_test(task["photos"], task["rows"], task["checkpoint"], steps=task["steps"])
    seconds = time.time() - task["started"] + found["missing_seconds"]
    if found["steps"] < found["planned_steps"]:
        note = f"extrapolated from {found['steps']} of {found['planned_steps']} steps"
        return found | {"value": seconds, "extrapolated": True, "note": note}
    facts = {"test_accuracy": found["right"] / found["count"], "test_count": found["count"], "extrapolated": False}
    return facts | {"value": seconds, "note": f"{found['right']} of {found['count']} test photos right"}


def _measure_scikit_learn(task: dict) -> dict:
    from bears_tl.bench import peers

    right, count = peers.logistic_regression(task["photos"], task["rows"], task["checkpoint"], task["settings"])
    facts = {"test_accuracy": right / count, "test_count": count}
    return facts | {"value": time.time() - task["started"], "note": f"{right} of {count} test photos right"}


def _candidates(name: str) -> tuple[dict, ...]:
    if name == "keras_predict":
        from bears_tl.bench.peers import KerasPredict

        return KerasPredict.CANDIDATES
    from bears_tl.bench import engines

    return (engines.OpenVino if name.startswith("openvino") else engines.OnnxRuntime).CANDIDATES


def _convert(task: dict) -> None:
    """Write the file that an engine reads, if it is missing."""
    name, graph, onnx = task["contender"], _file(task, "body.pb"), _file(task, "body.onnx")
    if name.startswith(("openvino", "onnxruntime")) and not graph.exists():
        from bears_tl.bench import peers

        peers.freeze(task["checkpoint"], graph)
    if name.startswith("onnxruntime") and not onnx.exists():
        from bears_tl.bench import peers

        peers.convert_to_onnx(graph, onnx)


def _open_body(task: dict) -> Callable[[np.ndarray], np.ndarray]:
    """Give a contender's function from pixels, uint8 [n, 299, 299, 3], to features, float32 [n, 2048]."""
    engine, _, precision = task["contender"].partition("_")
    if CONTENDERS[task["contender"]].ours:
        body = _body_of(task)
        body.tune()  # reads the saved plan
        return body.infer
    if engine == "keras":
        from bears_tl.bench.peers import KerasPredict

        return KerasPredict(task["checkpoint"], **task["settings"]).features
    from bears_tl.bench import engines

    if engine == "openvino":
        return engines.OpenVino(_file(task, "body.pb"), precision, **task["settings"]).features
    return engines.OnnxRuntime(_file(task, "body.onnx"), **task["settings"]).features


def _body_of(task: dict):
    """Open our body for a contender: in the engine of this machine, or in TensorFlow."""
    engine, _, precision = task["contender"].partition("_")
    return _our_body(task, precision, "tensorflow" if engine == "tensorflow" else task["engine"])


def _our_body(task: dict, precision: str, engine: str):
    from bears_tl.inception.body import Body

    return Body.open(task["checkpoint"], task["fingerprint"], precision, Path(task["cache"]), engine)


def _read_all(task: dict):
    from bears_tl.photos.views import CENTER, read_views
    from bears_tl.threads import map_ahead

    return map_ahead(lambda path: read_views(path, [CENTER], "")[0], _paths(task), ahead=32)


def _paths(task: dict) -> list[Path]:
    return [Path(task["photos"], row["path"]) for row in task["sample"]]


def _file(task: dict, name: str) -> Path:
    return Path(task["folder"], name)


def _rate(work: Callable[[], object], count: int) -> float:
    """Repeat work on `count` photos for at least LEAST_SECONDS and give photos per second."""
    times, seconds = 0, 0.0
    while seconds < LEAST_SECONDS:
        times, seconds = times + 1, seconds + _seconds_of(work)
    return count * times / seconds


def _seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(sys.argv[1])
