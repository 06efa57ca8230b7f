"""The run directory: the output of each stage, and a record of how it was made."""

import contextlib
import datetime
import hashlib
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bears_tl import config as settings
from bears_tl.checkout import checkout
from bears_tl.config import RunConfig
from bears_tl.errors import InputError
from bears_tl.files import is_taken, read_csv, read_json, sha256_of, short_hash, to_json, write_json
from bears_tl.hardware import machine, versions_of
from bears_tl.lock import one_at_a_time
from bears_tl.origin import Origin

# Each stage, in order, and the files that it writes into the run directory.
STAGES = {
    "fetch": [],
    "intake": ["photos.csv", "quarantine.csv"],
    "split": ["splits.csv"],
    "restore": ["inventory.csv"],
    "features": [],
    "train": ["head.npz", "strangers.npz", "history.csv", "predictions.csv"],
    "audit": ["cues.csv"],
    "evaluate": ["metrics.json", "confusions.csv", "labels.csv", "figures", "tensorboard"],
    "report": ["report.html"],  # also of a run that is not finished
}
# Further stages that depend on `train`; no other stage depends on them.
ASIDE = {
    "ladder": ["ladder.csv", "ladder.png", "ladder"],
    "scratch": ["scratch.json", "scratch.npz", "scratch_history.csv", "scratch_predictions.csv"],
    "learning_curves": ["learning_curves.csv", "what_transfer_buys.png", "transfer_seconds.json"],
}
# How to run each stage: its notebook and its command-line verb.
_HOW_TO_RUN = {
    "fetch": ("01_fetch", "train"),
    "intake": ("01_fetch", "train"),
    "split": ("03_split", "split"),
    "restore": ("04_restore", "train"),
    "features": ("05_train", "train"),
    "train": ("05_train", "train"),
    "audit": ("06_evaluate", "evaluate"),
    "evaluate": ("06_evaluate", "evaluate"),
    "report": ("06_evaluate", "report"),
    "ladder": ("08_beyond", "ladder"),
    "scratch": ("08_beyond", "scratch"),
    "learning_curves": ("08_beyond", "learning-curves"),
}
STAND_IN_NOTICE = (
    "STAND-IN BODY: random weights, not trained. These results only show that the pipeline works; "
    "they say nothing about transfer learning."
)
_PACKAGES = ("bears_tl", "tensorflow", "keras", "numpy", "openvino", "pillow", "scipy", "scikit-image")


