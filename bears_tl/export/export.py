"""Export a run: write all formats to one folder, prove them, and keep the folder only if the proof holds."""

import gc
import importlib.resources
import json
import shutil
from pathlib import Path

import numpy as np

from bears_tl.errors import InputError, reason_of
from bears_tl.export import golden, model_card, parity, parity_page
from bears_tl.export.contract import contract
from bears_tl.export.formats import FORMATS, INSTALL, missing_packages
from bears_tl.export.parity import Answers, Question
from bears_tl.files import atomic_folder, is_taken, sha256_of, write_bytes, write_json
from bears_tl.inception.architecture import LAST, columns
from bears_tl.inception.body import Body
from bears_tl.inception.openvino_engine import EngineError
from bears_tl.judging.predictions import probabilities_of
from bears_tl.pipeline import artifacts
from bears_tl.pipeline.run import Run
from bears_tl.serving.predictor import Predictor
from bears_tl.training.head import Head
from bears_tl.training.strangers import Strangers

_NEEDED_BYTES = 800 * 10**6  # of disk: 450 MB of files, and what the conversions keep meanwhile


def export(run: Run, folder: str | Path) -> Path:
    """Write a run as files for other programs, with the proof that they answer alike.

    Everything is written beside `folder` and renamed at the end, so nothing half-written stays.

    Args:
        run: a run that is trained and evaluated; its photos must still be there.
        folder: must not exist, or be empty.

    Returns:
        The folder.

    Raises:
        InputError: the folder is not empty or has no space; the run is unfinished, changed or its photos are gone; or a
            format's answers differ too much from the run's.
    """
    folder = Path(folder)
    _require_place(folder)
    run.check("train")
    card = model_card.make(run)
    head, strangers = Head.load(run.existing("head.npz")), Strangers.load(run.existing("strangers.npz"))
    terms = contract(run, head, strangers)
    with atomic_folder(folder) as made:
        names, left_out = _write_formats(run, head, strangers, terms, made)
        write_bytes(made / "reader.py", (importlib.resources.files("bears_tl.export") / "reader.py").read_bytes())
        write_json(made / "contract.json", terms)
        question, own_difference = _question(run, head, strangers, golden.write(made / "golden"))
        found = parity.compare(made, names, question)
        for one in [one for one in found if FORMATS[one.name].same_class and one.broken()]:
            # 8 bits cost something that depends on the photos: no reason to do without the other files
            found.remove(one)
            (made / FORMATS[one.name].file).unlink()
            _leave_out(left_out, one.broken())
        if broken := [line for one in found if (line := one.broken())]:
            raise InputError(f"the export was not kept, because its answers differ: {'; '.join(broken)}")
        page = parity_page.make(made, found, left_out, own_difference)
        write_bytes(made / "parity.md", page.encode("utf-8", "surrogateescape"))
        write_bytes(made / "MODEL_CARD.md", card.encode("utf-8", "surrogateescape"))
        write_json(made / "golden" / "answers.json", _answers(question, head.class_names))
        files = sorted(path for path in made.rglob("*") if path.is_file() and path.name != "contract.json")
        terms["files"] = {path.relative_to(made).as_posix(): sha256_of(path) for path in files}
        write_json(made / "contract.json", terms)
    return folder


