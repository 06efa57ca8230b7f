"""Run notebooks in order, without a browser, and save the executed notebooks in the run directory.

Without names, notebooks 01 to 07 train a run. With names, only those notebooks run.
08 to 10 need a trained run and use its settings.
"""

import argparse
import logging
import os
import re
import shutil
import sys
import time
import warnings
from pathlib import Path

from traitlets.config import Config

from bears_tl import config as settings
from bears_tl.cli import restart_in_utf8
from bears_tl.commands.options import add_run, add_set, path
from bears_tl.errors import InputError
from bears_tl.files import write_bytes
from bears_tl.pipeline.run import Run, settings_from
from bears_tl.pipeline.tracking import check_packages
from bears_tl.report import page

# Kernels communicate over sockets in the file system instead of TCP. So no other user of the machine can listen, and
# kernels do not warn about it. Errors in a cell are in the notebook; a kernel's log would only add its interruption.
_KERNELS = Config(
    {
        "KernelManager": {"transport": "tcp" if os.name == "nt" else "ipc"},
        "NotebookClient": {"extra_arguments": ["--IPKernelApp.log_level=50"]},
    }
)
NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
BEYOND = ("08_beyond", "09_as_2019", "10_loop")  # they read a trained run and do not change its training


def main() -> int:
    """Run the notebooks; exit status 1 if a cell fails, 2 or 3 for a user's mistake (also inside a notebook)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help=f"for example {' '.join(BEYOND)}")
    config = "settings file (default: an existing run's settings, else those of configs/sample.yaml)"
    parser.add_argument("--config", type=path, metavar="YAML", help=config)
    add_set(parser)
    add_run(parser, required=False, help="run directory; short for --set run=RUN")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # hides a warning of the debugger in the kernel
    command = "make train"
    try:
        notebooks = choose(options.notebooks)
        if notebooks[0].stem in BEYOND:
            command = "make beyond"
            changes = settings.parse_settings(options.set) | ({"run": options.run} if options.run else {})
            config = settings.load(options.config) if options.config else settings.RunConfig()
            run = trained(config.replace(**changes).run, changes, notebooks)
            with run.alone():
                return run_all(run, notebooks, command)
        run = Run(settings_from(options.config, options.set, options.run))
        settings.check_checkpoint(run.config.checkpoint)
        settings.check_edits(run.config.edits)
        check_packages(run.config)
        with run.alone():
            return train(run, notebooks)
    except InputError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print(f"{command}: interrupted; finished work is kept", file=sys.stderr)
        return 130


def choose(names: list[str]) -> list[Path]:
    """Give the named notebooks in the order of their numbers; without names, 01 to 07.

    Raises:
        InputError: an unknown name.
    """
    known = {path.stem: path for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))}
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"no notebook {unknown[0]!r}: expected one of {', '.join(known)}")
    return [path for name, path in known.items() if (name in names if names else name not in BEYOND)]


def trained(folder: str, changes: dict, notebooks: list[Path]) -> Run:
    """Open the run that `make train` created, with its own settings and these changes.

    Raises:
        InputError: no run, an unfinished run, or a change that these notebooks do not use.
    """
    import papermill

    if not Path(folder, "metrics.json").is_file():
        raise InputError(
            f"no finished run in {folder!r}: run `make train` with the same CONFIG and RUN, or `bears train`, first"
        )
    read = {name for notebook in notebooks for name in papermill.inspect_notebook(str(notebook))}
    if unread := sorted(set(changes) - read):
        names = " and ".join(notebook.stem for notebook in notebooks)
        raise InputError(f"--set {unread[0]}: {names} use the run's own value; omit it, or train another run with it")
    run = Run.open(folder, **changes)
    if set(changes) - {"run"}:
        run.keep_settings()  # a notebook cannot distinguish a default value from a missing one
    return run


def train(run: Run, notebooks: list[Path]) -> int:
    """Run notebooks with a run's settings; exit status. If no stage finished, the run directory is restored."""
    config, receipt, status = run.path("config.json"), run.receipt(), 130
    before = config.read_bytes() if config.is_file() else None
    run.keep_settings()  # the notebooks read them
    try:
        status = run_all(run, notebooks)
        return status
    finally:
        if run.receipt() == receipt and before is not None:
            write_bytes(config, before)
        elif run.receipt() == receipt and status != 1:  # status 1 is a bug: keep the notebook for inspection
            shutil.rmtree(run.folder)


