"""An export answers as the run does, from outside of the project; what cannot be exported leaves nothing behind."""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from bears_tl.cli import main
from bears_tl.export import export as export_
from bears_tl.export import formats, litert
from bears_tl.export.export import export
from bears_tl.export.formats import FORMATS
from bears_tl.files import read_json
from bears_tl.judging.predictions import probabilities_of
from bears_tl.pipeline.run import Run
from bears_tl.serving.predictor import Predictor

FILES = ["MODEL_CARD.md", "contract.json", "golden", "parity.md", "reader.py", "saved_model"]
LITERT = ["classifier_float16.tflite", "classifier_float32.tflite", "classifier_int8.tflite"]


@pytest.fixture(scope="module", autouse=True)
def cache(workspace):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEARS_TL_CACHE", str(workspace.folder / "cache"))
        yield


@pytest.fixture
def run(workspace, tmp_path):
    """Return a copy of the trained run that a test may damage."""
    shutil.copytree(workspace.folder / "runs/trained", tmp_path / "run")
    return Run.open(tmp_path / "run")


@pytest.fixture(scope="module")
def exported(workspace, tmp_path_factory):
    """Return an export of the sample in all formats whose packages are here."""
    folder = tmp_path_factory.mktemp("export") / "exported"
    done = workspace.bears_here("export", "--run", "runs/trained", "--to", folder)
    assert done.returncode == 0, done.stderr
    return folder


def needs(*packages):
    return pytest.mark.skipif(
        any(formats.importlib.util.find_spec(package) is None for package in packages),
        reason=f"needs {' and '.join(packages)}",
    )


@pytest.mark.slow
def test_an_export_holds_what_its_contract_says_and_nothing_of_this_machine(workspace, exported):
    terms = read_json(exported / "contract.json")
    assert set(FILES) <= {path.name for path in exported.iterdir()}
    files = {path.relative_to(exported).as_posix(): path for path in exported.rglob("*") if path.is_file()}
    assert terms["files"].keys() == files.keys() - {"contract.json"}
    for name, digest in terms["files"].items():
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == digest, name
    for name in ("contract.json", "MODEL_CARD.md", "parity.md", "golden/answers.json"):
        text = (exported / name).read_text(encoding="utf-8")
        assert not any(str(path) in text for path in (workspace.folder, workspace.photos, exported)), name
    assert "STAND-IN" in terms["notice"] and "STAND-IN" in (exported / "MODEL_CARD.md").read_text(encoding="utf-8")
    table = (exported / "parity.md").read_text(encoding="utf-8")
    missing = [format.label for name, format in FORMATS.items() if formats.missing_packages(name)]
    assert all(f"| {format.label} |" in table or format.label in missing for format in FORMATS.values())


@pytest.mark.slow
def test_the_expected_answers_are_those_of_predict(workspace, exported):
    answers = read_json(exported / "golden/answers.json")
    predictor = Predictor.load(Run.open(workspace.folder / "runs/trained"))
    rows = list(predictor.predict([exported / "golden" / name for name in answers]))
    expected = [list(answer["probabilities"].values()) for answer in answers.values()]
    found = probabilities_of(rows, predictor.class_names)
    exact = Run.open(workspace.folder / "runs/trained").facts("restore")["precision"] == "float32"
    np.testing.assert_allclose(found, expected, rtol=0, atol=0 if exact else 0.02)
    assert {len(answers), len(rows)} == {len(list((exported / "golden").glob("*.*g")))}


@pytest.mark.slow
@needs("ai_edge_litert")
def test_reader_answers_with_three_packages_only(exported):
    """It is run as by a stranger: isolated, from another folder."""
    photos = [exported / "golden" / name for name in ("plain.jpg", "exif_6.jpg", "display_p3.jpg", "cmyk.jpg")]
    check = (
        "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__'); "
        "assert not {'bears_tl', 'tensorflow'} & set(sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-I", "-c", check, exported / "reader.py", *photos], capture_output=True, text=True, cwd="/"
    )
    assert ended.returncode == 0, ended.stderr
    answers, threshold = read_json(exported / "golden/answers.json"), read_json(exported / "contract.json")
    for photo, line in zip(photos, ended.stdout.splitlines(), strict=True):
        found, expected = json.loads(line), answers[photo.name]
        for name, share in expected["probabilities"].items():
            assert abs(found["probabilities"][name] - share) <= 1e-3
        assert found["known"] == (found["strangeness"] <= threshold["strangeness"]["threshold"])
    for name in LITERT:
        with zipfile.ZipFile(exported / name) as archive:
            assert archive.read("labels.txt").decode().split() == ["Grizzly", "Panda", "Polar"]


