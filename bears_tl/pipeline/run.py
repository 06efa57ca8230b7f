"""The run directory: what each stage left, and what it was made from."""

import contextlib
import datetime
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bears_tl import config as settings
from bears_tl.config import RunConfig
from bears_tl.errors import InputError
from bears_tl.files import is_taken, read_csv, read_json, sha256_of, short_hash, write_json
from bears_tl.hardware import machine, versions_of
from bears_tl.lock import one_at_a_time
from bears_tl.origin import Origin

# Stage to what it writes in the run directory, in their order.
STAGES = {
    "fetch": [],
    "intake": ["photos.csv", "quarantine.csv"],
    "split": ["splits.csv"],
    "restore": ["inventory.csv"],
    "features": [],
    "train": ["head.npz", "history.csv", "predictions.csv"],
    "audit": ["cues.csv"],
    "evaluate": ["metrics.json", "figures"],
}
# Stages beside these, made from what `train` left; nothing is made from them.
ASIDE = {
    "ladder": ["ladder.csv", "ladder.png", "ladder"],
    "scratch": ["scratch.json", "scratch.npz", "scratch_history.csv", "scratch_predictions.csv"],
    "learning_curves": ["learning_curves.csv", "what_transfer_buys.png", "transfer_seconds.json"],
}
STAND_IN_NOTICE = (
    "STAND-IN BODY: random weights, not trained on anything. Figures made with it check the pipeline; "
    "none says what transfer learning can do."
)
_PACKAGES = ("bears_tl", "tensorflow", "keras", "numpy", "pillow", "scikit-image")