class Run:
    """A run directory `runs/<name>`: its settings (config.json) and a receipt of its finished stages (receipt.json)."""

    def __init__(self, config: RunConfig):
        """Start a run, or continue the one in the folder. Settings are written when a stage succeeds.

        Raises:
            InputError: the folder is not a run directory, or its run uses other photos.
        """
        self.config = config
        self.folder = Path(config.run)
        self._inspect_folder()

    def _inspect_folder(self) -> None:
        """Check that the folder can hold this run, and remember its finished stages.

        Raises:
            InputError: the folder is not a run directory, or its run uses other photos.
        """
        if not self.path("config.json").is_file():
            if is_taken(self.folder):
                raise InputError(
                    f"{str(self.folder)!r} exists but is not a run directory (it has no config.json): "
                    "choose a new or empty folder for the run"
                )
        elif self.receipt()["stages"]:
            before, now = _saved_settings(self.folder).photos, self.config.photos
            if now != before and Path(now).resolve() != Path(before).resolve():
                raise InputError(
                    f"{str(self.folder)!r} is a run on the photos {before!r}, not on {now!r}: choose another run "
                    "directory (--run, `make ... RUN=`, or `run` in a notebook), or use the run's own photos"
                )
        self._known = self.receipt()["stages"]

    @classmethod
    def open(cls, folder: str | Path, **changes) -> "Run":
        """Continue the run in a folder, with some settings changed.

        Raises:
            InputError: there is no run in the folder, a setting is invalid, or the run uses other photos.
        """
        return cls(_saved_settings(folder).replace(**changes))

    @classmethod
    def open_all(cls, paths: list[str]) -> list["Run"]:
        """Open all runs in and below some folders, such as those of a comparison; files among the paths are skipped.

        Raises:
            InputError: a path does not exist, a folder has no run, or `open` raises.
        """
        runs = []
        for path in map(Path, paths):
            found = sorted(config.parent for config in path.rglob("config.json"))
            if not found and not path.is_file():
                raise InputError(f"no run in or below {str(path)!r}: name run directories, for example runs/*")
            runs += [cls.open(folder) for folder in found]
        if not runs:
            raise InputError(f"no run in {', '.join(map(str, paths))}: name run directories, for example runs/*")
        return runs

    @classmethod
    def open_or_start(cls, run: str, **parameters) -> "Run":
        """Continue the run in a folder, or start one there, with the parameters of a notebook.

        The run's settings take precedence over the notebook's defaults. A parameter that differs from its default was
        changed by the reader and takes precedence over the run's. Each difference is printed on one line.

        Raises:
            InputError: a setting is invalid, or `Run` raises.
        """
        if not Path(run, "config.json").expanduser().is_file():
            return cls(RunConfig().replace(run=run, **parameters))
        own, defaults = _saved_settings(run).as_dict(), RunConfig().as_dict()
        differing = {name: value for name, value in parameters.items() if value != own[name]}
        changes = {name: value for name, value in differing.items() if value != defaults[name]}
        opened = cls.open(run, **changes)
        for name, value in differing.items():
            chosen, other = (value, own[name]) if name in changes else (own[name], value)
            here = name in changes
            source = f"set here; {run} has {other!r}" if here else f"from {run}; this notebook's default is {other!r}"
            print(f"{name} = {chosen!r} ({source})")
        return opened

    def path(self, name: str) -> Path:
        """Return the path of a file or folder in the run directory."""
        return self.folder / name

    def existing(self, name: str) -> Path:
        """Return the path of a file that a stage has written.

        Raises:
            InputError: the file is missing.
        """
        if not self.path(name).is_file():
            writer = next((stage for stage, files in (STAGES | ASIDE).items() if name in files), "train")
            raise InputError(f"{name} is missing in run {str(self.folder)!r}: {self._run_first(writer)}")
        return self.path(name)

    def table(self, name: str) -> list[dict]:
        """Read one of the run's CSV files; all values are strings.

        Raises:
            InputError: the file is missing or is not a table.
        """
        return read_csv(self.existing(name), [])

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Lock the run: a second process waits here until the first is done.

        Raises:
            InputError: the process before this one has started a run on other photos in the folder.
        """
        with one_at_a_time(self._lock("run"), f"the run {self.folder}"):
            self._inspect_folder()
            yield

    def _lock(self, purpose: str) -> Path:
        """Return the path of a lock. It is not in the run's folder, where a refused start would leave it behind."""
        folder = Path(tempfile.gettempdir(), f"bears_tl_{os.getuid() if hasattr(os, 'getuid') else 'locks'}")
        return folder / f"{short_hash(str(self.folder.resolve()))}_{purpose}"

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[dict]:
        """Time a stage and record its result in the receipt; one process at a time.

        Yields a dict for facts about the stage. When the stage's facts or files differ from those of its last run, the
        files of all later stages are removed, because they were made from the old result. A change in time alone does
        not count. A stage that fails removes nothing.

        Raises:
            InputError: another process has changed an earlier stage since this one opened the run.
        """
        facts: dict = {}
        with one_at_a_time(self._lock("stage"), f"a stage of the run {self.folder}"):
            self._check_earlier(name)
            started = time.perf_counter()
            yield facts
            self._enter(name, facts, round(time.perf_counter() - started, 3))

    def _check_earlier(self, name: str) -> None:
        """Raise InputError if another process has changed a stage that this one depends on."""
        now = self.receipt()["stages"]
        for earlier in _dependencies(name):
            if _result(now.get(earlier)) != _result(self._known.get(earlier)):
                raise InputError(
                    f"another process has changed the stage {earlier!r} of run {str(self.folder)!r} meanwhile: "
                    "open the run again (in a notebook: run all cells again, from the first)"
                )

    def _enter(self, name: str, facts: dict, seconds: float) -> None:
        """Record a stage; if its result has changed, remove the outputs that were made from the old one."""
        files = STAGES | ASIDE
        hashes = {file: sha256_of(self.path(file)) for file in self._files_of(name)}
        receipt, entry = self.receipt(), {"facts": facts, "sha256": hashes, "seconds": seconds}
        entry["ended"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        if _result(receipt["stages"].get(name)) != _result(entry):
            for later in _dependents(name):
                receipt["stages"].pop(later, None)
                if later in ASIDE and any(self.path(file).exists() for file in files[later]):
                    print(f"{self.folder}: the result of {name} has changed, so {later} is removed", file=sys.stderr)
                for file in files[later]:
                    _remove(self.path(file))
        receipt["stages"][name] = entry
        receipt |= {"machine": machine(), "versions": versions_here(), "code": checkout()}
        receipt["settings"] = self.config.as_dict()
        write_json(self.path("receipt.json"), signed(receipt))
        self._known = self.receipt()["stages"]
        self.keep_settings()

    def _files_of(self, stage: str) -> list[str]:
        """List the files that a stage has written, also those in its folders; not what only resumes unfinished work."""
        paths = [self.path(name) for name in (STAGES | ASIDE)[stage]]
        paths += [inside for path in paths if path.is_dir() for inside in sorted(path.rglob("*"))]
        names = [path.relative_to(self.folder) for path in paths if path.is_file() and not path.name.startswith(".")]
        return [name.as_posix() for name in names if "borders" not in name.parts and name.name != "state.npz"]

    def keep_settings(self) -> None:
        """Write the settings to config.json: after each successful stage, and from a notebook that runs no stage."""
        write_json(self.path("config.json"), self.config.as_dict())

    def receipt(self) -> dict:
        """Return the receipt; its `stages` are empty before the first stage has finished.

        Raises:
            InputError: the file is not a receipt.
        """
        path = self.path("receipt.json")
        receipt = read_json(path) if path.is_file() else {"stages": {}}
        if not isinstance(receipt, dict) or not isinstance(receipt.get("stages"), dict):
            raise InputError(f"{str(path)!r} is not the receipt of a run: remove it and run `bears train` again")
        return receipt

    def facts(self, stage: str) -> dict:
        """Return the facts of a finished stage.

        Raises:
            InputError: the stage has not run.
        """
        stages = self.receipt()["stages"]
        if stage not in stages:
            raise InputError(f"stage {stage!r} of run {str(self.folder)!r} has not run: {self._run_first(stage)}")
        return stages[stage]["facts"]

    def result(self, stage: str) -> tuple | None:
        """Return a stage's facts and the hashes of its files; None if it has not run."""
        return _result(self.receipt()["stages"].get(stage))

    def check(self, stage: str) -> None:
        """Check that a stage's output still matches the receipt and the settings.

        Raises:
            InputError: the stage has not run, or one of its settings or files has changed since, for example because
                a later training was interrupted.
        """
        again = f"train the run again (bears train --run {self.folder})"
        if stage in ASIDE:
            again = f"run it again (bears {stage.replace('_', '-')} --run {self.folder})"
        made_with = self.facts(stage).get("settings", {})
        if change := Origin({name: getattr(self.config, name) for name in made_with}).change_since(made_with):
            raise InputError(f"stage {stage!r} of run {str(self.folder)!r} is out of date ({change}): {again}")
        for name, digest in self.receipt()["stages"][stage]["sha256"].items():
            if not self.path(name).is_file() or sha256_of(self.path(name)) != digest:
                raise InputError(f"{str(self.path(name))!r} is missing or was changed: {again}")

    def _run_first(self, stage: str) -> str:
        """Say how to run the first stage that `stage` still lacks."""
        finished = self.receipt()["stages"]
        first = next((name for name in _dependencies(stage) if name not in finished), stage)
        notebook, verb = _HOW_TO_RUN[first]
        return f"run {notebook} (or `bears {verb} --run {self.folder}`) first"

    def notice(self) -> str:
        """Return a warning if the run's body is the stand-in, else an empty string."""
        return STAND_IN_NOTICE if self.facts("restore")["kind"] == "stand_in" else ""

    def notes(self) -> list[str]:
        """Return what intake and split found unusual about the photo folder, one line each."""
        stages = self.receipt()["stages"]
        return [note for stage in STAGES for note in stages.get(stage, {}).get("facts", {}).get("notes", [])]

    def seconds(self) -> dict[str, float]:
        """Return the seconds that each finished stage took."""
        stages = self.receipt()["stages"]
        return {name: stages[name]["seconds"] for name in STAGES if name in stages}


def versions_here() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide the bits of a result."""
    return {"python": platform.python_version()} | versions_of(*_PACKAGES)


def signed(receipt: dict) -> dict:
    """Return a receipt with the hash of everything else in it, which a changed byte would not fit."""
    rest = {name: value for name, value in receipt.items() if name != "sha256"}
    return rest | {"sha256": hashlib.sha256(to_json(rest)).hexdigest()}


def settings_from(config: str | None, pairs: list[str], folder: str | None) -> RunConfig:
    """Build the settings of a run from command-line arguments.

    Args:
        config: a YAML file. Without it, an existing run keeps its own settings and a new one gets the defaults.
        pairs: `key=value` words.
        folder: the run directory, short for `run=...`.

    Raises:
        InputError: `config.load`, `config.parse_settings` or RunConfig raises.
    """
    changes = settings.parse_settings(pairs) | ({"run": folder} if folder else {})
    defaults = settings.load(config) if config else RunConfig()
    made = defaults.replace(**changes)
    if not Path(made.run, "receipt.json").is_file():
        return made
    before = _saved_settings(made.run)
    if not config and "run" in changes:
        made, usual = before.replace(**changes), defaults.as_dict()
        kept = [f"{k}={v}" for k, v in before.as_dict().items() if v != usual[k] and k not in changes]
        if kept:
            print(f"settings kept from {made.run}: {' '.join(kept)}")
    return made


def _saved_settings(folder: str | Path) -> RunConfig:
    """Read the settings of the run in a folder.

    Raises:
        InputError: there is no run, or its settings are invalid.
    """
    path = Path(folder, "config.json").expanduser()
    if not path.is_file():
        others = [str(other.parent) for other in sorted(path.parent.parent.glob("*/config.json"))]
        hint = settings.did_you_mean(str(folder), others) if others else "train one first (make train)"
        raise InputError(f"no run in {str(folder)!r} (it has no config.json): {hint}")
    values = read_json(path)
    if not isinstance(values, dict):
        raise InputError(f"{str(path)!r} is not a JSON object of settings: remove it and start the run again")
    return settings.from_dict(values | {"run": str(folder)}, str(path))


def _result(entry: dict | None) -> tuple | None:
    """Return a stage's facts and hashes without times, so that an identical retraining counts as unchanged."""
    if entry is None:
        return None
    return entry["facts"], {file: digest for file, digest in entry["sha256"].items() if file != "history.csv"}


def _dependents(stage: str) -> list[str]:
    """List the stages that depend on a stage."""
    if stage in ASIDE:
        return []
    later = list(STAGES)[list(STAGES).index(stage) + 1 :]
    return later + (list(ASIDE) if "train" in (stage, *later) else [])


def _dependencies(stage: str) -> list[str]:
    """List the stages that a stage depends on."""
    return [earlier for earlier in STAGES if stage in _dependents(earlier)]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
