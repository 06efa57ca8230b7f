import ast
import dataclasses
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import jupytext
import nbformat
import pytest

from bears_tl.config import RunConfig
from bears_tl.files import write_json
from bears_tl.pipeline.run import Run

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "notebooks").glob("*.py"))
TRAINING, BEYOND = SOURCES[:7], SOURCES[7:]
DEFAULTS = {field.name: field.default for field in dataclasses.fields(RunConfig)}
MEANINGS = {field.name: field.metadata["help"] for field in dataclasses.fields(RunConfig)}
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def code_cells(source):
    return [cell for cell in jupytext.read(source, fmt="py:percent").cells if cell.cell_type == "code"]


COLAB = code_cells(SOURCES[0])[0].source


def parameters(source):
    (cell,) = [cell for cell in code_cells(source) if "parameters" in cell.metadata.get("tags", [])]
    return {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(cell.source).body}


def test_all_seven_notebooks_of_a_training_are_there():
    names = ["01_fetch", "02_augment", "03_split", "04_restore", "05_train", "06_evaluate", "07_predict"]
    assert [source.stem for source in TRAINING] == names
    assert {source.stem for source in BEYOND} <= set(load("run_notebooks").BEYOND)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_both_sides_say_the_same(source):
    assert source.with_suffix(".ipynb").read_text() == load("sync_notebooks").to_ipynb(source)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_parameters_are_settings_with_the_same_defaults(source):
    declared = parameters(source)
    assert declared.items() <= DEFAULTS.items()
    assert "run" in declared


def test_every_setting_is_a_parameter_of_some_notebook():
    assert {name for source in SOURCES for name in parameters(source)} == set(DEFAULTS)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_parameter_is_explained_in_the_words_of_its_setting(source):
    comments = dict(re.findall(r"^(\w+) = .*?  # (.+)$", source.read_text(encoding="utf-8"), re.M))
    names = set(parameters(source)) - {"run"}  # which notebook wrote it differs
    assert {name: comments.get(name) for name in names} == {name: MEANINGS[name] for name in names}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_notebooks_define_nothing(source):
    for cell in code_cells(source):
        found = [type(node) for node in ast.walk(ast.parse(cell.source))]
        assert not {ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda} & set(found), cell.source


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_no_comprehension_is_nested(source):
    for cell in code_cells(source):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, COMPREHENSIONS):
                inside = [other for other in ast.walk(node) if isinstance(other, COMPREHENSIONS)]
                assert inside == [node] and len(node.generators) == 1, ast.unparse(node)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_notebook_says_what_it_needs_and_teaches_and_where_to_go_on(source):
    first, *_, last = jupytext.read(source, fmt="py:percent").cells
    assert "**Before you start:**" in first.source and "**You will learn**" in first.source
    assert "**What we learned.**" in last.source
    for after in SOURCES[SOURCES.index(source) + 1 :][:1]:
        assert f"[{after.stem}]({after.stem}.ipynb)" in last.source


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_links_to_notebooks_lead_somewhere(source):
    for name, target in re.findall(r"\[(\w+)\]\((\w+)\.ipynb\)", source.read_text(encoding="utf-8")):
        assert name == target and source.with_name(f"{target}.ipynb").is_file()


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_the_setup_for_colab_has_the_same_words_everywhere(source):
    cells = jupytext.read(source, fmt="py:percent").cells
    (place,) = [number for number, cell in enumerate(cells) if "google.colab" in cell.source]
    assert (
        cells[place - 1].source == "*Setup for Colab and Kaggle. Elsewhere this only changes to the repository root.*"
    )
    assert cells[place].source == COLAB


