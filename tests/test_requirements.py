"""The two locks hold what pyproject.toml names, and no package twice."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def locked(name):
    """Give each package of a lock with its versions, of which Pythons or systems may have different ones."""
    pins: dict = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if not line.startswith(("#", "-r ")):
            pin = Requirement(line)
            pins.setdefault(canonicalize_name(pin.name), []).append(str(pin.specifier).removeprefix("=="))
    return pins


def named(requirements):
    return {canonicalize_name(Requirement(each).name): Requirement(each).specifier for each in requirements}


def test_what_the_notebooks_need_is_locked_within_its_range_and_without_what_development_adds():
    needed, pins = named(PROJECT["dependencies"]), locked("requirements.txt")
    assert all(needed[name].contains(version) for name in needed for version in pins[name])
    assert not named(PROJECT["optional-dependencies"]["dev"]).keys() & pins.keys()


def test_what_development_adds_is_locked_and_leaves_every_version_as_it_is():
    added = named(PROJECT["optional-dependencies"]["dev"])
    first, pins = locked("requirements.txt"), locked("requirements-dev.txt")
    assert (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()[1] == "-r requirements.txt"
    assert all(added[name].contains(version) for name in added for version in pins[name])
    assert all(pins[name] == first[name] for name in pins.keys() & first.keys())  # the same, on more systems
