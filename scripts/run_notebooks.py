"""Run the notebooks in order, headless, with the settings of a config; leave them in the run directory."""

import argparse
import os
import re
import sys
import time
from pathlib import Path

from traitlets.config import Config

from bears_tl import config as settings
from bears_tl.errors import InputError
from bears_tl.run import Run

# Kernels that talk over files instead of TCP: no other user of the machine can listen, and no kernel warns of it.
_KERNELS = Config({"KernelManager": {"transport": "tcp" if os.name == "nt" else "ipc"}})
NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def main() -> int:
    """Run them; exit status 1 when a cell fails, 2 or 3 for a user's mistake, wherever it is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="configs/sample.yaml", metavar="YAML")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting; may be repeated")
    parser.add_argument("--run", metavar="RUN", help="run directory; short for --set run=RUN")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # silences a debugger that nobody asked for
    try:
        config = settings.load(options.config)
        changes = settings.parse_settings(options.set) | ({"run": options.run} if options.run else {})
        run = Run(config.replace(**changes))
        return run_all(run, sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")))
    except InputError as error:
        print(f"make train: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("make train: interrupted; what was finished is kept", file=sys.stderr)
        return 130


def run_all(run: Run, notebooks: list[Path]) -> int:
    """Run notebooks in order and stop at the first that fails; exit status."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    (run.path("notebooks")).mkdir(exist_ok=True)
    started = time.perf_counter()
    for number, notebook in enumerate(notebooks, 1):
        print(f"[{number}/{len(notebooks)}] {notebook.stem} ...", end=" ", flush=True)
        declared = papermill.inspect_notebook(str(notebook))
        parameters = {name: value for name, value in run.config.as_dict().items() if name in declared}
        executed, notebook_started = run.path("notebooks") / notebook.name, time.perf_counter()
        try:
            papermill.execute_notebook(
                str(notebook),
                str(executed),
                parameters,
                progress_bar=False,
                log_output=False,
                kernel_name="python3",
                cwd=".",
                config=_KERNELS,
            )
        except PapermillExecutionError as error:
            print("failed", flush=True)
            return _explain(notebook, error, executed)
        print(f"{time.perf_counter() - notebook_started:.0f} s", flush=True)
    _summarize(run, time.perf_counter() - started)
    return 0


def _explain(notebook: Path, error, executed: Path) -> int:
    """Print where a notebook failed and why; a user's mistake in one line, anything else with its traceback."""
    status = {"InputError": 2, "NotReachableError": 3}.get(error.ename, 1)
    place = f"{notebook.stem}, code cell {error.exec_count}"
    if status == 1:
        print(re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback)), file=sys.stderr)
    print(f"make train: {place}: {error.ename}: {error.evalue}", file=sys.stderr)
    if status == 1:
        print(f"make train: the notebook as far as it ran: {executed}", file=sys.stderr)
    return status


def _summarize(run: Run, seconds: float) -> None:
    from bears_tl.files import read_json
    from bears_tl.judging.metrics import sentence

    print(f"test: {sentence(read_json(run.path('metrics.json'))['test'])}")
    if run.notice():
        print(run.notice())
    print(f"{seconds:.0f} s; everything is in {run.folder}")


if __name__ == "__main__":
    sys.exit(main())
