"""Runs contenders as processes and measures their seconds and their memory."""

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

from bears_tl.errors import InputError, NotReachableError
from bears_tl.files import read_json, write_json


class ContenderError(InputError):
    """A process failed; the message is its last line of output."""

    def __init__(self, line: str, status: int):
        line = line.strip().removeprefix("bears: ").removeprefix("bears_tl.errors.InputError: ")
        super().__init__(line[:300])
        self.exit_status = NotReachableError.exit_status if status == NotReachableError.exit_status else 2


@dataclasses.dataclass
class Bench:
    """A work folder and the inputs that all contenders share."""

    folder: Path
    checkpoint: str  # the setting
    task: dict = dataclasses.field(default_factory=dict)

    def train(self, cache: str, **more) -> dict:
        """Run `bears train` in a process.

        Args:
            cache: name of its cache folder; `new` gives an empty one.
            more: further settings.
        """
        run = self.folder / "runs" / f"{time.time_ns()}"
        settings = {"photos": self.task["photos"], "checkpoint": self.checkpoint} | more
        words = [word for pair in settings.items() for word in ("--set", "=".join(pair))]
        ended = self._process(["bears_tl", "train", *words, "--run", str(run)], cache)
        test = read_json(run / "metrics.json")["test"]
        right = f"{test['count'] - test['errors']} of {test['count']} test photos right"
        facts = {"test_accuracy": test["accuracy"], "test_count": test["count"], "note": right}
        return facts | {"value": ended["seconds"], "peak_rss_bytes": ended["peak_rss_bytes"], "run": str(run)}

    def work(self, module: str, cache: str = "warm", **task) -> tuple[dict, dict]:
        """Run a module on one task in a process; gives its result, and the seconds and memory it took.

        Args:
            module: gets the path of the task, a JSON file, as its argument.
            cache: see `train`.
            task: added to the shared task.
        """
        result = self.folder / "result.json"
        result.unlink(missing_ok=True)
        started = {"started": time.time(), "result": str(result), "folder": str(self.folder)}
        write_json(self.folder / "task.json", self.task | started | task)
        ended = self._process([module, str(self.folder / "task.json")], cache)
        return read_json(result), ended

    def measure(self, name: str, settings: dict) -> dict:
        """Measure one contender once."""
        if name == "train_int8":
            return self.train("new", precision="int8")
        if name in ("train_cold", "train_warm"):
            return self.train("warm" if name == "train_warm" else "new")
        result, ended = self.work("bears_tl.bench.contenders", work="measure", contender=name, settings=settings)
        return result | {"peak_rss_bytes": ended["peak_rss_bytes"]}

    def _process(self, words: list[str], cache: str) -> dict:
        """Run a Python module to its end with the named cache; `new` gives an empty one.

        Raises:
            ContenderError: the process failed.
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
            finally:  # after an interruption
                if process.returncode is None:
                    process.kill()
                    process.wait()
            seconds = time.perf_counter() - started
            output.seek(0)
            lines = [line for line in output.read().decode(errors="replace").splitlines() if line.strip()]
        if process.returncode:
            silent = f"a process ended with exit status {process.returncode} and no output"
            raise ContenderError(lines[-1] if lines else silent, process.returncode)
        unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, see getrusage(2)
        return {"seconds": seconds, "peak_rss_bytes": usage.ru_maxrss * unit}
