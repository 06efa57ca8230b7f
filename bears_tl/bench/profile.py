"""Profile of `bears train`: seconds of imports and of work for each stage, and for the rest.

`python -m bears_tl.bench.profile TASK` runs all stages of one run and times them.
"""

import builtins
import contextlib
import sys
import threading
import time

from bears_tl.files import read_json, write_json
from bears_tl.pipeline.run import STAGES, Run

_OUTSIDE = "outside the stages"


class Watch:
    """Sums the seconds spent on importing other packages, by current stage and by package."""

    def __init__(self):
        """Replace `import` with a timed one."""
        self.part = _OUTSIDE
        self.by_part: dict[str, float] = {}
        self.by_package: dict[str, float] = {}
        self._thread = threading.local()
        self._import, builtins.__import__ = builtins.__import__, self._timed

    def _timed(self, name, globals=None, locals=None, fromlist=(), level=0):
        package = name.partition(".")[0]
        if level or package == "bears_tl" or getattr(self._thread, "busy", False):
            return self._import(name, globals, locals, fromlist, level)
        self._thread.busy, started = True, time.perf_counter()
        try:
            return self._import(name, globals, locals, fromlist, level)
        finally:
            self._thread.busy, seconds = False, time.perf_counter() - started
            self.by_package[package] = self.by_package.get(package, 0.0) + seconds
            if threading.current_thread() is threading.main_thread():
                self.by_part[self.part] = self.by_part.get(self.part, 0.0) + seconds


class WatchedRun(Run):
    """A run that tells its watch the current stage."""

    watch: Watch

    @contextlib.contextmanager
    def stage(self, name):
        """See `Run.stage`."""
        before, self.watch.part = self.watch.part, name
        with super().stage(name) as facts:
            yield facts
        self.watch.part = before


def main(path: str) -> None:
    """Run all stages and write their times.

    Args:
        path: a JSON file with settings of the run, result (the JSON file to write) and started (time.time() at the
            start of the process).
    """
    task = read_json(path)
    begun = time.time()
    watch = Watch()
    from bears_tl.config import RunConfig
    from bears_tl.pipeline import stages

    run = WatchedRun(RunConfig().replace(**task["settings"]))
    run.watch = watch
    stages.run_all(run, say=lambda line: None)
    write_json(
        task["result"],
        {
            "start_of_python": begun - task["started"],
            "seconds": time.time() - begun,
            "stages": run.seconds(),
            "imports": watch.by_part,
            "packages": watch.by_package,
        },
    )


def table(result: dict, whole: float) -> str:
    """Format the result of `main` as Markdown.

    Args:
        result: written by `main`.
        whole: seconds from start to end of the process.
    """
    imports, stages = result["imports"], result["stages"]
    outside = result["seconds"] - sum(stages.values())
    rows = [("Python start-up", result["start_of_python"], 0.0)]
    rows += [(name, stages[name], imports.get(name, 0.0)) for name in STAGES if name in stages]
    rows += [(_OUTSIDE, outside, imports.get(_OUTSIDE, 0.0))]
    rows += [("Python shutdown", whole - result["start_of_python"] - result["seconds"], 0.0)]
    rows += [("**total**", whole, sum(imports.values()))]
    lines = ["| part of `bears train` | seconds | share | of these, imports, s |", "| --- | --- | --- | --- |"]
    lines += [f"| {name} | {seconds:.2f} | {seconds / whole:.0%} | {taken:.2f} |" for name, seconds, taken in rows]
    longest = sorted(result["packages"].items(), key=lambda pair: -pair[1])[:6]
    lines += ["", "Imports: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in longest) + "."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(sys.argv[1])
