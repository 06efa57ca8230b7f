"""The benchmark: contenders in processes of their own, interleaved and repeated, with their ratios to ours."""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bears_tl.contenders import CONTENDERS, TUNED
from bears_tl.errors import InputError, NotReachableError
from bears_tl.files import read_json, write_bytes, write_json
from bears_tl.judging import speed
from bears_tl.run import Run

PHOTOS = 128  # that a rate is taken from
ITERATIONS_2019 = 5  # of the article's loop, the first of which warms up
BATCH_SIZE_2019 = 40
PIP_LINE = ".venv/bin/pip install -e '.[bench]'"


class ContenderError(InputError):
    """A process failed; the message is the last line that it wrote."""

    def __init__(self, line: str, status: int):
        super().__init__(line.strip().removeprefix("bears: ").removeprefix("bears_tl.errors.InputError: "))
        self.exit_status = NotReachableError.exit_status if status == NotReachableError.exit_status else 2


@dataclasses.dataclass
class Bench:
    """A folder to work in and what all contenders share."""

    folder: Path
    checkpoint: str  # the setting
    task: dict = dataclasses.field(default_factory=dict)

    def train(self, cache: str) -> dict:
        """Run `bears train` as a whole process.

        Args:
            cache: the name of its cache folder; a new one is empty.
        """
        run = self.folder / "runs" / f"{time.time_ns()}"
        settings = {"photos": self.task["photos"], "checkpoint": self.checkpoint}
        words = [word for pair in settings.items() for word in ("--set", "=".join(pair))]
        ended = self._process(["bears_tl", "train", *words, "--run", str(run)], cache)
        test = read_json(run / "metrics.json")["test"]
        right = f"{test['count'] - test['errors']} of {test['count']} test photos right"
        facts = {"test_accuracy": test["accuracy"], "test_count": test["count"], "note": right}
        return facts | {"value": ended["seconds"], "peak_rss_bytes": ended["peak_rss_bytes"], "run": str(run)}

    def work(self, module: str, **task) -> tuple[dict, dict]:
        """Let a module do one piece of work in a process; gives its answer, and what the process took."""
        answer = self.folder / "answer.json"
        answer.unlink(missing_ok=True)
        started = {"started": time.time(), "answer": str(answer), "folder": str(self.folder)}
        write_json(self.folder / "task.json", self.task | started | task)
        ended = self._process([module, str(self.folder / "task.json")], "new" if module.endswith("seconds") else "warm")
        return read_json(answer), ended

    def measure(self, name: str, settings: dict) -> dict:
        """Measure one contender once."""
        if name in ("train_cold", "train_warm"):
            return self.train("warm" if name == "train_warm" else "new")
        answer, ended = self.work("bears_tl.contenders", work="measure", contender=name, settings=settings)
        return answer | {"peak_rss_bytes": ended["peak_rss_bytes"]}

    def _process(self, words: list[str], cache: str) -> dict:
        """Run a module of Python to its end, on the cache of a name; `new` is one that was never used.

        Raises:
            ContenderError: it failed.
        """
        folder = self.folder / (f"cache_{time.time_ns()}" if cache == "new" else cache)
        environment = os.environ | {"BEARS_TL_CACHE": str(folder), "TF_CPP_MIN_LOG_LEVEL": "2"}
        with open(self.folder / "output.txt", "w+b") as output:
            started = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", *words], env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )
            try:
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            finally:  # interrupted
                if process.returncode is None:
                    process.kill()
                    process.wait()
            seconds = time.perf_counter() - started
            output.seek(0)
            lines = [line for line in output.read().decode(errors="replace").splitlines() if line.strip()]
        if process.returncode:
            silent = f"a process ended with exit status {process.returncode} and said nothing"
            raise ContenderError(lines[-1] if lines else silent, process.returncode)
        unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, see getrusage(2)
        return {"seconds": seconds, "peak_rss_bytes": usage.ru_maxrss * unit}


