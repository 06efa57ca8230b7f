import ast
import dataclasses
import importlib.util
import json
import re
import shutil
from pathlib import Path

import jupytext
import nbformat
import pytest

from bears_tl.config import RunConfig
from bears_tl.files import write_json

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "notebooks").glob("*.py"))
WALK, BEYOND = SOURCES[:7], SOURCES[7:]
DEFAULTS = {field.name: field.default for field in dataclasses.fields(RunConfig)}


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def code_cells(source):
    return [cell for cell in jupytext.read(source, fmt="py:percent").cells if cell.cell_type == "code"]


def parameters(source):
    (cell,) = [cell for cell in code_cells(source) if "parameters" in cell.metadata.get("tags", [])]
    return {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(cell.source).body}


def test_all_seven_notebooks_of_the_walk_are_there():
    names = ["01_fetch", "02_augment", "03_split", "04_restore", "05_train", "06_evaluate", "07_predict"]
    assert [source.stem for source in WALK] == names
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
def test_notebooks_are_thin(source):
    cells = code_cells(source)
    assert len(cells) <= 12
    for cell in cells:
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert len(lines) <= 10, cell.source
        assert not re.search(r"^\s*(def|class) ", cell.source, re.M), cell.source


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_the_first_cell_readies_colab_and_figures_are_explained(source):
    notebook = jupytext.read(source, fmt="py:percent")
    assert "google.colab" in code_cells(source)[0].source
    for cell, after in zip(notebook.cells, notebook.cells[1:], strict=False):
        if cell.source.splitlines()[-1].startswith("figure = "):
            assert after.cell_type == "markdown" and "What to see" in after.source


@pytest.mark.slow
def test_every_notebook_of_the_walk_runs_headless_in_order(workspace):
    done = run_notebooks(workspace, "runs/notebooks")
    assert done.returncode == 0, done.stdout + done.stderr
    expect_clean(workspace.folder / "runs/notebooks", WALK, done)
    # and the walk without notebooks gives the same bits
    for file in ("head.npz", "predictions.csv", "splits.csv"):
        one, other = (workspace.folder / "runs" / name / file for name in ("notebooks", "trained"))
        assert one.read_bytes() == other.read_bytes(), file
    metrics = [
        json.loads((workspace.folder / f"runs/{name}/metrics.json").read_text()) for name in ("notebooks", "trained")
    ]
    assert metrics[0]["test"] == metrics[1]["test"]


@pytest.mark.slow
@pytest.mark.parametrize("source", BEYOND, ids=lambda source: source.stem)
def test_a_notebook_beyond_the_walk_changes_nothing_of_it(workspace, source):
    run = workspace.folder / "runs" / source.stem
    shutil.copytree(workspace.folder / "runs/trained", run)
    (workspace.folder / "results").mkdir(exist_ok=True)
    for name in ("claims.yaml", "as_2019.csv"):
        shutil.copy(ROOT / "results" / name, workspace.folder / "results")
    config = json.loads((run / "config.json").read_text()) | {"run": f"runs/{source.stem}"}  # of the copy
    write_json(run / "config.json", config)
    receipt = run / "receipt.json"  # stages aside are added to it
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


def test_without_names_the_walk_is_chosen_and_names_are_put_in_order():
    choose = load("run_notebooks").choose
    assert [path.stem for path in choose([])] == [source.stem for source in WALK]
    assert [path.stem for path in choose(["06_evaluate", "05_train"])] == ["05_train", "06_evaluate"]


@pytest.mark.slow
def test_a_users_mistake_stops_at_the_notebook_that_finds_it_in_one_line(workspace):
    done = run_notebooks(workspace, "runs/mistaken", "photos=nowhere")
    assert done.returncode == 2
    assert "[1/" in done.stdout and "[2/" not in done.stdout
    assert "01_fetch, code cell" in done.stderr and "'nowhere'" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_any_other_failure_shows_its_cell_and_error(workspace, tmp_path):
    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1"), nbformat.v4.new_code_cell("1 / 0")])
    nbformat.write(broken, tmp_path / "01_broken.ipynb")
    program = (
        "import sys, runpy; from pathlib import Path;"
        "from bears_tl.pipeline.run import Run; from bears_tl.config import RunConfig;"
        f"names = runpy.run_path({str(ROOT / 'scripts/run_notebooks.py')!r});"
        f"run, notebook = Run(RunConfig(run='runs/broken')), Path({str(tmp_path / '01_broken.ipynb')!r});"
        "sys.exit(names['run_all'](run, [notebook]))"
    )
    done = workspace.command("-c", program)
    assert done.returncode == 1
    assert "01_broken, code cell 2: ZeroDivisionError" in done.stderr and "1 / 0" in done.stderr


def expect_clean(run, sources, done):
    """Every cell was executed, nothing was written to stderr, and a line a notebook was printed."""
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
