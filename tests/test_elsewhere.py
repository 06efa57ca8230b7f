"""What is for other machines: containers, CI and the citation agree with the project itself."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_ci_runs_every_python_and_tensorflow_that_the_project_names():
    matrix = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"]["test"]["strategy"]["matrix"]
    first, after = map(int, re.findall(r"3\.(\d+)", PROJECT["requires-python"]))
    assert matrix["python"] == [f"3.{minor}" for minor in range(first, after)]
    (bounds,) = (line for line in PROJECT["dependencies"] if line.startswith("tensorflow>"))
    first, after = map(int, re.findall(r"2\.(\d+)", bounds))
    assert matrix["tensorflow"] == [f"2.{minor}" for minor in range(first, after)]


def test_the_citation_has_the_version_and_licence_of_the_project():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])


@pytest.mark.parametrize("file", sorted((ROOT / "docker").glob("*.Dockerfile")), ids=lambda file: file.name)
def test_what_a_container_copies_is_there_and_it_does_not_run_as_root(file):
    text = file.read_text()
    for words in re.findall(r"^COPY --chown=1000 (.+)$", text, re.M):
        assert all((ROOT / name).exists() for name in words.split()[:-1])
    assert re.search(r"^USER 1000$", text, re.M) and "docker/entry.sh" in text


@pytest.mark.parametrize(
    ("words", "called"),
    [
        (["train", "--run", "runs/a b"], ["bears", "train", "--run", "runs/a b"]),
        (["lab"], ["jupyter", "lab", "--no-browser", "--ip=0.0.0.0", "--port=9999"]),
    ],
)
@pytest.mark.skipif(shutil.which("sh") is None, reason="needs sh")
def test_the_container_starts_bears_or_jupyterlab(words, called, tmp_path):
    for name in ("bears", "jupyter"):
        (tmp_path / name).write_text(f'#!/bin/sh\nprintf "%s\\n" {name} "$@"\n')
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PORT": "9999"}
    done = subprocess.run([ROOT / "docker/entry.sh", *words], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.splitlines()[: len(called)] == called