def run_all(run: Run, notebooks: list[Path], command: str = "make train") -> int:
    """Run notebooks in order, stop at the first failure, and give the exit status.

    Args:
        run: gives the settings and the folder of the executed notebooks.
        notebooks: paths of the .ipynb files.
        command: prefix of messages.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    for name in ("papermill", "asyncio"):  # their failures and interruptions are reported here instead
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", "coroutine .* was never awaited")
    run.path("notebooks").mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    for number, notebook in enumerate(notebooks, 1):
        print(f"[{number}/{len(notebooks)}] {notebook.stem} ...", end=" ", flush=True)
        declared = papermill.inspect_notebook(str(notebook))
        parameters = {name: value for name, value in run.config.as_dict().items() if name in declared}
        executed, notebook_started = run.path("notebooks") / notebook.name, time.perf_counter()
        later = [other.stem for other in notebooks[number:] if executed.with_name(other.name).is_file()]
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
        except (PapermillExecutionError, DeadKernelError) as error:
            print("failed", flush=True)
            if later:
                print(f"{', '.join(later)} in {executed.parent} are from an earlier training.")
            if isinstance(error, PapermillExecutionError):
                return _explain(notebook, error, executed, command)
            died = "its kernel died, perhaps for lack of memory; the notebook up to that point"
            print(f"{command}: {notebook.stem}: {died}: {executed}", file=sys.stderr)
            return 1
        print(f"{time.perf_counter() - notebook_started:.0f} s", flush=True)
    if command == "make beyond":
        _summarize_beyond(run)
    elif run.path("metrics.json").is_file():
        page.write(Run.open(run.folder))  # the notebooks have changed its stages since `run` was opened
    _summarize(run, time.perf_counter() - started)
    return 0


def _explain(notebook: Path, error, executed: Path, command: str) -> int:
    """Print where a notebook failed and why: one line for a user's mistake, otherwise with a traceback."""
    from bears_tl.photos import fetch, intake  # noqa: F401 -- so that their errors are known, too

    status = {kind.__name__: kind.exit_status for kind in _kinds_of(InputError)}.get(error.ename, 1)
    place = f"{notebook.stem}, code cell {error.exec_count}"
    if status == 1:
        print(re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback)), file=sys.stderr)
    print(f"{command}: {place}: {error.ename}: {error.evalue}", file=sys.stderr)
    if error.ename in ("ImportError", "ModuleNotFoundError"):
        print(f"{command}: `.venv/bin/bears doctor` says how to mend a package", file=sys.stderr)
    if status == 1:
        print(f"{command}: the notebook up to that point: {executed}", file=sys.stderr)
    return status


def _kinds_of(error: type) -> set[type]:
    return {error}.union(*map(_kinds_of, error.__subclasses__()))


def _summarize_beyond(run: Run) -> None:
    """Print the results of the ladder and of the network from scratch, one line each, if they exist."""
    from bears_tl.files import read_json
    from bears_tl.judging.metrics import sentence

    if run.path("ladder.csv").is_file():
        rungs = [f"{row['rung']} {row['test_errors']} of {row['test_count']}" for row in run.table("ladder.csv")]
        print(f"ladder, test photos wrong: {', '.join(rungs)}")
    if run.path("scratch.json").is_file():
        print(f"from scratch: {sentence(read_json(run.path('scratch.json'))['test'])}")


def _summarize(run: Run, seconds: float) -> None:
    from bears_tl.pipeline.evaluation import summary

    print(f"{seconds:.0f} s")
    for note in run.notes():
        print(f"note: {note}")
    if not run.path("metrics.json").is_file():  # only the first notebooks ran
        print(f"run: {run.folder}")
        return
    if run.notice() and run.config.checkpoint == "auto":
        print("If trained weights cannot be downloaded, put inception_v3_2016_08_28.tar.gz in checkpoints/.")
    print("\n".join(summary(run, ".venv/bin/bears")))


if __name__ == "__main__":
    restart_in_utf8()
    sys.exit(main())
