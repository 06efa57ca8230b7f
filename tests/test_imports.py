"""The tree of docs/design.md: every folder and file is in it, and each imports only from those below it."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "bears_tl"
# docs/design.md has the tree, from the top down; what stands on one line does not import each other.
TREE = re.search(r"\n    bears_tl/ .*?\n\n", (PACKAGE.parent / "docs/design.md").read_text(encoding="utf-8"), re.S)[0]
ORDER = [
    re.findall(r"(\w+)(?:/|\.py)", line)[::-1] for line in re.findall(r"^      ((?:\w+(?:/|\.py) +)+)", TREE, re.M)
][::-1]
FLOOR = {folder: floor for floor, folders in enumerate([*ORDER, ["__main__"]]) for folder in folders}
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


def folder(name):
    """Give the folder of a full name such as bears_tl.photos.views.scale; bears_tl itself is none."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and not parts[1].startswith("__doc") else None


def test_all_modules_are_found():
    assert len(MODULES) >= 20 and {"bears_tl", "bears_tl.cli", "bears_tl.photos.views"} <= set(MODULES)


def test_imports_inside_functions_are_found():
    assert "bears_tl.pipeline.stages" in set(imports("bears_tl.cli"))


def test_the_tree_names_every_folder_and_file_of_the_library():
    assert len(ORDER) >= 15
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.stem not in ("__init__", "__main__"):
            assert re.search(rf"\b{path.stem}\b", TREE) or "painting" in path.parts, path
    assert {path.stem for path in PACKAGE.iterdir()} - {"__init__", "__pycache__"} == set(FLOOR)


@pytest.mark.parametrize("folder", [path for path in sorted(PACKAGE.rglob("*/")) if path.name != "__pycache__"])
def test_a_folder_says_in_one_line_what_it_owns(folder):
    assert re.fullmatch(r'"""[^\n]+\."""\n', (folder / "__init__.py").read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_below_its_own_folder(module):
    here = folder(module)
    for name in imports(module):
        there = folder(name) if name.split(".")[0] == "bears_tl" else None
        if there is None:
            continue
        assert here is not None, f"{module} is the top and imports {name}"
        assert {here, there} <= set(FLOOR), f"{module} imports {name}: enter the folder into the tree of docs/design.md"
        assert here == there or FLOOR[there] < FLOOR[here], f"{module} imports {name}, which is not below it"


@pytest.mark.parametrize("module", [module for module in MODULES if folder(module) == "judging"])
def test_judging_needs_numpy_and_matplotlib_only(module):
    outside = {name.split(".")[0] for name in imports(module)} - sys.stdlib_module_names
    assert outside <= {"bears_tl", "numpy", "matplotlib"}


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
