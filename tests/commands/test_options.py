"""Options that several verbs share mean the same everywhere."""

import argparse

import pytest

from bears_tl.cli import VERBS, main, make_parser

PATHS = {"FOLDER", "NAME.csv", "RUN", "SOURCE", "YAML"}


def options_of(verb):
    (verbs,) = [action for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return [action for action in verbs.choices[verb]._actions if action.metavar]


def test_a_tilde_is_the_home_folder_in_every_option_that_is_a_path(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    found = {
        (verb, option.dest): option.type for verb in VERBS for option in options_of(verb) if option.metavar in PATHS
    }
    assert len(found) >= 20 and ("train", "config") in found
    assert {type and type("~/x") for type in found.values()} == {"/home/me/x"}


@pytest.mark.parametrize("verb", ["train", "compare"])
def test_set_takes_one_or_more_pairs_and_may_be_repeated(verb):
    more = ["--try", "seed=2", "--to", "x.csv"] if verb == "compare" else []
    options = make_parser().parse_args([verb, "--set", "a=1", "b=2", "--set", "c=3", *more])
    assert options.set == ["a=1", "b=2", "c=3"]
    assert make_parser().parse_args([verb, *more]).set == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "bears: unknown verb 'trian': did you mean 'train'?"),
        (["fly", "--run", "x"], "bears: unknown verb 'fly': expected one of fetch, open-images, intake,"),
        (["train", "--nonsense"], "bears: unrecognized arguments: --nonsense (`bears --help`"),
        (["train", "a=x"], "bears: unrecognized arguments: a=x (`bears --help` lists the options; settings follow"),
        (["predict", "x.jpg"], "bears: the following arguments are required: --run (`bears predict --help`"),
        ([], "bears: the following arguments are required: VERB (`bears --help`"),
    ],
)
def test_a_misspelt_command_line_is_one_line(words, said, capsys):
    assert main(words) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(said) and printed.err.count("\n") == 1 and not printed.out
