"""`bears settings` shows what the checks of the settings know."""

import re

from bears_tl.cli import main
from bears_tl.config import SUBJECTS, RunConfig
from bears_tl.files import write_json


def test_every_setting_is_listed_under_what_it_decides_with_default_range_and_meaning(capsys):
    assert main(["settings"]) == 0
    lines = capsys.readouterr().out.splitlines()
    titles = [lines.index(title) for title in SUBJECTS.values()]
    assert titles == sorted(titles)
    names = [match[1] for line in lines if (match := re.match(r"  (\w+) = ", line))]
    assert sorted(names) == sorted(RunConfig().as_dict())
    at = lines.index("  epochs = 200 (1 to 100000)")
    assert lines[at + 1] == "      largest number of epochs" and at > lines.index("Training of the head")
    assert "  allow_animated = false (true or false)" in lines and "  checkpoint = auto" in lines


def test_the_values_of_a_run_are_shown_and_marked_where_they_are_not_the_default(tmp_path, capsys):
    write_json(tmp_path / "config.json", RunConfig(epochs=5, photos="birds").as_dict())
    assert main(["settings", "--run", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    marked = [line for line in lines[:-1] if line.startswith("*")]
    assert marked == [
        f"* run = {tmp_path} (default: runs/sample)",
        "* photos = birds (default: sample)",
        "* epochs = 5 (1 to 100000; default: 200)",
    ]
    assert "  patience = 20 (1 to 100000)" in lines and lines[-1] == "* differs from the default"
