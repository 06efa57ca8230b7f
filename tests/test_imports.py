"""The order of the rooms: each imports only from those above it, and TensorFlow stays in one of them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "bears_tl"
# From the top of the house down; rooms on one line do not import each other.
ORDER = [
    ["errors"],
    ["threads", "hardware", "tensorflow"],
    ["config"],
    ["files"],
    ["lock", "origin"],
    ["judging"],
    ["network"],
    ["photos"],
    ["inception"],
    ["features"],
    ["training"],
    ["pipeline"],
    ["article"],
    ["studies"],
    ["serving"],
    ["bench"],
    ["cli"],
    ["__main__"],
]
FLOOR = {room: floor for floor, rooms in enumerate(ORDER) for room in rooms}
MODULES = {
    ".".join(("bears_tl", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def imports(module):
    """Yield the full names that a module imports, at its head or inside a function."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} line {node.lineno}: imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(name):
    """Give the room of a full name such as bears_tl.photos.views.scale; the house itself, bears_tl, is none."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and not parts[1].startswith("__doc") else None


def test_all_modules_are_found():
    assert len(MODULES) >= 20 and {"bears_tl", "bears_tl.cli", "bears_tl.photos.views"} <= set(MODULES)


def test_imports_inside_functions_are_found():
    assert "bears_tl.pipeline.stages" in set(imports("bears_tl.cli"))


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_rooms_above_its_own(module):
    here = room(module)
    for name in imports(module):
        there = room(name) if name.split(".")[0] == "bears_tl" else None
        if there is None:
            continue
        assert here is not None, f"{module} is the house and imports {name}"
        assert {here, there} <= set(FLOOR), f"{module} imports {name}: enter the new room into ORDER"
        assert here == there or FLOOR[there] < FLOOR[here], f"{module} imports {name}, which is not above it"


@pytest.mark.parametrize("module", [module for module in MODULES if room(module) == "judging"])
def test_judging_needs_numpy_scipy_and_matplotlib_only(module):
    outside = {name.split(".")[0] for name in imports(module)} - sys.stdlib_module_names
    assert outside <= {"bears_tl", "numpy", "scipy", "matplotlib"}


@pytest.mark.parametrize("arguments", [None, ["--help"], ["fetch", "--help"], ["train", "--help"], ["fetch"]])
def test_the_command_line_answers_without_importing_what_is_slow(arguments):
    program = f"""
import contextlib, sys
from bears_tl import cli
if {arguments!r} is not None:
    with contextlib.suppress(SystemExit):
        cli.main({arguments!r})
print("imported:", *sorted({{name.partition(".")[0] for name in sys.modules}}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    imported = done.stdout.rpartition("imported:")[2].split()
    assert "bears_tl" in imported
    assert not {"tensorflow", "keras", "numpy", "matplotlib", "PIL", "scipy", "skimage"} & set(imported)
    shown = done.stdout + done.stderr
    assert arguments is None or "usage: bears" in shown
