"""List the runs in a folder: what came out, when, and what is wrong with those that are not whole."""

import datetime
from pathlib import Path

from bears_tl.errors import InputError, reason_of
from bears_tl.files import read_json
from bears_tl.judging.metrics import sentence
from bears_tl.pipeline.run import STAGES, Run

DEFAULT = "runs"
COMPARISON = "comparison.json"  # in the folder of the runs of a comparison


def list_runs(folder: str | Path) -> list[dict]:
    """List all runs in a folder and below it, the newest first; those inside a run or a comparison are not listed.

    Returns:
        Rows: run, ended (local time, to the minute), result (test photos right, with an interval), and fault: "" or in
        a few words what is wrong or unfinished.

    Raises:
        InputError: no such folder, or no run in it.
    """
    if not Path(folder).is_dir():
        raise InputError(f"no folder {str(folder)!r}: name the folder that holds your runs (default: {DEFAULT})")
    rows = [_row(path) for path in _find(Path(folder))]
    if not rows:
        raise InputError(f"no run in or below {str(folder)!r}: train one first (bears train --run {folder}/mine)")
    return sorted(rows, key=lambda row: row["ended"], reverse=True)


def _find(folder: Path) -> list[Path]:
    if (folder / "config.json").is_file() or (folder / "receipt.json").is_file():
        return [folder]
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    return [run for path in inside if not (path / COMPARISON).is_file() for run in _find(path)]


def _row(folder: Path) -> dict:
    row = {"run": str(folder), "ended": _minute(folder.stat().st_mtime), "result": "", "fault": ""}
    try:
        run = Run.open(folder)
        done = run.receipt()["stages"]
        if done:
            ends = [datetime.datetime.fromisoformat(entry["ended"]).timestamp() for entry in done.values()]
            row["ended"] = _minute(max(ends))
        row["fault"] = _fault(run, done)
        if "evaluate" in done:
            row["result"] = sentence(read_json(run.path("metrics.json"))["test"])
    except InputError as error:
        row["fault"] = f"broken: {reason_of(error)}"
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        row["fault"] = f"broken: a file of it is damaged ({reason_of(error)})"
    return row


def _fault(run: Run, done: dict) -> str:
    """Say what is unfinished or gone; a stand-in is no fault, but its result means nothing."""
    wanted = list(STAGES)[: list(STAGES).index("evaluate") + 1]
    if left := [stage for stage in wanted if stage not in done]:
        return f"unfinished: next is {left[0]}"
    if "strangers" not in run.facts("train"):
        return "made by an earlier version"
    if not Path(run.facts("fetch")["folder"]).is_dir():
        return "its photos are gone"
    return "random weights" if run.notice() else ""


def _minute(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")
