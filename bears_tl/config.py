"""Every setting of a run, typed and checked. YAML key, notebook parameter and field are one name."""

import contextlib
import dataclasses
import difflib
import types
from pathlib import Path

from bears_tl.errors import InputError, reason_of

PRECISIONS = ("auto", "float32", "bfloat16", "float16")
CLASS_WEIGHTS = ("none", "balanced")
DEPTHS = ("glimpse", "whole")
# What a setting decides, in the order of the stages: the first of these that it changes; what comes later follows.
# `nothing`: where a run lies, and how much of a study is made.
SUBJECTS = ("nothing", "photos", "split", "body", "views", "head", "after")
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "nothing"}


def _setting(decides, default, help, low=None, high=None, choices=None):
    metadata = {"decides": decides, "help": help, "low": low, "high": high, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """The settings of one run; the metadata of each field says what it means and what range is allowed."""

    run: str = _setting("nothing", "runs/sample", "folder that everything of this run is written to")
    photos: str = _setting("photos", "sample", "sample | folder of class folders | archive | URL | Google Drive id")
    checkpoint: str = _setting(
        "body", "auto", "auto | random | path or URL of a TF-slim Inception v3 checkpoint (.ckpt or .tar.gz)"
    )
    precision: str = _setting(
        "body", "auto", "what the body computes in; auto: the fastest here, found out once", choices=PRECISIONS
    )
    max_files: int = _setting("photos", 1_000_000, "an archive with more files and folders is refused", 1, 10**9)
    max_bytes: int = _setting("photos", 200 * 10**9, "an archive that holds more bytes is refused", 1, 10**15)
    min_side_px: int = _setting("photos", 64, "a photo with a shorter side is set aside", 1, 100_000)
    allow_animated: bool = _setting(
        "photos", False, "take the first frame of animated files instead of setting them aside"
    )
    edits: str = _setting("photos", "data/edits.csv", "label corrections, applied at intake when there is such a file")
    seed: int = _setting("split", 0, "every random choice follows from it", 0, 2**31 - 1)
    test_fraction: float = _setting("split", 0.2, "share of each class kept for the test", 0.01, 0.8)
    val_fraction: float = _setting("split", 0.1, "share of each class kept for early stopping", 0.01, 0.8)
    max_zoom: float = _setting(
        "views", 0.2, "a random view shows a box up to this much smaller than the largest one", 0.0, 0.9
    )
    brightness: float = _setting("views", 0.0, "random views are up to this share darker or brighter; 0: off", 0.0, 1.0)
    contrast: float = _setting(
        "views", 0.0, "random views have up to this share less or more contrast; 0: off", 0.0, 1.0
    )
    saturation: float = _setting(
        "views", 0.0, "random views are up to this share less or more colourful; 0: off", 0.0, 1.0
    )
    hue: float = _setting(
        "views", 0.0, "hues of random views are turned by up to this share of the circle; 0: off", 0.0, 0.5
    )
    rotation_degrees: float = _setting(
        "views", 0.0, "random views are turned by up to this, either way; 0: off", 0.0, 180.0
    )
    erasing: float = _setting(
        "views", 0.0, "half of the random views lack a rectangle of up to this share; 0: off", 0.0, 0.9
    )
    train_views: int = _setting("views", 1, "random views of each training photo; 0: train on the center view", 0, 100)
    epochs: int = _setting("head", 200, "training stops after this many, or earlier", 1, 100_000)
    patience: int = _setting("head", 20, "epochs without a lower validation loss before training stops", 1, 100_000)
    batch_size: int = _setting("head", 40, "photos a training step", 1, 65_536)
    learning_rate: float = _setting("head", 0.003, "Adam's step size", 1e-7, 1.0)
    label_smoothing: float = _setting(
        "head", 0.0, "share of each target that is spread evenly over all classes; 0: off", 0.0, 0.99
    )
    mixup: float = _setting(
        "head", 0.0, "training features are mixed by shares from Beta(mixup, mixup); 0: off", 0.0, 100.0
    )
    class_weights: str = _setting(
        "head", "none", "balanced: in training, each class counts as much as any other", choices=CLASS_WEIGHTS
    )
    as_2019: str = _setting(
        "nothing",
        "glimpse",
        "of the procedure of 2019, notebook 09 runs a glimpse, or the whole: hours",
        choices=DEPTHS,
    )
    beyond: str = _setting(
        "nothing",
        "glimpse",
        "of what the article wished for, notebook 08 runs a glimpse, or the whole: hours",
        choices=DEPTHS,
    )
    fine_tune_learning_rate: float = _setting(
        "after", 0.00003, "Adam's step size below the head, in the ladder", 1e-9, 1.0
    )
    fine_tune_epochs: int = _setting("after", 10, "a rung of the ladder is trained for this many, or fewer", 1, 100_000)
    fine_tune_patience: int = _setting(
        "after", 3, "epochs without a lower validation loss before a rung's training stops", 1, 100_000
    )

    def __post_init__(self):
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, _checked(field, getattr(self, field.name)))
        if self.test_fraction + self.val_fraction > 0.9 + 1e-9:  # 0.34 + 0.56 is a little more than 0.9 in binary
            raise InputError(
                f"test_fraction {self.test_fraction} and val_fraction {self.val_fraction} leave too little "
                "to train on: their sum may be 0.9 at most"
            )

    def replace(self, **changes) -> "RunConfig":
        """Copy with some fields changed.

        Raises:
            InputError: an unknown field, a wrong type or a value out of range.
        """
        return from_dict(dataclasses.asdict(self) | changes, "the settings")

    def as_dict(self) -> dict:
        """Plain values, in the order of the fields."""
        return dataclasses.asdict(self)