def run(
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
    """Measure all contenders and write benchmark.json, benchmark.md and benchmark.png.

    Args:
        photos: as the setting `photos`.
        checkpoint: as the setting `checkpoint`.
        peers: also the engines of the extra `bench`.
        full: run the whole of the article's loop, not a few iterations.
        rounds: how many times each contender is measured.
        to: the folder to write to; benchmark.json and benchmark.md are renewed after each round.
        say: is given a line a measurement.
        sample: how many photos a rate is taken from.
        batch_size_2019: of the article's loop.

    Returns:
        What benchmark.json holds: see `report`.

    Raises:
        InputError: a setting is refused, or ours fails on these photos.
    """
    if rounds < 1:
        raise InputError(f"--rounds {rounds} is out of range, expected 1 or more")
    with _bench(photos, checkpoint, say) as (bench, prepared):
        shared = {"iterations": None if full else ITERATIONS_2019, "batch_size": batch_size_2019}
        rows = sorted(prepared.table("splits.csv"), key=lambda row: row["sha256"])
        restored = prepared.facts("restore")
        bench.task |= shared | {"rows": rows, "sample": rows[:sample], "checkpoint": restored["path"]}
        bench.task |= {"fingerprint": restored["fingerprint"], "precision": restored["precision"]}
        bench.task |= {"cache": str(bench.folder / "warm")}
        answer, _ = bench.work("bears_tl.contenders", work="prepare")
        bench.task |= {"operations_per_photo": answer["operations_per_photo"]}

        left_out, names = _choose(peers)
        failed: dict[str, str] = {}
        settings = _tune(bench, names, failed, say)
        measured: dict[str, list[dict]] = {name: [] for name in names}
        for i in range(1, rounds + 1):
            for name in [name for name in names if name not in failed]:
                label = CONTENDERS[name].label
                try:
                    row = {"round": i} | bench.measure(name, settings.get(name, {}))
                except ContenderError as error:
                    failed[name] = str(error)
                    say(f"round {i} of {rounds}: {label} failed: {failed[name]}")
                    continue
                measured[name].append(row)
                unit = speed.GROUPS[CONTENDERS[name].group][1]
                say(f"round {i} of {rounds}: {label}: {row['value']:.1f} {unit}")
            facts = {"left_out": left_out, "failed": failed, "settings": settings, "gpus": answer["gpus"]}
            found = report(bench.task, prepared, measured, facts, i)
            write_json(Path(to, "benchmark.json"), found)
            write_bytes(Path(to, "benchmark.md"), speed.table(found).encode())
    from bears_tl.judging import plots

    plots.save(speed.figure(found), Path(to, "benchmark.png"))
    return found


def profile(photos: str, checkpoint: str, to: str | Path, say: Callable[[str], None] = print) -> str:
    """Walk a whole `bears train` with an empty cache, and say where its seconds go; writes profile.md.

    Raises:
        InputError: a setting is refused.
    """
    with _bench(photos, checkpoint, say) as (bench, _):
        settings = {"photos": bench.task["photos"], "checkpoint": checkpoint, "run": str(bench.folder / "profiled")}
        answer, ended = bench.work("bears_tl.seconds", settings=settings)
    from bears_tl.seconds import table

    text = table(answer, ended["seconds"])
    write_bytes(Path(to, "profile.md"), text.encode())
    return text


def report(task: dict, prepared: Run, measured: dict[str, list[dict]], facts: dict, rounds: int) -> dict:
    """Say what was measured, on what, and what it comes to.

    Args:
        task: what the contenders shared.
        prepared: a run on these photos.
        measured: contender to its measurements, one a round.
        facts: left_out and failed (contender to reason), settings (contender to what was best), gpus.
        rounds: how many were finished.

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
    contenders = {}
    for name, rows in measured.items():
        contender = CONTENDERS[name]
        more_is_better = speed.GROUPS[contender.group][2]
        ours = measured.get(baselines.get(contender.group, name.replace("bound", "ours")), [])
        contenders[name] = dataclasses.asdict(contender) | {
            "settings": facts["settings"].get(name, {}),
            "note": rows[-1].get("note", "") if rows else "",
            "rounds": [{key: value for key, value in row.items() if key not in ("note", "run")} for row in rows],
            "summary": speed.summarize(rows, ours, more_is_better) if rows else None,
        }
    receipt, named = prepared.receipt(), {name: CONTENDERS[name].label for name in CONTENDERS}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "contenders": contenders,
        "machine": receipt["machine"] | {"memory_bytes": memory, "gpus": facts["gpus"]},
        "versions": receipt["versions"] | _versions("openvino", "onnxruntime", "tf2onnx", "tf-slim"),
        "photos": {"count": len(task["rows"]), "sample": len(task["sample"])},
        "checkpoint": {name: prepared.facts("restore")[name] for name in ("kind", "fingerprint", "precision")},
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
    """Give a bench and a run on the photos, which is not counted: it fetches, restores and fills the warm cache."""
    say("preparing: photos, weights and one uncounted training")
    with tempfile.TemporaryDirectory(prefix="bears_benchmark_") as folder:
        bench = Bench(Path(folder), checkpoint, {"photos": photos})
        prepared = Run.open(bench.train("warm")["run"])
        bench.task["photos"] = prepared.facts("fetch")["folder"]
        yield bench, prepared


def _choose(peers: bool) -> tuple[dict[str, str], list[str]]:
    """Give the contenders that are left out, with the reason, and the names of those that run."""
    left_out = {}
    for name, contender in CONTENDERS.items():
        missing = [package for package in contender.packages if importlib.util.find_spec(package) is None]
        if contender.packages and not peers:
            left_out[name] = "runs with --peers"
        elif missing:
            left_out[name] = f"{', '.join(missing)} not installed: {PIP_LINE}"
    return left_out, [name for name in CONTENDERS if name not in left_out]


def _tune(bench: Bench, names: list[str], failed: dict[str, str], say: Callable[[str], None]) -> dict[str, dict]:
    """Find the best settings of each contender that has some; those that fail are entered into `failed`."""
    settings = {}
    for name in [name for name in names if name in TUNED]:
        try:
            answer, _ = bench.work("bears_tl.contenders", work="tune", contender=name)
        except ContenderError as error:
            failed[name] = str(error)
            say(f"{CONTENDERS[name].label} failed: {failed[name]}")
            continue
        settings[name] = answer["settings"]
        say(f"{CONTENDERS[name].label}: best with {answer['settings']}")
    if "keras_predict" in settings:
        settings["tf_data"] = settings["keras_predict"]
    return settings


def _not_measured(task: dict, gpus: list[str]) -> list[str]:
    missing = [] if gpus else ["a GPU, for none was found"]
    if task["iterations"] is not None:
        missing.append("the whole of the article's loop and its test accuracy: that takes --full")
    return missing


def _versions(*packages: str) -> dict[str, str]:
    versions = {}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions
