"""Every setting has one name, one type and one range; whatever else is given is refused in one line."""

import dataclasses
import math
from pathlib import Path

import pytest

from bears_tl import config
from bears_tl.config import (
    PATHS,
    SUBJECTS,
    RunConfig,
    allowed,
    check_checkpoint,
    check_edits,
    deciding,
    from_dict,
    load,
    parse_settings,
)

CONFIGS = Path(__file__).parents[1] / "configs"
RANGES = {
    "min_accuracy": (0.0, 1.0),
    "max_ece": (0.0, 1.0),
    "max_stranger_share": (0.0, 1.0),
    "seed": (0, 2**31 - 1),
    "test_fraction": (0.01, 0.8),
    "val_fraction": (0.01, 0.8),
    "max_zoom": (0.0, 0.9),
    "brightness": (0.0, 1.0),
    "contrast": (0.0, 1.0),
    "saturation": (0.0, 1.0),
    "hue": (0.0, 0.5),
    "rotation_degrees": (0.0, 180.0),
    "erasing": (0.0, 0.9),
    "train_views": (0, 100),
    "epochs": (1, 100_000),
    "patience": (1, 100_000),
    "batch_size": (1, 65_536),
    "learning_rate": (1e-7, 1.0),
    "fine_tune_learning_rate": (1e-9, 1.0),
    "fine_tune_epochs": (1, 100_000),
    "fine_tune_patience": (1, 100_000),
    "label_smoothing": (0.0, 0.99),
    "mixup": (0.0, 100.0),
    "max_files": (1, 10**9),
    "max_bytes": (1, 10**15),
    "min_side_px": (1, 100_000),
    "max_megapixels": (1, 10_000),
}
FIELDS = {field.name: field for field in dataclasses.fields(RunConfig)}


@pytest.fixture
def yaml_file(tmp_path):
    def write(content: str | bytes) -> Path:
        path = tmp_path / "config.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def beyond(value, end):
    """Give the next value outside of a range: one further for int, the next float there is for float."""
    return value + int(math.copysign(1, end)) if isinstance(value, int) else math.nextafter(value, end)


def test_defaults_are_the_articles_split_and_need_no_network():
    made = RunConfig()
    assert (made.photos, made.checkpoint, made.run) == ("sample", "auto", "runs/sample")
    assert (made.test_fraction, made.val_fraction, made.batch_size, made.seed) == (0.2, 0.1, 40, 0)


def test_every_number_has_a_range_that_is_tested_here():
    assert set(RANGES) == {name for name, field in FIELDS.items() if not isinstance(field.default, str | bool)}


@pytest.mark.parametrize("name", RANGES)
def test_both_ends_of_a_range_are_taken(name):
    small = {"test_fraction": 0.01, "val_fraction": 0.01}  # each leaves room for the other's largest
    small |= {"optimizer": "adam"}  # mixup needs it
    for value in RANGES[name]:
        taken = getattr(from_dict(small | {name: value}, "here"), name)
        assert taken == value and type(taken) is type(FIELDS[name].default)


def test_mixup_needs_adam(refused):
    with refused("mixup 0.4", "optimizer=adam"):
        from_dict({"mixup": 0.4}, "here")


@pytest.mark.parametrize("name", RANGES)
def test_beyond_either_end_is_refused(name, refused):
    low, high = RANGES[name]
    for value in (beyond(low, -math.inf), beyond(high, math.inf)):
        with refused(name, repr(value), "out of range", f"{low} to {high}"):
            from_dict({name: value}, "here")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_float_that_is_no_number_is_refused(value, refused):
    with refused("learning_rate", "out of range"):
        RunConfig(learning_rate=value)


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [None, True, [1], {"a": 1}])
def test_a_wrong_type_is_refused_and_a_bool_is_no_number(name, value, refused):
    if type(value) is type(FIELDS[name].default):
        assert getattr(from_dict({name: value}, "here"), name) is value
        return
    kinds = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
    with refused(name, repr(value), f"expected {kinds[type(FIELDS[name].default)]}"):
        from_dict({name: value}, "here")


@pytest.mark.parametrize(
    ("name", "value"), [("seed", 1.0), ("seed", "1"), ("epochs", 2.5), ("run", 5), ("photos", 1.5), ("max_zoom", "big")]
)
def test_no_value_is_turned_into_another_type_silently(name, value, refused):
    with refused(name, repr(value)):
        from_dict({name: value}, "here")


def test_a_whole_number_is_taken_for_a_float():
    made = from_dict({"learning_rate": 1}, "here")
    assert made.learning_rate == 1.0 and type(made.learning_rate) is float


def test_a_number_too_large_for_a_float_is_refused(refused):
    with refused("learning_rate"):
        RunConfig(learning_rate=10**400)


@pytest.mark.parametrize("name", ["run", "photos", "checkpoint"])
@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_an_empty_text_is_refused(name, value, refused):
    with refused(name, "empty"):
        from_dict({name: value}, "here")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("learning-rate", "did you mean 'learning_rate'?"), ("Seed", "did you mean 'seed'?"), ("photo", "'photos'"),
     ("", "expected one of run, photos,"), (1, "learning_rate"), (None, "learning_rate")],
)  # fmt: skip
def test_an_unknown_setting_is_named_with_where_it_stands(name, hint, refused):
    with refused(repr(name), "my.yaml", hint):
        from_dict({name: 1}, "my.yaml")


@pytest.mark.parametrize(("test", "val"), [(0.8, 0.1), (0.1, 0.8), (0.45, 0.45), (0.34, 0.56)])
def test_a_tenth_left_to_train_on_is_enough(test, val):
    made = RunConfig(test_fraction=test, val_fraction=val)
    assert (made.test_fraction, made.val_fraction) == (test, val)


@pytest.mark.parametrize(("test", "val"), [(0.8, 0.11), (0.11, 0.8), (0.451, 0.45), (0.8, 0.8)])
def test_an_impossible_sum_of_fractions_is_refused(test, val, refused):
    with refused("test_fraction", "val_fraction", str(test), str(val), "0.9"):
        RunConfig(test_fraction=test, val_fraction=val)


def test_replace_checks_as_strictly_and_leaves_the_first_as_it_was(refused):
    first = RunConfig()
    assert first.replace(seed=7).seed == 7 and first.seed == 0
    for change in ({"sede": 7}, {"seed": -1}, {"test_fraction": 0.8, "val_fraction": 0.8}):
        with refused(next(iter(change))):
            first.replace(**change)


def test_as_dict_comes_back_as_the_same_settings():
    made = RunConfig(seed=3, max_zoom=0.5, photos="my photos")
    assert from_dict(made.as_dict(), "here") == made
    assert list(made.as_dict()) == list(FIELDS)


def test_yaml_is_read_with_numbers_that_yaml_takes_for_text(yaml_file):
    made = load(yaml_file("learning_rate: 1e-3\nseed: 5\nphotos: Bären\n"))
    assert (made.learning_rate, made.seed, made.photos) == (0.001, 5, "Bären")


def test_an_empty_file_gives_the_defaults(yaml_file):
    assert load(yaml_file("# nothing yet\n")) == RunConfig()


@pytest.mark.parametrize(
    "content",
    [
        "seed: [1",
        "seed: *nobody",
        "\tseed: 1",
        "run: 2024-13-45",  # a date for YAML, with a 13th month
        "seed: " + "1" * 5000,
        "[" * 1000,
        b"\xff\xfe\x00\xd8",
        b"seed: \x00",
    ],
    ids=["unclosed", "alias", "tab", "date", "digits", "deep", "bytes", "nul"],
)
def test_what_is_not_yaml_is_refused(content, yaml_file, refused):
    path = yaml_file(content)
    with refused(repr(str(path)), "YAML"):
        load(path)


@pytest.mark.parametrize(("content", "kind"), [("- seed", "list"), ("seed", "str"), ("5", "int"), ("false", "bool")])
def test_what_is_no_mapping_is_refused(content, kind, yaml_file, refused):
    path = yaml_file(content)
    with refused(repr(str(path)), kind, "setting: value"):
        load(path)


def test_a_bad_setting_in_a_file_is_refused_with_the_files_name(yaml_file, refused):
    path = yaml_file("sede: 1\n")
    with refused("'sede'", str(path)):
        load(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path, refused):
    with refused("no config", "absent.yaml"):
        load(tmp_path / "absent.yaml")
    with refused(str(tmp_path)):
        load(tmp_path)