class Run:
    """A folder `runs/<name>` with the settings of a run (config.json) and a receipt of its stages (receipt.json)."""

    def __init__(self, config: RunConfig):
        """Start a run, or go on with the one in the folder: settings are written when a stage has ended well.

        Raises:
            InputError: the folder holds something else, or a run on other photos.
        """
        self.config = config
        self.folder = Path(config.run)
        self._look()

    def _look(self) -> None:
        """Take note of what the folder holds.

        Raises:
            InputError: something else than a run, or a run on other photos.
        """
        if not self.path("config.json").is_file():
            if is_taken(self.folder):
                raise InputError(f"{str(self.folder)!r} is there and is no run: name a folder that is new or empty")
        elif self.receipt()["stages"]:
            before, now = _saved_settings(self.folder).photos, self.config.photos
            if now != before and Path(now).expanduser().resolve() != Path(before).expanduser().resolve():
                raise InputError(
                    f"{str(self.folder)!r} is a run on the photos {before!r}, not on {now!r}: name another run "
                    "directory (--run, RUN= of make, `run` in a notebook), or those photos"
                )
        self._known = self.receipt()["stages"]

    @classmethod
    def open(cls, folder: str | Path, **changes) -> "Run":
        """Go on with the run in a folder, with some settings changed.

        Raises:
            InputError: there is no run in the folder, a setting is refused, or it is a run on other photos.
        """
        return cls(_saved_settings(folder).replace(**changes))

    @classmethod
    def open_all(cls, paths: list[str]) -> list["Run"]:
        """Open the runs in some folders and below them, such as those of a comparison; a file beside them is no run.

        Raises:
            InputError: a path that is not there, a folder without a run, or what `open` refuses.
        """
        runs = []
        for path in map(Path, paths):
            found = sorted(config.parent for config in path.rglob("config.json"))
            if not found and not path.is_file():
                raise InputError(f"no run in {str(path)!r} or below it: name run directories, for example runs/*")
            runs += [cls.open(folder) for folder in found]
        if not runs:
            raise InputError(f"no run is among {', '.join(map(str, paths))}: name run directories, for example runs/*")
        return runs

    @classmethod
    def open_or_start(cls, run: str, **parameters) -> "Run":
        """Go on with the run in a folder, or start one there: what a notebook does with its parameters.

        The run's own settings win over a notebook's defaults; a parameter that is not at its default was changed by
        the reader, and wins. Each that differs is said in a line.

        Raises:
            InputError: a setting is refused, or what `Run` refuses.
        """
        if not Path(run, "config.json").is_file():
            return cls(RunConfig().replace(run=run, **parameters))
        own, defaults = _saved_settings(run).as_dict(), RunConfig().as_dict()
        differing = {name: value for name, value in parameters.items() if value != own[name]}
        changes = {name: value for name, value in differing.items() if value != defaults[name]}
        opened = cls.open(run, **changes)
        for name, value in differing.items():
            chosen, other = (value, own[name]) if name in changes else (own[name], value)
            whose = f"{run} has {other!r}" if name in changes else f"of {run}; this notebook's default is {other!r}"
            print(f"{name} = {chosen!r} ({whose})")
        return opened

    def path(self, name: str) -> Path:
        """Give the path of something in the run directory."""
        return self.folder / name

    def table(self, name: str) -> list[dict]:
        """Read one of the run's CSV files, all values strings.

        Raises:
            InputError: it is not there, or is no such table.
        """
        if not self.path(name).is_file():
            raise InputError(
                f"run {str(self.folder)!r} has no {name} yet: run the stage that writes it, {self._or_all()}"
            )
        return read_csv(self.path(name), [])

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Work on the run for a while as the only process that does so; a second one waits here.

        Raises:
            InputError: the process that was waited for has made a run on other photos of it.
        """
        with one_at_a_time(self._lock("run"), f"the run {self.folder}"):
            self._look()
            yield

    def _lock(self, purpose: str) -> Path:
        """Name a lock; not beside the run, where a start that is refused would leave it."""
        folder = Path(tempfile.gettempdir(), f"bears_tl_{os.getuid() if hasattr(os, 'getuid') else 'locks'}")
        return folder / f"{short_hash(str(self.folder.resolve()))}_{purpose}"

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[dict]:
        """Time a stage and enter what it found into the receipt; one process at a time.

        Gives a dict for facts about the stage. When the stage's facts and files are not what they were before, the
        files of the later stages go: they were made from something else. Wall seconds do not count. A stage that fails
        takes nothing away.

        Raises:
            InputError: another process has changed an earlier stage since this one looked.
        """
        facts: dict = {}
        with one_at_a_time(self._lock("stage"), f"a stage of the run {self.folder}"):
            self._check_earlier(name)
            started = time.perf_counter()
            yield facts
            self._enter(name, facts, round(time.perf_counter() - started, 3))

    def _check_earlier(self, name: str) -> None:
        """Refuse to go on where another process has changed what the stage is made from."""
        now = self.receipt()["stages"]
        for earlier in _made_of(name):
            if _result(now.get(earlier)) != _result(self._known.get(earlier)):
                raise InputError(
                    f"another process has changed the stage {earlier!r} of the run {str(self.folder)!r}: open the run "
                    "again (a notebook: from its first cell on), or name another run directory"
                )

    def _enter(self, name: str, facts: dict, seconds: float) -> None:
        """Write a stage's entry; remove what was made from another result of it."""
        files = STAGES | ASIDE
        hashes = {file: sha256_of(self.path(file)) for file in files[name] if self.path(file).is_file()}
        receipt, entry = self.receipt(), {"facts": facts, "sha256": hashes, "seconds": seconds}
        entry["ended"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        if _result(receipt["stages"].get(name)) != _result(entry):
            for later in _made_from(name):
                receipt["stages"].pop(later, None)
                if later in ASIDE and any(self.path(file).exists() for file in files[later]):
                    print(f"{self.folder}: {name} gave something else, so {later} is removed", file=sys.stderr)
                for file in files[later]:
                    _remove(self.path(file))
        receipt["stages"][name] = entry
        receipt |= {"machine": machine(), "versions": {"python": platform.python_version()} | versions_of(*_PACKAGES)}
        write_json(self.path("receipt.json"), receipt)
        self._known = self.receipt()["stages"]
        self.keep_settings()

    def keep_settings(self) -> None:
        """Write the settings to config.json; a stage that ends well does, and a notebook that only sets what comes."""
        write_json(self.path("config.json"), self.config.as_dict())

    def receipt(self) -> dict:
        """Give what the finished stages entered; `stages` is empty before the first."""
        path = self.path("receipt.json")
        return read_json(path) if path.is_file() else {"stages": {}}

    def facts(self, stage: str) -> dict:
        """Give the facts of a finished stage.

        Raises:
            InputError: the stage has not run.
        """
        stages = self.receipt()["stages"]
        if stage not in stages:
            raise InputError(
                f"run {str(self.folder)!r} has not come to the stage {stage!r} yet: run it, {self._or_all()}"
            )
        return stages[stage]["facts"]

    def result(self, stage: str) -> tuple | None:
        """Give what a stage found: its facts, and the hashes of its files; None where it has not run."""
        return _result(self.receipt()["stages"].get(stage))

    def check(self, stage: str) -> None:
        """Refuse what a stage left when it is not what the receipt and the settings tell of.

        Raises:
            InputError: the stage has not run, or a setting that it was run with or a file of it was changed since, by
                an interruption for example.
        """
        again = f"train the run again (bears train --run {self.folder})"
        if stage in ASIDE:
            again = f"make it anew (bears {stage.replace('_', '-')} --run {self.folder})"
        made_with = self.facts(stage).get("settings", {})
        if change := Origin({name: getattr(self.config, name) for name in made_with}).change_since(made_with):
            raise InputError(f"{change}, for the stage {stage!r} of run {str(self.folder)!r}: {again}")
        for name, digest in self.receipt()["stages"][stage]["sha256"].items():
            if not self.path(name).is_file() or sha256_of(self.path(name)) != digest:
                raise InputError(f"{str(self.path(name))!r} is gone or was changed: {again}")

    def _or_all(self) -> str:
        return f"in its notebook, or all of them (bears train --run {self.folder})"

    def notice(self) -> str:
        """Say what the run's figures mean when its body is the stand-in; else an empty string."""
        return STAND_IN_NOTICE if self.facts("restore")["kind"] == "stand_in" else ""

    def seconds(self) -> dict[str, float]:
        """Give the seconds that each finished stage took."""
        stages = self.receipt()["stages"]
        return {name: stages[name]["seconds"] for name in STAGES if name in stages}


def settings_from(config: str | None, pairs: list[str], folder: str | None) -> RunConfig:
    """Make the settings of a run from the words of a command line.

    Args:
        config: a YAML file. Without it, a run that is there keeps its own settings, another has the defaults.
        pairs: `key=value` words.
        folder: the run directory, short for `run=...`.

    Raises:
        InputError: what `config.load`, `config.parse_settings` and RunConfig refuse.
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
            print(f"settings of {made.run}: {' '.join(kept)}")
    return made


def _saved_settings(folder: str | Path) -> RunConfig:
    """Read the settings of the run in a folder.

    Raises:
        InputError: there is none, or its settings are refused.
    """
    path = Path(folder, "config.json")
    if not path.is_file():
        raise InputError(f"no run in {str(folder)!r}: expected a folder made by `bears train --run {folder}`")
    values = read_json(path)
    if not isinstance(values, dict):
        raise InputError(f"{str(path)!r} holds no settings: remove it and start the run anew")
    return settings.from_dict(values | {"run": str(folder)}, str(path))


def _result(entry: dict | None) -> tuple | None:
    """Give facts and hashes of a stage without wall seconds: a head that is trained again the same is the same."""
    if entry is None:
        return None
    return entry["facts"], {file: digest for file, digest in entry["sha256"].items() if file != "history.csv"}


def _made_from(stage: str) -> list[str]:
    """List the stages that are made from what a stage leaves."""
    if stage in ASIDE:
        return []
    later = list(STAGES)[list(STAGES).index(stage) + 1 :]
    return later + (list(ASIDE) if "train" in (stage, *later) else [])


def _made_of(stage: str) -> list[str]:
    """List the stages that a stage is made from."""
    return [earlier for earlier in STAGES if stage in _made_from(earlier)]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
