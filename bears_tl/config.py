"""Every setting of a run, typed and checked. A setting has the same name in YAML, in notebooks and here."""

import contextlib
import dataclasses
import difflib
import os
import types
from collections.abc import Iterable
from pathlib import Path

from bears_tl.errors import InputError, reason_of

SPLIT_WAYS = ("auto", "content", "given", "given_grouped")
PRECISIONS = ("auto", "float32", "bfloat16", "float16", "int8")
ENGINES = ("auto", "openvino", "tensorflow")
CLASS_WEIGHTS = ("none", "balanced")
FEATURES = ("auto", "last", "depths")
OPTIMIZERS = ("lbfgs", "adam")
DEPTHS = ("glimpse", "whole")
# The first result that a setting changes, in the order of the stages, and a title for it. All later results depend on
# it as well. `nothing`: settings that only say where a run is stored, or how much of a study is run.
SUBJECTS = {
    "nothing": "Where the run is and shown, and how much of notebooks 08 and 09 is run",
    "photos": "Photos",
    "split": "Split into train, val and test",
    "body": "Weights of the body",
    "views": "Random views in training",
    "head": "Training of the head",
    "after": "Fine-tuning (the ladder)",
    "limits": "Limits: training and evaluation end with exit status 4 if the test falls short of one",
}
PATHS = ("run", "photos", "checkpoint", "edits")  # settings in which ~ is the home folder
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "nothing"}