def from_dict(values: dict, origin: str) -> RunConfig:
    """Make a RunConfig from plain values.

    Args:
        values: setting name to value; names left out keep their defaults.
        origin: where the values come from, for messages.

    Raises:
        InputError: an unknown name, a wrong type or a value out of range.
    """
    known = [field.name for field in dataclasses.fields(RunConfig)]
    for name in values:
        if name not in known:
            close = difflib.get_close_matches(str(name), known, 1)
            expected = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(known)}"
            raise InputError(f"unknown setting {name!r} in {origin}: {expected}")
    return RunConfig(**values)


def deciding(*subjects: str) -> list[str]:
    """List the settings that decide one of some subjects (see SUBJECTS), in the order of the fields."""
    return [field.name for field in dataclasses.fields(RunConfig) if field.metadata["decides"] in subjects]


def load(path: str | Path) -> RunConfig:
    """Read a YAML file of settings.

    Raises:
        InputError: no such file, not YAML, not a mapping, or a setting that RunConfig refuses.
    """
    return from_dict(read_yaml(path, "configs/sample.yaml"), str(path))


def read_yaml(path: str | Path, example: str) -> dict:
    """Read a YAML file of `setting: value` lines; an empty file has none.

    Args:
        path: the file.
        example: a file of its kind, for the message when there is no such file.

    Raises:
        InputError: no such file, not YAML, or not a mapping.
    """
    import yaml

    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no config at {str(path)!r}: name a YAML file such as {example}") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: no UTF-8, or a 13th month
        raise InputError(f"config {str(path)!r} could not be read as YAML: {reason_of(error)}") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise InputError(f"config {str(path)!r} holds {type(values).__name__}, expected lines of `setting: value`")
    return values


def parse_settings(pairs: list[str], option: str = "--set") -> dict:
    """Turn `key=value` words of a command line into settings; values are read as YAML where the setting is no text.

    Args:
        pairs: the words.
        option: what they were given to, for messages.

    Raises:
        InputError: a word without `=` or a value that is not YAML.
    """
    import yaml

    values = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError(f"{option} {pair!r}: expected key=value, for example seed=1")
        if isinstance(RunConfig.__dataclass_fields__.get(name, types.SimpleNamespace(default=None)).default, str):
            values[name] = text  # a path or an address is taken as it is: `a: b` and `*.zip` are not YAML
            continue
        try:
            values[name] = yaml.safe_load(text)
        except (ValueError, RecursionError, yaml.YAMLError) as error:
            raise InputError(f"{option} {pair!r}: the value is not YAML: {reason_of(error)}") from None
    return values


def check_checkpoint(setting: str) -> None:
    """Refuse a path where there is no checkpoint, before minutes of work that need one.

    Raises:
        InputError: no such file.
    """
    if setting in ("auto", "random") or setting.startswith(("http://", "https://")):
        return
    path = Path(setting).expanduser()
    if not path.exists() and not Path(f"{path}.index").exists():
        raise InputError(
            f"no checkpoint at {setting!r}: expected auto, random, a URL or the path of a .ckpt or .tar.gz"
        )


def _checked(field, value):
    """Return the value in the field's type, or raise InputError."""
    expected = type(field.default)
    if expected is float and isinstance(value, int | str) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            value = float(value)  # YAML 1.1 reads 1e-3 as a string
    if type(value) is not expected:
        raise InputError(
            f"{field.name}: {value!r} is {_KINDS.get(type(value), type(value).__name__)}, expected {_KINDS[expected]} "
            f"({field.metadata['help']})"
        )
    if expected is str and not value.strip():
        raise InputError(f"{field.name}: empty, expected {field.metadata['help']}")
    choices = field.metadata["choices"]
    if choices and value not in choices:
        raise InputError(
            f"{field.name}: {value!r} is unknown, expected {' | '.join(choices)} ({field.metadata['help']})"
        )
    low, high = field.metadata["low"], field.metadata["high"]
    if low is not None and not low <= value <= high:
        raise InputError(
            f"{field.name}: {value!r} is out of range, expected {low} to {high} ({field.metadata['help']})"
        )
    return value