# Runs the first cell where Colab or Kaggle is made up: `git` and `%pip` only write down what they are asked to do
FIRST_CELL = """
import builtins, os, subprocess, sys, types
if not os.environ.get("KAGGLE_KERNEL_RUN_TYPE"):
    sys.modules["google.colab"] = types.ModuleType("google.colab")
builtins.input = lambda question: print("asked")
fails = os.environ["FAILS"]
def run(words, **_):
    print(*words)
    if fails != "git":
        for folder in ("notebooks", "bears_tl/doctor"):
            os.makedirs(f"bears_tl/{folder}")
        for name in ("cli", "__init__", "doctor/__init__"):
            open(f"bears_tl/bears_tl/{name}.py", "w").close()
        with open("bears_tl/bears_tl/doctor/requirements.py", "w") as file:
            file.write("import builtins\\nlacking = lambda: builtins.left")
    return types.SimpleNamespace(returncode=int(fails == "git"))
subprocess.run = run
builtins.left = ["'openvino>=2025.0'"]
def magic(name, line):
    print(f"%{name} {line}")
    if "openvino" in line and fails != "pip":
        builtins.left = []
sys.modules["IPython"] = types.ModuleType("IPython")
sys.modules["IPython"].get_ipython = lambda: types.SimpleNamespace(run_line_magic=magic)
try:
    exec(os.environ["CELL"])
except RuntimeError as error:
    print(error)
print("in", os.path.relpath(os.getcwd(), os.environ["CONTENT"]))
"""
URL = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["bears_tl"]["repository_url"]
CLONE = f"git clone -q --depth 1 -- {URL} bears_tl"
INSTALL = ["%pip install -q --no-deps .", "%pip install -q 'openvino>=2025.0'"]


@pytest.mark.parametrize("kaggle", ["", "Interactive"])
def test_the_first_cell_finds_its_way_on_colab_and_kaggle_and_asks_nothing(tmp_path, kaggle):
    def first_cell(folder=tmp_path, fails=""):
        environment = os.environ | {"CELL": COLAB, "CONTENT": str(tmp_path), "FAILS": fails}
        environment |= {"KAGGLE_KERNEL_RUN_TYPE": kaggle} if kaggle else {}
        done = subprocess.run(
            [sys.executable, "-c", FIRST_CELL], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert not done.stderr
        return done.stdout.splitlines()

    refused = f"git could not clone {URL!r}: check the address, then run this cell again"
    assert first_cell(fails="git") == [CLONE, refused, "in ."]
    broken = "pip could not install 'openvino>=2025.0' (see above): run this cell again"
    assert first_cell(fails="pip") == [CLONE, *INSTALL, broken, "in ."]
    assert first_cell() == [*INSTALL, "in bears_tl"]  # run again, or after a restart of the runtime
    assert first_cell(tmp_path / "bears_tl") == ["in bears_tl"]
    assert first_cell(tmp_path / "bears_tl/notebooks") == ["in bears_tl"]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_the_address_is_the_one_in_pyproject_and_its_badges_lead_to_this_notebook(source):
    notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    place = URL.removeprefix("https://github.com/") + f"/blob/main/notebooks/{source.stem}.ipynb"
    first = notebook.cells[0].source
    assert f"(https://colab.research.google.com/github/{place})" in first and f"github.com/{place})" in first
    assert f'repository_url = "{URL}"' in source.read_text()
    assert notebook.metadata["accelerator"] == "GPU" and "runtime_version" in str(notebook.metadata["colab"])


def test_another_address_is_stamped_and_one_that_is_not_on_github_has_no_badges():
    script = load("sync_notebooks")
    assert (
        script.stamp(f'    repository_url = "{URL}"  # x', "https://x.org/b")
        == '    repository_url = "https://x.org/b"  # x'
    )
    assert script.add_badges("# Title\n\nText", "01_fetch", "https://x.org/b") == "# Title\n\nText"
    assert (
        script.add_badges("# Title\n\nText", "a", "https://github.com/me/b.git").count(
            "me/b/blob/main/notebooks/a.ipynb"
        )
        == 2
    )


def test_elsewhere_the_first_cell_only_changes_to_the_root(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    for folder, expected in ((tmp_path, tmp_path), (tmp_path / "notebooks", tmp_path)):
        monkeypatch.chdir(folder)
        exec(COLAB, {})
        assert Path.cwd() == expected


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_the_first_cell_readies_colab_and_figures_are_explained(source):
    notebook = jupytext.read(source, fmt="py:percent")
    assert "google.colab" in code_cells(source)[0].source
    for cell, after in zip(notebook.cells, notebook.cells[1:], strict=False):
        if cell.source.splitlines()[-1].startswith("figure = "):
            assert after.cell_type == "markdown" and "What to see" in after.source


@pytest.mark.slow
def test_the_notebooks_01_to_07_run_headless_in_order(workspace):
    done = run_notebooks(workspace, "runs/notebooks")
    assert done.returncode == 0, done.stdout + done.stderr
    expect_clean(workspace.folder / "runs/notebooks", TRAINING, done)
    # the stages give the same bits without notebooks
    for file in ("head.npz", "predictions.csv", "splits.csv"):
        one, other = (workspace.folder / "runs" / name / file for name in ("notebooks", "trained"))
        assert one.read_bytes() == other.read_bytes(), file
    metrics = [
        json.loads((workspace.folder / f"runs/{name}/metrics.json").read_text()) for name in ("notebooks", "trained")
    ]
    assert metrics[0]["test"] == metrics[1]["test"]


@pytest.mark.slow
@pytest.mark.parametrize("source", BEYOND, ids=lambda source: source.stem)
def test_the_notebooks_from_08_on_change_nothing_of_the_training(workspace, source):
    run = workspace.folder / "runs" / source.stem
    shutil.copytree(workspace.folder / "runs/trained", run)
    (workspace.folder / "results").mkdir(exist_ok=True)
    for name in ("claims.yaml", "as_2019.csv"):
        shutil.copy(ROOT / "results" / name, workspace.folder / "results")
    config = json.loads((run / "config.json").read_text()) | {"run": f"runs/{source.stem}"}  # of the copy
    write_json(run / "config.json", config)
    receipt = run / "receipt.json"  # other stages are added to it
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path != receipt}
    stages = json.loads(receipt.read_text())["stages"]
    script, config = ROOT / "scripts/run_notebooks.py", ROOT / "configs/sample.yaml"
    done = workspace.command(script, source.stem, "--config", config, "--run", f"runs/{source.stem}")
    assert done.returncode == 0, done.stdout + done.stderr
    expect_clean(run, [source], done)
    assert {path: path.read_bytes() for path in before} == before
    assert stages.items() <= json.loads(receipt.read_text())["stages"].items()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["08_beyont"], "'08_beyont'"),
        (["05_train", "nowhere"], "'nowhere'"),
        (["09_as_2019"], "no finished run in 'runs/sample'"),
        (["09_as_2019", "--run", "runs/none"], "no finished run in 'runs/none': run `make train`"),
        (["09_as_2019", "--run", "walked", "--set", "photos=mine"], "--set photos"),
        (["09_as_2019", "--run", "walked", "--set", "as_2019=half"], "'half'"),
    ],
)
def test_what_cannot_be_run_is_one_line(words, named, tmp_path, monkeypatch, capsys):
    (tmp_path / "walked").mkdir()
    (tmp_path / "walked/metrics.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["run_notebooks.py", *words, "--config", str(ROOT / "configs/sample.yaml")])
    assert load("run_notebooks").main() == 2
    said = capsys.readouterr().err
    assert named in said and said.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("setting", "named"),
    [("checkpoint=randon", "did you mean 'random'?"), ("edits=mine.csv", "'mine.csv'"), ("epoch=1", "'epochs'")],
)
def test_a_setting_that_cannot_work_is_refused_before_the_first_notebook(setting, named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["run_notebooks.py", "--set", "seed=1", setting])
    assert load("run_notebooks").main() == 2
    said = capsys.readouterr()
    assert named in said.err and said.err.count("\n") == 1 and not said.out
    assert not (tmp_path / "runs").exists()


