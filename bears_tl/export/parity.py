"""The proof of an export: each format is asked in a clean process, twice, and compared with the run's own answers."""

import dataclasses
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from bears_tl.errors import InputError, reason_of
from bears_tl.export import asker, golden
from bears_tl.export.formats import FORMATS
from bears_tl.files import write_json

MOST_TEST_PHOTOS = 200
_SECONDS = 1800


@dataclasses.dataclass(frozen=True)
class Answers:
    """Answers about photos, in their order: the golden photos first, then test photos.

    Attributes:
        probabilities: float [n, n classes] in [0, 1].
        strangeness: float [n] in [0, 1].
    """

    probabilities: np.ndarray
    strangeness: np.ndarray


@dataclasses.dataclass(frozen=True)
class Question:
    """What all formats are asked, and the expected answers.

    Attributes:
        golden: paths of the golden photos.
        tests: paths of test photos.
        pixels: uint8 [n, 299, 299, 3], the center views of both, as the run reads them.
        expected: the run's answers, with the body in float32.
        threshold: of the strangeness.
    """

    golden: list[Path]
    tests: list[Path]
    pixels: np.ndarray
    expected: Answers
    threshold: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How a format's answers compare with the expected ones.

    Attributes:
        name: a key of FORMATS.
        golden: of the golden photos, see `_differences`.
        tests: of the test photos; None without any.
        by_photo: the largest difference of a probability, by golden photo.
        same_bits: both processes gave the same bits for the golden photos.
        photos_per_second: one photo per call.
    """

    name: str
    golden: dict
    tests: dict | None
    by_photo: dict[str, float]
    same_bits: bool
    photos_per_second: float

    def broken(self) -> str:
        """Say which bound is broken; an empty string if none is."""
        format = FORMATS[self.name]
        bounded = [value for name, value in self.by_photo.items() if not _is_beyond(self.name, name)]
        if self.tests and not format.reads_photos:
            bounded.append(self.tests["probability"])
        worst = np.max(bounded)  # NaN if one is
        if format.most is not None and not worst <= format.most:  # NaN fails too
            return f"{format.label}: a probability differs by {worst:.2g}, expected {format.most:g} at most"
        if format.same_class and self.tests and not self.tests["same_class"] >= format.same_class:
            share, least = self.tests["same_class"], format.same_class
            return f"{format.label}: {share:.1%} of the test photos get the same class, expected {least:.0%} or more"
        return ""


def compare(folder: Path, names: list[str], question: Question) -> list[Comparison]:
    """Ask formats in processes of their own that do not import bears_tl, one after the other.

    Args:
        folder: the export.
        names: keys of FORMATS.
        question: what they are asked.

    Raises:
        InputError: a process failed.
    """
    found = []
    with tempfile.TemporaryDirectory(prefix="bears_tl_export_") as work:
        count = len(question.golden)
        np.save(Path(work, "all.npy"), question.pixels)
        np.save(Path(work, "golden.npy"), question.pixels[:count])
        for name in names:
            print(f"Asking {FORMATS[name].label} about {len(question.pixels)} photos ...", flush=True)
            first, seconds = _ask(name, folder, Path(work), "all.npy", question.golden + question.tests)
            again, _ = _ask(name, folder, Path(work), "golden.npy", question.golden)
            found.append(_compare(name, first, again, seconds, question))
    return found


def _ask(name: str, folder: Path, work: Path, pixels: str, photos: list[Path]) -> tuple[Answers, float]:
    task = {
        "format": name,
        "folder": str(folder.resolve()),
        "pixels": str(work / pixels),
        "photos": [str(photo.resolve()) for photo in photos],
        "result": str(work / "result.npz"),
    }
    write_json(work / "task.json", task)
    command = [sys.executable, "-I", "-B", asker.__file__, str(work / "task.json")]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, cwd=work)
    except subprocess.TimeoutExpired:
        raise InputError(f"the proof of {FORMATS[name].label} took more than {_SECONDS} s: nothing was kept") from None
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["no message, perhaps for lack of memory"])[-1]
        raise InputError(f"the proof of {FORMATS[name].label} failed ({reason_of(last)}): nothing was kept")
    with np.load(work / "result.npz") as saved:
        return Answers(saved["probabilities"], saved["strangeness"]), float(saved["seconds"])


def _compare(name: str, first: Answers, again: Answers, seconds: float, question: Question) -> Comparison:
    count, expected = len(question.golden), question.expected
    by_photo = np.abs(first.probabilities - expected.probabilities)[:count].max(axis=1)
    by_photo = np.maximum(by_photo, np.abs(again.probabilities - expected.probabilities[:count]).max(axis=1))
    golden_part, test_part = slice(None, count), slice(count, None)
    same_bits = all(
        np.array_equal(getattr(first, field)[:count], getattr(again, field))
        for field in ("probabilities", "strangeness")
    )
    return Comparison(
        name,
        _differences(first, expected, question.threshold, golden_part),
        _differences(first, expected, question.threshold, test_part) if question.tests else None,
        dict(zip((path.name for path in question.golden), by_photo.tolist(), strict=True)),
        same_bits,
        len(question.pixels) / seconds,
    )


def _differences(found: Answers, expected: Answers, threshold: float, part: slice) -> dict:
    """Return the largest differences of probability and strangeness, and the shares of the same class and known."""
    probabilities, wanted = found.probabilities[part], expected.probabilities[part]
    strangeness, wanted_strangeness = found.strangeness[part], expected.strangeness[part]
    same_known = (strangeness <= threshold) == (wanted_strangeness <= threshold)
    return {
        "count": len(wanted),
        "probability": float(np.abs(probabilities - wanted).max()),
        "strangeness": float(np.abs(strangeness - wanted_strangeness).max()),
        "same_class": float((probabilities.argmax(axis=1) == wanted.argmax(axis=1)).mean()),
        "same_known": float(same_known.mean()),
    }


def _is_beyond(name: str, photo: str) -> bool:
    return name == "saved_model_bytes" and photo in golden.BEYOND_TENSORFLOW