@pytest.fixture
def only(monkeypatch, exported):
    """Give a function that lets an export write some LiteRT files only, copies of those of the whole export."""

    def kinds(*kinds, **bounds):
        written = {"reader", *(f"litert_{kind}" for kind in kinds)}
        monkeypatch.setattr(export_, "missing_packages", lambda name: [] if name in written else [f"what {name} needs"])
        monkeypatch.setattr(litert, "KINDS", kinds)
        monkeypatch.setattr(litert, "convert", lambda _, kind: (exported / f"classifier_{kind}.tflite").read_bytes())
        monkeypatch.setattr(litert, "with_files", lambda model, files: model)  # the copies have them
        last = f"litert_{kinds[-1]}"
        monkeypatch.setitem(FORMATS, last, dataclasses.replace(FORMATS[last], **bounds))

    return kinds


@pytest.mark.slow
@needs("ai_edge_litert")
def test_an_export_whose_answers_differ_is_not_kept(run, tmp_path, refused, only, capsys):
    only("float32", most=-1.0)
    before = sorted(os.listdir(tmp_path))
    with refused("not kept", "LiteRT, float32", "expected -1 at most"):
        export(run, tmp_path / "exported")
    assert sorted(os.listdir(tmp_path)) == before
    printed = capsys.readouterr().out
    for name in ("saved_model", "openvino", "onnx"):
        assert f"needs what {name} needs; install with .venv/bin/pip install -e '.[export]'" in printed


@pytest.mark.slow
@needs("ai_edge_litert")
def test_8_bits_that_cost_too_much_are_left_out_alone(run, tmp_path, only):
    only("float32", "int8", same_class=1.1)
    folder = export(run, tmp_path / "exported")
    assert (folder / "classifier_float32.tflite").exists() and not (folder / "classifier_int8.tflite").exists()
    assert "classifier_int8.tflite" not in read_json(folder / "contract.json")["files"]
    page = (folder / "parity.md").read_text(encoding="utf-8")
    assert "- LiteRT, int8: 100.0% of the test photos get the same class, expected 110% or more\n" in page
    assert "| LiteRT, int8 |" not in page and "| LiteRT, float32 |" in page


def test_a_folder_that_is_not_empty_is_refused(run, tmp_path, capsys):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/mine.txt").write_text("mine")
    assert main(["export", "--run", str(run.folder), "--to", str(tmp_path / "taken")]) == 2
    error = capsys.readouterr().err
    assert "is not empty" in error and error.count("\n") == 1
    assert os.listdir(tmp_path / "taken") == ["mine.txt"]


def test_a_disk_without_space_is_refused(run, tmp_path, refused, monkeypatch):
    monkeypatch.setattr(export_.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
    with refused("needs 800 MB and 1 MB are free"):
        export(run, tmp_path / "exported")
    assert not (tmp_path / "exported").exists()


@pytest.mark.parametrize("name", ["head.npz", "strangers.npz", "metrics.json", "predictions.csv"])
def test_a_run_that_lacks_a_file_is_refused(run, tmp_path, refused, name):
    run.path(name).unlink()
    with refused(name, "bears"):
        export(run, tmp_path / "exported")
    assert sorted(os.listdir(tmp_path)) == ["run"]


def test_a_run_whose_photos_are_gone_is_refused(run, tmp_path, refused):
    receipt = read_json(run.path("receipt.json"))
    receipt["stages"]["fetch"]["facts"]["folder"] = str(tmp_path / "gone")
    run.path("receipt.json").write_text(json.dumps(receipt))
    with refused("gone", "is missing", "put it back"):
        export(run, tmp_path / "exported")
    assert sorted(os.listdir(tmp_path)) == ["run"]