def test_set_reads_values_as_yaml_and_text_as_it_is():
    pairs = ["seed=3", "max_zoom=0.5", "learning_rate=1e-3", "run=runs/a=b", "photos=123", "checkpoint=a: *b"]
    assert RunConfig().replace(**parse_settings(pairs)) == RunConfig(
        seed=3, max_zoom=0.5, learning_rate=0.001, run="runs/a=b", photos="123", checkpoint="a: *b"
    )


def test_the_last_set_of_a_setting_counts():
    assert parse_settings(["seed=1", "seed=2"]) == {"seed": 2}
    assert parse_settings([]) == {}


@pytest.mark.parametrize("pair", ["seed", "", "seed=[1", "seed=2024-13-45", "seed=" + "1" * 5000])
def test_set_without_a_value_that_is_yaml_is_refused(pair, refused):
    with refused("--set", repr(pair)):
        parse_settings([pair])


@pytest.mark.parametrize("pair", ["sede=1", "=1", "seed=", "seed=1.5", "seed=-1", "run="])
def test_set_of_a_bad_setting_is_refused(pair, refused):
    with refused(repr(pair.partition("=")[0]) if pair in ("sede=1", "=1") else pair.partition("=")[0]):
        RunConfig().replace(**parse_settings([pair]))


def test_every_config_of_the_project_loads():
    paths = sorted(
        path for path in CONFIGS.glob("*.yaml") if path.name != "open_images.yaml"
    )  # has a loader of its own
    assert {"sample.yaml", "bears.yaml"} <= {path.name for path in paths}
    for path in paths:
        assert isinstance(load(path), config.RunConfig)


def test_the_sample_config_is_the_defaults():
    assert load(CONFIGS / "sample.yaml") == RunConfig()


def test_the_bears_config_falls_back_to_nothing():
    made = load(CONFIGS / "bears.yaml")
    assert made.checkpoint not in ("auto", "random") and made.photos != "sample"


def test_every_setting_says_what_it_decides():
    names = {name: deciding(name) for name in SUBJECTS}
    assert sorted(name for group in names.values() for name in group) == sorted(RunConfig().as_dict()) and all(
        names.values()
    )
    assert names["nothing"] == ["run", "as_2019", "beyond", "tensorboard", "mlflow"]
    assert names["body"] == [
        "checkpoint",
        "precision",
        "engine",
    ]
    assert deciding("split", "after") == [*names["split"], *names["after"]]


@pytest.mark.parametrize("name", PATHS)
def test_a_tilde_is_the_home_folder_in_every_setting_that_may_be_a_path(name, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert getattr(RunConfig().replace(**parse_settings([f"{name}=~/x"])), name) == "/home/me/x"
    assert getattr(RunConfig().replace(**{name: "https://x.org/~me"}), name) == "https://x.org/~me"


def test_a_setting_says_which_values_it_takes():
    assert allowed("epochs") == "1 to 100000" and allowed("class_weights") == "none | balanced"
    assert allowed("allow_animated") == "true or false" and allowed("photos") == ""


@pytest.mark.parametrize(
    ("setting", "hint"), [("randon", "did you mean 'random'?"), ("atuo", "did you mean 'auto'?"), ("gone.ckpt", "")]
)
def test_a_checkpoint_that_is_not_there_is_refused_with_a_suggestion(setting, hint, refused):
    with refused(f"no checkpoint at {setting!r}", hint, "expected auto, random, a URL or the path"):
        check_checkpoint(setting)


def test_a_checkpoint_that_is_there_or_needs_no_file_is_accepted(tmp_path):
    (tmp_path / "new.ckpt-3.index").touch()  # TensorFlow's V2 format of several files
    for setting in ("auto", "random", "https://x.org/a.ckpt", str(tmp_path / "new.ckpt-3")):
        check_checkpoint(setting)


def test_only_the_default_table_of_corrections_may_be_missing(tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    check_edits(RunConfig().edits)
    with refused("edits", "'mine.csv'", "02_augment"):
        check_edits("mine.csv")
    (tmp_path / "mine.csv").touch()
    check_edits("mine.csv")
