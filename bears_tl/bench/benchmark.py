"""The benchmark: contenders in separate processes, interleaved and repeated, with their ratios to ours."""

import contextlib
import dataclasses
import datetime
import importlib.util
import itertools
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bears_tl.bench import speed
from bears_tl.bench.contenders import CONTENDERS, TUNED
from bears_tl.bench.processes import Bench, ContenderError
from bears_tl.config import check_checkpoint
from bears_tl.errors import InputError
from bears_tl.files import write_bytes, write_json
from bears_tl.hardware import accelerations, versions_of
from bears_tl.pipeline.run import Run

PHOTOS = 128  # a rate is measured on this many
ITERATIONS_2019 = 5  # of the article's loop; the first one is the warm-up
STEPS = 5  # of the tutorial's, likewise
BATCH_SIZE_2019 = 40
PIP_LINE = ".venv/bin/pip install -e '.[bench,int8]'"
_PACKAGES = ("openvino", "nncf", "onnxruntime", "tf2onnx", "scikit-learn", "tf-slim")


def measure(
    photos: str = "sample",
    checkpoint: str = "random",
    peers: bool = False,
    full: bool = False,
    rounds: int = 3,
    to: str | Path = "results",
    say: Callable[[str], None] = print,
    sample: int = PHOTOS,
    batch_size_2019: int = BATCH_SIZE_2019,
) -> dict:
    """Measure all contenders and write MACHINE.json, .md and .png, so that several machines' results can lie together.

    Args:
        photos: like the setting `photos`.
        checkpoint: like the setting `checkpoint`.
        peers: include what needs the extras `bench` and `int8`.
        full: run the article's loop and TensorFlow's tutorial to their ends instead of a few steps.
        rounds: how many times each contender is measured.
        to: the output folder; the JSON file and the table are updated after each measurement.
        say: called with one line per measurement.
        sample: number of photos that a rate is measured on.
        batch_size_2019: batch size of the article's loop.

    Returns:
        The content of the JSON file, see `report`.

    Raises:
        InputError: a setting is refused, or bears_tl itself fails on these photos.
    """
    if rounds < 1:
        raise InputError(f"--rounds {rounds} is out of range, expected 1 or more")
    with _bench(photos, checkpoint, say) as (bench, prepared):
        shared = {"iterations": None if full else ITERATIONS_2019, "steps": None if full else STEPS}
        shared |= {"batch_size": batch_size_2019}
        rows = sorted(prepared.table("splits.csv"), key=lambda row: row["sha256"])
        restored = prepared.facts("restore")
        bench.task |= shared | {"rows": rows, "sample": rows[:sample], "checkpoint": restored["path"]}
        bench.task |= {"fingerprint": restored["fingerprint"], "precision": restored["precision"]}
        bench.task |= {"engine": restored["engine"], "cache": str(bench.folder / "warm")}
        result, _ = bench.work("bears_tl.bench.contenders", work="prepare")
        bench.task |= {"operations_per_photo": result["operations_per_photo"]}

        left_out, names = _choose(peers, restored["precision"], restored["engine"])
        failed: dict[str, str] = {}
        settings = _tune(bench, names, failed, say)
        facts = {"left_out": left_out, "failed": failed, "settings": settings, "gpus": result["gpus"]}
        measured: dict[str, list[dict]] = {name: [] for name in names}
        for i, name in itertools.product(range(1, rounds + 1), names):
            if name in failed:
                continue
            label, unit = CONTENDERS[name].label, speed.GROUPS[CONTENDERS[name].group][1]
            try:
                measured[name].append({"round": i} | bench.measure(name, settings.get(name, {})))
                say(f"round {i} of {rounds}: {label}: {measured[name][-1]['value']:.1f} {unit}")
            except ContenderError as error:
                failed[name] = str(error)
                say(f"round {i} of {rounds}: {label} failed: {error}")
            found = report(bench.task, prepared, measured, facts, i)
            files = Path(to, machine_name(found["machine"]))
            write_json(files.with_suffix(".json"), found)
            write_bytes(files.with_suffix(".md"), speed.table(found).encode())
    from bears_tl.judging import plots

    plots.save(speed.figure(found), files.with_suffix(".png"))
    return found


def machine_name(machine: dict) -> str:
    """Name a machine for files: processor, cores, instruction sets that speed up the body, and GPUs."""
    words = [machine["processor"], f"{machine['cores']} cores", *machine["accelerations"], *machine["gpus"]]
    return re.sub("[^a-z0-9]+", "-", " ".join(words).lower().replace("(r)", "")).strip("-")


def profile(photos: str, checkpoint: str, to: str | Path, say: Callable[[str], None] = print) -> str:
    """Run `bears train` with an empty cache and report where its time goes; writes profile.md.

    Raises:
        InputError: a setting is refused.
    """
    with _bench(photos, checkpoint, say) as (bench, _):
        settings = {"photos": bench.task["photos"], "checkpoint": checkpoint, "run": str(bench.folder / "profiled")}
        result, ended = bench.work("bears_tl.bench.profile", cache="new", settings=settings)
    from bears_tl.bench.profile import table

    text = table(result, ended["seconds"])
    write_bytes(Path(to, "profile.md"), text.encode())
    return text


