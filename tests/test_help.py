"""Help: every verb and every make target is in one group, and every example is a valid command line."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from bears_tl.cli import GROUPS, VERBS, main, make_parser

ROOT = Path(__file__).resolve().parent.parent


def help_of(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_the_help_lists_every_verb_once_in_its_group_and_fits_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = help_of(capsys).splitlines()
    assert len(lines) <= 45 and max(map(len, lines)) <= 80
    found = {}
    for line in lines:
        if line.removesuffix(":") in GROUPS:
            title = line.removesuffix(":")
        elif match := re.match(r"  ([a-z0-9][a-z0-9-]*)  +\w", line):
            assert match[1] not in found
            found[match[1]] = title
    assert found == {verb: title for title, verbs in GROUPS.items() for verb in verbs}
    assert len(set(VERBS)) == len(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_ends_with_an_example_that_is_accepted(verb, capsys):
    last = help_of(capsys, verb).strip().splitlines()[-1]
    assert f"{last} ".startswith(f"Example: bears {verb} ")
    assert make_parser().parse_args(shlex.split(last)[2:]).run_verb


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_help_lists_every_target_once_with_an_example_for_each_group():
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr
    (phony,) = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert sorted(re.findall(r"^  ([a-z-]+)  ", done.stdout, re.M)) == sorted(phony.split())
    titles = re.findall(r"^(First steps|Studies|Upkeep), e\.g\. make \w+", done.stdout, re.M)
    assert titles == ["First steps", "Studies", "Upkeep"]