def test_a_run_that_is_there_keeps_its_settings_unless_a_config_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script, started = load("run_notebooks"), []
    monkeypatch.setattr(script, "run_all", lambda run, notebooks: started.append(run.config) or 1)
    own = RunConfig(run="runs/mine", photos="sample", epochs=5, seed=3)
    with Run(own).stage("fetch"):
        pass
    (tmp_path / "mine.yaml").write_text("epochs: 7")
    for words in ([], ["--config", "mine.yaml"], ["--set", "epochs=9"]):
        monkeypatch.setattr("sys.argv", ["run_notebooks.py", "--run", "runs/mine", *words])
        assert script.main() == 1
    assert started == [own, own.replace(epochs=7, seed=0), own.replace(epochs=9)]
    monkeypatch.setattr("sys.argv", ["run_notebooks.py"])
    assert script.main() == 1 and started[-1] == RunConfig()


def test_without_names_01_to_07_are_chosen_and_names_are_put_in_order():
    choose = load("run_notebooks").choose
    assert [path.stem for path in choose([])] == [source.stem for source in TRAINING]
    assert [path.stem for path in choose(["06_evaluate", "05_train"])] == ["05_train", "06_evaluate"]


@pytest.mark.slow
@pytest.mark.parametrize("photos", ["nowhere", "too_few"])
def test_a_users_mistake_stops_at_the_notebook_that_finds_it_in_one_line(workspace, write_photos, photos):
    if photos == "too_few":
        write_photos(workspace.folder / photos, black=5, brown=2)
    done = run_notebooks(workspace, "runs/mistaken", f"photos={photos}")
    assert done.returncode == 2
    assert "[1/" in done.stdout and "[2/" not in done.stdout
    assert "01_fetch, code cell" in done.stderr and f"{photos}'" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("1 / 0", ["ZeroDivisionError", "1 / 0", "01_broken, code cell 2: ZeroDivisionError"]),
        ("import no_such_package", ["ModuleNotFoundError", "`.venv/bin/bears doctor` says how to mend"]),
        ("import os; os.kill(os.getpid(), 9)", ["01_broken: its kernel died, perhaps for lack of memory"]),
    ],
    ids=["error", "import", "death"],
)
def test_any_other_failure_says_what_and_where(empty_workspace, tmp_path, cell, said):
    write_notebook(tmp_path / "01_broken.ipynb", "x = 1", cell)
    done = empty_workspace.command("-c", run_all(tmp_path / "01_broken.ipynb"))
    assert done.returncode == 1 and done.stdout.endswith("01_broken ... failed\n")
    assert all(words in done.stderr for words in said)
    executed = tmp_path / "runs/broken/notebooks/01_broken.ipynb"
    assert done.stderr.endswith(f"the notebook up to that point: {executed.relative_to(tmp_path)}\n")
    counts = {cell.source: cell.get("execution_count") for cell in nbformat.read(executed, as_version=4).cells}
    assert counts["x = 1"] == 1
    assert done.stderr.count("\n") == 1 or "Traceback" in done.stderr