def _setting(decides, default, help, low=None, high=None, choices=None):
    metadata = {"decides": decides, "help": help, "low": low, "high": high, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Hold the settings of one run; the metadata of each field has its description and its allowed range."""

    run: str = _setting("nothing", "runs/sample", "folder that the run writes everything to")
    photos: str = _setting(
        "photos", "sample", "sample, a folder of class folders, an archive, a URL or a Google Drive id"
    )
    checkpoint: str = _setting(
        "body", "auto", "auto, random, or the path or URL of a TF-slim Inception v3 checkpoint (.ckpt or .tar.gz)"
    )
    precision: str = _setting(
        "body",
        "auto",
        "number format that the body computes in; auto: the fastest on this machine, measured once",
        choices=PRECISIONS,
    )
    engine: str = _setting(
        "body",
        "auto",
        "what computes the body; auto: OpenVINO, or TensorFlow where that fails or there is a GPU",
        choices=ENGINES,
    )
    max_files: int = _setting("photos", 1_000_000, "refuse an archive with more files and folders than this", 1, 10**9)
    max_bytes: int = _setting(
        "photos", 200 * 10**9, "refuse an archive that unpacks to more bytes than this", 1, 10**15
    )
    min_side_px: int = _setting(
        "photos", 64, "set aside photos whose shorter side has fewer pixels than this", 1, 100_000
    )
    max_megapixels: int = _setting(
        "photos",
        250,
        "set aside photos with more megapixels than this; a JPEG counts 1/64, unless it is progressive",
        1,
        10_000,
    )
    allow_animated: bool = _setting(
        "photos", False, "use the first frame of animated files instead of setting them aside"
    )
    edits: str = _setting(
        "photos", "data/edits.csv", "table of label corrections, applied at intake; only the default one may be missing"
    )
    seed: int = _setting("split", 0, "seed of every random choice", 0, 2**31 - 1)
    test_fraction: float = _setting("split", 0.2, "share of each class kept for the test", 0.01, 0.8)
    val_fraction: float = _setting(
        "split", 0.1, "share of each class kept for validation, which decides when to stop", 0.01, 0.8
    )
    split: str = _setting(
        "split",
        "auto",
        "content: divide by content; given: keep the folder's train, val and test; auto: given if there are any",
        choices=SPLIT_WAYS,
    )
    near_duplicates: str = _setting(
        "split",
        "group",
        "group: keep near-duplicates in one split; ignore: divide them too, which inflates accuracy",
        choices=("group", "ignore"),
    )
    max_zoom: float = _setting(
        "views", 0.2, "the box of a random view is smaller than the largest one by up to this share", 0.0, 0.9
    )
    brightness: float = _setting(
        "views", 0.0, "random views are darker or brighter by up to this share; 0: off", 0.0, 1.0
    )
    contrast: float = _setting(
        "views", 0.0, "random views have less or more contrast by up to this share; 0: off", 0.0, 1.0
    )
    saturation: float = _setting(
        "views", 0.0, "random views are less or more colourful by up to this share; 0: off", 0.0, 1.0
    )
    hue: float = _setting(
        "views", 0.0, "random views have their hue rotated by up to this share of the colour circle; 0: off", 0.0, 0.5
    )
    rotation_degrees: float = _setting(
        "views", 0.0, "random views are rotated by up to this many degrees, either way; 0: off", 0.0, 180.0
    )
    erasing: float = _setting(
        "views", 0.0, "half of the random views lose a rectangle of up to this share of the area; 0: off", 0.0, 0.9
    )
    train_views: int = _setting("views", 1, "random views per training photo; 0: train on the center view", 0, 100)
    features: str = _setting(
        "head",
        "auto",
        "last: of the last block; depths: of four blocks; auto: the better of the two on folds",
        choices=FEATURES,
    )
    optimizer: str = _setting(
        "head",
        "lbfgs",
        "lbfgs: the optimum, with weight decay chosen on folds; adam: small steps, early stopping",
        choices=OPTIMIZERS,
    )
    epochs: int = _setting("head", 200, "largest number of epochs", 1, 100_000)
    patience: int = _setting(
        "head", 20, "adam: stop after this many epochs without a lower validation loss", 1, 100_000
    )
    batch_size: int = _setting("head", 40, "adam: photos per training step", 1, 65_536)
    learning_rate: float = _setting("head", 0.003, "adam: step size", 1e-7, 1.0)
    label_smoothing: float = _setting(
        "head", 0.0, "share of each target that is spread evenly over all classes; 0: off", 0.0, 0.99
    )
    mixup: float = _setting(
        "head", 0.0, "adam: mix the features of two photos by shares from Beta(mixup, mixup); 0: off", 0.0, 100.0
    )
    class_weights: str = _setting(
        "head", "none", "balanced: every class has the same total weight in training", choices=CLASS_WEIGHTS
    )
    as_2019: str = _setting(
        "nothing",
        "glimpse",
        "glimpse: a demonstration, minutes; whole: everything, hours",
        choices=DEPTHS,
    )
    beyond: str = _setting(
        "nothing",
        "glimpse",
        "glimpse: a demonstration, minutes; whole: everything, hours",
        choices=DEPTHS,
    )
    tensorboard: bool = _setting(
        "nothing", False, "write logs for TensorBoard into the run at each evaluation (needs the extra `track`)"
    )
    mlflow: bool = _setting(
        "nothing",
        False,
        "record each evaluation in MLflow, at MLFLOW_TRACKING_URI or in mlflow.db (needs the extra `track`)",
    )
    fine_tune_learning_rate: float = _setting(
        "after", 0.00003, "step size of Adam for the layers below the head, in the ladder", 1e-9, 1.0
    )
    fine_tune_epochs: int = _setting("after", 10, "largest number of epochs per rung of the ladder", 1, 100_000)
    fine_tune_patience: int = _setting(
        "after", 3, "stop a rung after this many epochs without a lower validation loss", 1, 100_000
    )
    min_accuracy: float = _setting(
        "limits", 0.0, "the lower end of the test accuracy's 95 % interval must reach this; 0: no limit", 0.0, 1.0
    )
    max_ece: float = _setting(
        "limits", 1.0, "the expected calibration error of the test must not exceed this; 1: no limit", 0.0, 1.0
    )
    max_stranger_share: float = _setting(
        "limits",
        1.0,
        "the upper end of the interval of the share of unknown test photos; 1: no limit",
        0.0,
        1.0,
    )

    def __post_init__(self):
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, _checked(field, getattr(self, field.name)))
        if self.test_fraction + self.val_fraction > 0.9 + 1e-9:  # in binary, 0.34 + 0.56 is slightly more than 0.9
            raise InputError(
                f"test_fraction {self.test_fraction} and val_fraction {self.val_fraction} leave too few photos to "
                "train on: lower them until their sum is at most 0.9"
            )
        if self.mixup and self.optimizer != "adam":
            raise InputError(f"mixup {self.mixup} needs small random batches: set optimizer=adam, or mixup=0")

    def replace(self, **changes) -> "RunConfig":
        """Copy the settings with some fields changed.

        Raises:
            InputError: an unknown field, a wrong type or a value out of range.
        """
        return from_dict(dataclasses.asdict(self) | changes, "the settings")

    def as_dict(self) -> dict:
        """Return plain values, in the order of the fields."""
        return dataclasses.asdict(self)


def from_dict(values: dict, origin: str) -> RunConfig:
    """Make a RunConfig from plain values.

    Args:
        values: setting name to value; the other settings keep their defaults.
        origin: where the values come from, for error messages.

    Raises:
        InputError: an unknown name, a wrong type or a value out of range.
    """
    known = [field.name for field in dataclasses.fields(RunConfig)]
    for name in values:
        if name not in known:
            raise InputError(f"unknown setting {name!r} in {origin}: {did_you_mean(str(name), known)}")
    return RunConfig(**values)


def deciding(*subjects: str) -> list[str]:
    """List the settings that decide any of these subjects (see SUBJECTS), in the order of the fields."""
    return [field.name for field in dataclasses.fields(RunConfig) if field.metadata["decides"] in subjects]


def allowed(name: str) -> str:
    """Say which values a setting takes: its choices or its range; "" if any text will do."""
    field = RunConfig.__dataclass_fields__[name]
    choices, low, high = (field.metadata[key] for key in ("choices", "low", "high"))
    if choices:
        return " | ".join(choices)
    return f"{low} to {high}" if low is not None else _KINDS[bool] if type(field.default) is bool else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the known word that is closest to a misspelt one; name all of them if none is close."""
    known = list(known)
    close = difflib.get_close_matches(word, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(known)}"


def load(path: str | Path) -> RunConfig:
    """Read a YAML file of settings.

    Raises:
        InputError: there is no such file, it is not a YAML mapping, or RunConfig refuses a setting.
    """
    return from_dict(read_yaml(path, "configs/sample.yaml"), str(path))


def read_yaml(path: str | Path, example: str) -> dict:
    """Read a YAML file of `setting: value` lines; an empty file gives no settings.

    Args:
        path: the file.
        example: a valid file of this kind, named in the message when the file is missing.

    Raises:
        InputError: there is no such file, or it is not a YAML mapping.
    """
    import yaml

    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no config at {str(path)!r}: name a YAML file such as {example}") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: not UTF-8, or a 13th month
        raise InputError(f"config {str(path)!r} could not be read as YAML: {reason_of(error)}") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise InputError(f"config {str(path)!r} holds {type(values).__name__}, expected lines of `setting: value`")
    return values


def parse_settings(pairs: list[str], option: str = "--set") -> dict:
    """Turn `key=value` arguments into settings; values are read as YAML unless the setting is text.

    Args:
        pairs: the arguments.
        option: the option they were given to, for error messages.

    Raises:
        InputError: an argument has no `=`, or its value is not YAML.
    """
    import yaml

    values = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError(f"{option} {pair!r}: expected key=value, for example seed=1")
        if isinstance(RunConfig.__dataclass_fields__.get(name, types.SimpleNamespace(default=None)).default, str):
            values[name] = text  # paths and addresses such as `a: b` and `*.zip` are not valid YAML
            continue
        try:
            values[name] = yaml.safe_load(text)
        except (ValueError, RecursionError, yaml.YAMLError) as error:
            raise InputError(f"{option} {pair!r}: the value is not YAML: {reason_of(error)}") from None
    return values


def check_checkpoint(setting: str) -> None:
    """Check that a checkpoint exists, before minutes of work that need it.

    Raises:
        InputError: there is no such file.
    """
    if setting in ("auto", "random") or setting.startswith(("http://", "https://")):
        return
    if not Path(setting).exists() and not Path(f"{setting}.index").exists():
        close = difflib.get_close_matches(setting, ("auto", "random"), 1)
        hint = f"did you mean {close[0]!r}? Otherwise " if close else ""
        raise InputError(
            f"no checkpoint at {setting!r}: {hint}expected auto, random, a URL or the path of a .ckpt or .tar.gz"
        )


def check_edits(setting: str) -> None:
    """Check that a table of label corrections exists; only the default one may be missing.

    Raises:
        InputError: there is no such file.
    """
    if setting != RunConfig.edits and not Path(setting).exists():
        raise InputError(
            f"edits: no table of label corrections at {setting!r}: correct the path, or omit the setting until the "
            "widget in 02_augment has written it"
        )


def _checked(field, value):
    """Return the value as the field's type; raise InputError if it is not valid."""
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
    choices, low, high = (field.metadata[name] for name in ("choices", "low", "high"))
    fault = "is unknown" if choices and value not in choices else ""
    if low is not None and not low <= value <= high:
        fault = "is out of range"
    if fault:
        raise InputError(f"{field.name}: {value!r} {fault}, expected {allowed(field.name)} ({field.metadata['help']})")
    return os.path.expanduser(value) if field.name in PATHS else value