def _require_place(folder: Path) -> None:
    """Check that the folder is new or empty, and that there is space.

    Raises:
        InputError: the folder is not empty, or there is too little space.
    """
    if is_taken(folder):
        raise InputError(f"{str(folder)!r} is not empty: name a new or empty folder for the export")
    existing = next(parent for parent in folder.absolute().parents if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < _NEEDED_BYTES:
        raise InputError(
            f"the export needs {_NEEDED_BYTES / 1e6:.0f} MB and {free / 1e6:.0f} MB are free beside {str(folder)!r}: "
            "free some space, or name a folder on another disk"
        )


def _write_formats(
    run: Run, head: Head, strangers: Strangers, terms: dict, folder: Path
) -> tuple[list[str], list[str]]:
    """Write the model's files; return the formats that can be asked, and for each other one why it is left out."""
    from bears_tl.export import classifier, litert, saved_model
    from bears_tl.inception.tensorflow_engine import load_graph

    facts = artifacts.checkpoint_facts(run)
    body = load_graph(facts["path"], facts["fingerprint"], "float32", artifacts.cache_folder())
    graph, text = classifier.build(body, head, strangers), json.dumps(terms, ensure_ascii=True)
    names, left_out = [], []

    def can_write(*formats: str) -> bool:
        """Look for the packages; say what is missing, once for formats that share them."""
        if missing := missing_packages(formats[0]):
            labels = "; ".join(FORMATS[name].label for name in formats)
            _leave_out(left_out, f"{labels}: needs {' and '.join(missing)}; install with {INSTALL}")
            return False
        print(f"Writing {FORMATS[formats[0]].label.partition(',')[0]} ...", flush=True)
        names.extend(formats)
        return True

    if can_write("saved_model", "saved_model_bytes"):
        saved_model.write(graph, strangers.threshold, folder / "saved_model")
    if can_write(*(f"litert_{kind}" for kind in litert.KINDS), "reader"):
        files = {"labels.txt": "\n".join(head.class_names) + "\n", "contract.json": text}
        for kind in litert.KINDS:
            model = litert.with_files(litert.convert(graph, kind), files)
            write_bytes(folder / FORMATS[f"litert_{kind}"].file, model)
            gc.collect()  # a converter refers to itself: without this, three of them take 4 GB more
    if can_write("openvino"):
        from bears_tl.export import openvino_ir

        (folder / "openvino").mkdir()
        try:
            openvino_ir.write(graph, folder / "openvino" / "classifier.xml", text)
        except EngineError as error:
            names.remove("openvino")
            (folder / "openvino").rmdir()
            _leave_out(left_out, f"OpenVINO IR: {error}")
    if can_write("onnx"):
        from bears_tl.export import onnx_model

        try:
            model = onnx_model.convert(graph, text)
        except Exception as error:  # versions of onnx and ml_dtypes that do not fit raise errors of many types
            names.remove("onnx")
            _leave_out(left_out, f"ONNX: tf2onnx failed ({reason_of(error)})")
        else:
            write_bytes(folder / FORMATS["onnx"].file, model)
    return names, left_out


def _leave_out(left_out: list[str], why: str) -> None:
    left_out.append(why)
    print(f"Left out: {why}", flush=True)


def _question(run: Run, head: Head, strangers: Strangers, painted: list[Path]) -> tuple[Question, float]:
    """Read the photos and compute the run's answers with the body in float32.

    Returns:
        The question, and how far the run's own probabilities are from these; 0 for a run in float32.
    """
    photos = artifacts.photo_folder(run)
    tests = artifacts.draw(run, artifacts.split_rows(run)["test"], parity.MOST_TEST_PHOTOS)
    tests = [photos / row["path"] for row in tests]
    predictor, facts = Predictor.load(run), artifacts.checkpoint_facts(run)
    pixels = np.stack([predictor.read(path) for path in painted + tests])
    body = Body.open(facts["path"], facts["fingerprint"], "float32", artifacts.cache_folder())
    pooled = body.features(pixels)
    probabilities = head.probabilities(pooled[:, columns(head.depths)])
    expected = Answers(probabilities, strangers.strangeness(pooled[:, columns(LAST)]))
    own = probabilities_of(list(predictor.predict(painted + tests)), head.class_names)
    difference = float(np.abs(own - probabilities).max())
    return Question(painted, tests, pixels, expected, strangers.threshold), difference


def _answers(question: Question, class_names: list[str]) -> dict:
    """Return the expected answers about the golden photos, for a check on another machine."""
    expected = question.expected
    rows = zip(question.golden, expected.probabilities.tolist(), expected.strangeness.tolist(), strict=False)
    return {
        path.name: {"probabilities": dict(zip(class_names, shares, strict=True)), "strangeness": strangeness}
        for path, shares, strangeness in rows
    }
