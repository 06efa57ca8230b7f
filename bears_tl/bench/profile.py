"""Where the seconds of a whole `bears train` go: imports and work of each stage, and what lies between them.

`python -m bears_tl.bench.profile TASK` runs all stages of one run with a watch on it.
"""

import builtins
import contextlib
import sys
import threading
import time

from bears_tl.files import read_json, write_json
from bears_tl.pipeline.run import STAGES, Run

_OUTSIDE = "outside of the stages"


class Watch:
    """Sums up the seconds that imports of other packages take, by the stage that is at work and by package."""

    def __init__(self):
        """Take the place of `import`."""
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
    """A run that says to its watch which stage is at work."""

    watch: Watch

    @contextlib.contextmanager
    def stage(self, name):
        """See `Run.stage`."""
        before, self.watch.part = self.watch.part, name
        with super().stage(name) as facts:
            yield facts
        self.watch.part = before


def main(path: str) -> None:
    """Run all stages with a watch on them.

    Args:
        path: a JSON file with settings: of the run; result: the JSON file to write; started: time.time() when the
            process was started.
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
    """Write what `main` found as Markdown.

    Args:
        result: of `main`.
        whole: seconds from the start of the process to its end.
    """
    imports, stages = result["imports"], result["stages"]
    outside = result["seconds"] - sum(stages.values())
    rows = [("start of Python", result["start_of_python"], 0.0)]
    rows += [(name, stages[name], imports.get(name, 0.0)) for name in STAGES if name in stages]
    rows += [(_OUTSIDE, outside, imports.get(_OUTSIDE, 0.0))]
    rows += [("end of Python", whole - result["start_of_python"] - result["seconds"], 0.0)]
    rows += [("**whole**", whole, sum(imports.values()))]
    lines = ["| part of `bears train` | seconds | share | of which imports, s |", "| --- | --- | --- | --- |"]
    lines += [f"| {name} | {seconds:.2f} | {seconds / whole:.0%} | {taken:.2f} |" for name, seconds, taken in rows]
    longest = sorted(result["packages"].items(), key=lambda pair: -pair[1])[:6]
    lines += ["", "Imports: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in longest) + "."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(sys.argv[1])