def report(task: dict, prepared: Run, measured: dict[str, list[dict]], facts: dict, rounds: int) -> dict:
    """Collect the measurements, their conditions and their summaries.

    Args:
        task: the inputs that the contenders share.
        prepared: a run on these photos.
        measured: contender to its measurements, one per round.
        facts: left_out and failed (contender to reason), settings (contender to its best settings), gpus.
        rounds: number of rounds started.

    Returns:
        Plain values: contenders (each with label, group, ours, settings, note, rounds and summary, see
        `speed.summarize`), machine, versions, photos, checkpoint, operations_per_photo, notice, command, date, rounds,
        left_out, failed and not_measured.
    """
    baselines = {
        "body": f"ours_{task['precision']}",
        "files": "ours_files",
        "reading": "ours_reading",
        "training": "train_cold",
    }
    notes = {name: _words(settings) for name, settings in facts["settings"].items()}
    if baselines["body"] in notes:
        notes[baselines["body"]] += "; the precision chosen here"
    contenders = {}
    for name, rows in measured.items():
        contender = CONTENDERS[name]
        more_is_better = speed.GROUPS[contender.group][2]
        ours = measured.get(baselines.get(contender.group, name.replace("bound", "ours")), [])
        contenders[name] = dataclasses.asdict(contender) | {
            "settings": facts["settings"].get(name, {}),
            "note": (rows[-1].get("note") if rows else "") or notes.get(name, ""),
            "rounds": [{key: value for key, value in row.items() if key not in ("note", "run")} for row in rows],
            "summary": speed.summarize(rows, ours, more_is_better) if rows else None,
        }
    receipt, restored = prepared.receipt(), prepared.facts("restore")
    named = {name: CONTENDERS[name].label for name in CONTENDERS}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    more = {"memory_bytes": memory, "gpus": facts["gpus"], "accelerations": accelerations()}
    return {
        "contenders": contenders,
        "machine": receipt["machine"] | more,
        "versions": receipt["versions"] | versions_of(*_PACKAGES),
        "photos": {"count": len(task["rows"]), "sample": len(task["sample"])},
        "checkpoint": {name: restored[name] for name in ("kind", "fingerprint", "precision", "engine")},
        "operations_per_photo": task["operations_per_photo"],
        "notice": prepared.notice(),
        "command": " ".join(["bears", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "rounds": rounds,
        "left_out": {named[name]: reason for name, reason in facts["left_out"].items()},
        "failed": {named[name]: reason for name, reason in facts["failed"].items()},
        "not_measured": _not_measured(task, facts["gpus"]),
    }


@contextlib.contextmanager
def _bench(photos: str, checkpoint: str, say: Callable[[str], None]):
    """Give a bench and an uncounted run on the photos, which fetches, restores and fills the warm cache."""
    check_checkpoint(checkpoint)
    say("preparing: photos, weights and one training that is not measured")
    with tempfile.TemporaryDirectory(prefix="bears_benchmark_") as folder:
        bench = Bench(Path(folder), checkpoint, {"photos": photos})
        prepared = Run.open(bench.train("warm")["run"])
        bench.task["photos"] = prepared.facts("fetch")["folder"]
        yield bench, prepared


def _choose(peers: bool, precision: str, engine: str) -> tuple[dict[str, str], list[str]]:
    """Give the contenders to skip, each with the reason, and the names of those to run.

    Args:
        peers: whether contenders that need further packages run.
        precision: of our body; float16 runs only where it is chosen (older GPUs), because it is slow elsewhere.
        engine: of our body; TensorFlow is a contender of its own where it is not the engine.
    """
    left_out = {}
    for name, contender in CONTENDERS.items():
        missing = [package for package in contender.packages if importlib.util.find_spec(package) is None]
        if contender.packages and not peers:
            left_out[name] = "runs with --peers"
        elif missing:
            left_out[name] = f"{', '.join(missing)} not installed: {PIP_LINE}"
    other = {"ours_float16"} if precision != "float16" else set()
    other |= {"tensorflow_float32"} if engine == "tensorflow" else set()
    return left_out, [name for name in CONTENDERS if name not in left_out.keys() | other]


def _tune(bench: Bench, names: list[str], failed: dict[str, str], say: Callable[[str], None]) -> dict[str, dict]:
    """Find the best settings of each contender that has a choice; adds those that fail to `failed`."""
    settings = {}
    for name in [name for name in names if name in TUNED]:
        try:
            result, _ = bench.work("bears_tl.bench.contenders", work="tune", contender=name)
        except ContenderError as error:
            failed[name] = str(error)
            say(f"{CONTENDERS[name].label} failed: {failed[name]}")
            continue
        settings[name] = result["settings"]
        say(f"{CONTENDERS[name].label}: best with {_words(result['settings'])}")
    if "keras_predict" in settings:
        settings["tf_data"] = settings["scikit_learn"] = settings["keras_predict"]
    return settings


def _words(settings: dict) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _not_measured(task: dict, gpus: list[str]) -> list[str]:
    missing = [] if gpus else ["a GPU (none was found)"]
    if task["iterations"] is not None:
        missing.append("the whole loop of the article and the whole tutorial, and their test accuracy (use --full)")
    return missing
