"""The tree of docs/design.md: every folder and file is in it, and each imports only from those below it."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bears_tl.cli import VERBS

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
    assert "bears_tl.pipeline.stages" in set(imports("bears_tl.commands.split"))


def test_the_tree_names_every_folder_and_file_of_the_library():
    assert len(ORDER) >= 15
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.stem not in ("__init__", "__main__"):
            assert re.search(rf"\b{path.stem}\b", TREE) or path.parent.name in ("painting", "commands"), path
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
def test_judging_needs_numpy_scipy_and_matplotlib_only(module):
    outside = {name.split(".")[0] for name in imports(module)} - sys.stdlib_module_names
    assert outside <= {"bears_tl", "numpy", "scipy", "matplotlib"}


def test_every_file_of_a_verb_is_listed_and_every_verb_has_one():
    files = {module.removeprefix("bears_tl.commands.") for module in MODULES if "bears_tl.commands." in module}
    assert sorted(verb.replace("-", "_") for verb in VERBS) == sorted(files - {"options"})


# Runs command lines one after the other, and says after each which of the named packages are loaded by then
PROGRAM = """
import contextlib, json, sys
from bears_tl import cli
lines, packages = map(json.loads, sys.argv[1:])
for line in [None, *lines]:
    status = 0
    if line is not None:
        try:
            status = cli.main(line)
        except SystemExit as ended:
            status = ended.code
    loaded = {name.partition(".")[0] for name in sys.modules}
    print("ended:", json.dumps([line, status, sorted(loaded & set(packages))]))
"""


def here(*words):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True)


def run_lines(lines, packages, run=here):
    done = run("-c", PROGRAM, json.dumps(lines), json.dumps(packages))
    assert done.returncode == 0, done.stderr
    ended = [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("ended: ")]
    assert [line for line, _, _ in ended] == [None, *lines]
    return ended


def test_help_and_refusals_import_nothing_that_is_slow():
    helps, refused = (
        [["--help"], ["--version"], *([verb, "--help"] for verb in VERBS)],
        [["fetch"], ["no-such-verb"], []],
    )
    heavy = ["tensorflow", "keras", "numpy", "matplotlib", "PIL", "scipy", "skimage", "requests", "yaml"]
    for line, status, loaded in run_lines(helps + refused, heavy):
        assert (status, loaded) == (2 if line in refused else 0, []), line


@pytest.mark.slow
def test_verbs_that_compute_no_features_do_not_load_tensorflow(workspace, tmp_path):
    """It takes seconds and half a gigabyte, which these verbs have no use for."""
    shutil.copytree(workspace.folder / "cache", tmp_path / "cache", ignore=shutil.ignore_patterns("bodies"))
    shutil.copytree(workspace.folder / "runs/trained", tmp_path / "trained")
    (tmp_path / "trained/cues.csv").unlink()  # so that evaluate does the audit, too
    archive = shutil.make_archive(tmp_path / "photos", "zip", workspace.photos)
    trained, new = str(tmp_path / "trained"), str(tmp_path / "new")
    expected = [
        (["fetch", "sample", "--to", str(tmp_path / "sample")], 0),
        (["fetch", archive, "--to", str(tmp_path / "unpacked")], 0),
        (["intake", str(workspace.photos), "--run", new], 0),
        (["split", "--run", new], 0),
        (["evaluate", "--run", trained], 0),
        (["features", "--info"], 0),
        (["prune", "--keep", trained], 0),
        (["open-images", "--config", "none.yaml", "--to", "there"], 2),
        (["predict", "x.jpg", "--run", "nowhere"], 2),
        (["train", "--set", "epoch=3"], 2),
    ]

    def run(*words):
        return workspace.command(*words, BEARS_TL_CACHE=str(tmp_path / "cache"))

    ended = run_lines([line for line, _ in expected], ["tensorflow", "keras"], run)
    assert ended[1:] == [[line, status, []] for line, status in expected]