@pytest.mark.slow
def test_ctrl_c_is_one_line_and_leaves_no_run_behind(empty_workspace, tmp_path):
    write_notebook(tmp_path / "01_long.ipynb", "open('begun', 'w').close()", "import time; time.sleep(60)")
    program = run_all(tmp_path / "01_long.ipynb", door="train")
    process = empty_workspace.start("-c", program)
    wait_for(tmp_path / "begun")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert process.stderr.read() == "make train: interrupted; finished work is kept\n"
    assert not (tmp_path / "runs/broken").exists()


def write_notebook(path, *cells):
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells]), path)


def run_all(notebook, door="run_all"):
    """Give a program that runs the script with other notebooks."""
    return f"""
import runpy, sys
from pathlib import Path
from bears_tl.config import RunConfig
from bears_tl.pipeline.run import Run
script = runpy.run_path({str(ROOT / "scripts/run_notebooks.py")!r})
run = Run(RunConfig(run="runs/broken"))
script["main"].__globals__.update(choose=lambda names: [Path({str(notebook)!r})], settings_from=lambda *_: run.config)
sys.argv = ["run_notebooks.py"]
sys.exit(script["main"]() if {door!r} == "train" else script["run_all"](run, [Path({str(notebook)!r})]))
"""


def wait_for(path, seconds=60):
    for _ in range(10 * seconds):
        if path.exists():
            return
        time.sleep(0.1)
    pytest.fail(f"{path} did not appear")


def expect_clean(run, sources, done):
    """Every cell was executed, nothing was written to stderr, and one line per notebook was printed."""
    assert not done.stderr
    executed = sorted((run / "notebooks").glob("*.ipynb"))
    assert [path.stem for path in executed] == [source.stem for source in sources]
    for path in executed:
        notebook = nbformat.read(path, as_version=4)
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert all(cell.execution_count for cell in cells)
        streams = [output for cell in cells for output in cell.outputs if output.get("name") == "stderr"]
        assert not streams, f"{path.stem} writes to stderr: {streams[0]['text']}"
    lines = [line for line in done.stdout.splitlines() if re.match(r"\[\d/\d\] \w+ \.\.\. \d+ s$", line)]
    assert len(lines) == len(sources)


def run_notebooks(workspace, run, *settings):
    settings = [f"photos={workspace.photos}", "checkpoint=random", *settings]
    words = [word for setting in settings for word in ("--set", setting)]
    return workspace.command(
        ROOT / "scripts/run_notebooks.py", "--config", ROOT / "configs/sample.yaml", "--run", run, *words
    )
