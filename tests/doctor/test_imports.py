"""Imports are tried elsewhere: whatever a package does there, the doctor goes on."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from bears_tl.doctor import imports

ROOT = Path(__file__).parents[2]
BROKEN = {
    "broken_missing": "import no_such_module_here",
    "broken_early": "raise AttributeError('ml_dtypes has no attribute x')",
    "broken_exit": "import sys; sys.exit(3)",
    "broken_crash": "import os; os.abort()",
    "fine": "",
}


@pytest.fixture
def packages(tmp_path, monkeypatch):
    for name, source in BROKEN.items():
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_a_package_that_raises_ends_or_crashes_is_named_and_the_others_are_tried(packages):
    errors, gpus = imports.try_all(list(BROKEN))
    assert gpus is None and list(errors) == list(BROKEN)
    assert errors["broken_missing"] == "ModuleNotFoundError: No module named 'no_such_module_here'"
    assert errors["broken_early"] == "AttributeError: ml_dtypes has no attribute x"
    assert errors["broken_exit"] == "SystemExit: 3" and "SIGABRT" in errors["broken_crash"] and errors["fine"] == ""


def test_a_package_that_never_ends_is_given_up(packages, monkeypatch):
    (packages / "broken_slow.py").write_text("import time; time.sleep(60)")
    monkeypatch.setattr(imports, "SECONDS", 2)
    errors, _ = imports.try_all(["fine", "broken_slow", "broken_early"])
    assert errors["fine"] == "" and "more than 2 s" in errors["broken_slow"] and "ml_dtypes" in errors["broken_early"]


def test_the_doctor_needs_nothing_but_python(tmp_path):
    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare/bin/python"
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [python, "-m", "bears_tl", "doctor"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (2, "")
    assert "missing: tensorflow, " in done.stdout and " 'tensorflow>=2.19,<2.22'" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["bare"]  # it only looks


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("raise ImportError('no numpy', name='numpy')", "numpy cannot be imported (no numpy)"),
        ("raise AttributeError('_ARRAY_API not found')", "numpy cannot be imported (_ARRAY_API not found)"),
        ("import no_such_module_here", "no_such_module_here cannot be imported"),
    ],
)
def test_an_import_that_fails_names_the_doctor(source, named, tmp_path):
    """In the place of NumPy stands a module that fails."""
    (tmp_path / "numpy.py").write_text(source)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.json").write_text("{}")
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-m", "bears_tl", "evaluate", "--run", "run"],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"bears: {named}") and "`bears doctor`" in done.stderr
