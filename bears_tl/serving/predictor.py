"""Load a trained run and classify photos with it."""

import dataclasses
import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from bears_tl.batches import batches_of
from bears_tl.errors import InputError, reason_of
from bears_tl.judging.predictions import to_row
from bears_tl.photos import thumbnails, views
from bears_tl.photos.clutter import is_clutter, is_own_folder
from bears_tl.pipeline import artifacts, reasons
from bears_tl.pipeline.run import Run
from bears_tl.studies import ladder
from bears_tl.threads import map_ahead

_CHUNK = 64  # photos that are classified together
_AHEAD = 2 * _CHUNK  # photos that are read before they are needed: 34 MB of views


def find_photos(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """List files, and all files below folders, sorted, without clutter; ~ is the home folder.

    What cannot be read stays in the list: a path that does not exist, a folder without files. `Predictor.predict` says
    so in its place. The home folder, and any folder that contains it, is refused: an accident such as "/" would walk
    the whole disk.

    Args:
        paths: files or folders, or only one.

    Raises:
        InputError: no path, an empty one, a folder as above, or none of the paths exists.
    """
    words = [paths] if isinstance(paths, str | Path) else list(paths)
    if not words or not all(str(word).strip() for word in words):
        raise InputError(f"{paths!r} names no photo: name photo files, or folders that contain some")
    found: list[Path] = []
    named = [Path(word).expanduser() for word in words]
    if not any(map(os.path.exists, named)):
        raise InputError(f"no photo at {str(named[0])!r}: name photo files, or folders that contain some")
    for path in named:
        if not os.path.isdir(path):
            found.append(path)
            continue
        if Path.home().resolve().is_relative_to(path.resolve()) or path.resolve() == Path(path.resolve().anchor):
            raise InputError(f"{str(path)!r} is or contains your home folder: name a folder of photos inside of it")
        below = (file for file in path.rglob("*") if file.is_file())
        own = functools.cache(is_own_folder)
        files = sorted(
            file
            for file in below
            if not any(map(is_clutter, file.relative_to(path).parts))
            and not any(map(own, file.parents[: len(file.relative_to(path).parts) - 1]))
        )
        found += files or [path]
    return found


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A trained model of a run. It classifies photos by their center views, exactly as in the test.

    A photo's probabilities do not depend on the other photos, to the bit.

    Attributes:
        model: `head`, the run's head; `scratch`; or a rung of its ladder, where the rung `head` is `ladder_head`.
        class_names: in the order of the probabilities' columns.
        image_size_px: side of the views.
        body: kind, fingerprint and precision of the frozen body, or of the body that a rung's training started from;
            None for scratch.
        weights: file of the trained weights.
        read: reads a photo (path or open file) as its center view, uint8 [side, side, 3] in [0, 255]; raises an OSError
            or another error of the decoder. It refuses a file in the words of the intake.
    """

    model: str
    class_names: list[str]
    image_size_px: int
    body: dict | None
    weights: Path
    read: Callable[[str | Path | BinaryIO], np.ndarray]
    _infer: Callable[[np.ndarray], tuple[np.ndarray, list[dict]]]
    _features: Callable[[np.ndarray], np.ndarray] | None = None
    _explain: Callable[[np.ndarray], np.ndarray] | None = None

    @classmethod
    def load(cls, run: Run, model: str = "head") -> "Predictor":
        """Load a model of a run.

        Args:
            run: a trained run.
            model: see `Predictor`.

        Raises:
            InputError: no such model, or one trained from an earlier state of the run; or its checkpoint or weights are
                missing, changed or from another model.
        """
        if model == "head":
            return _load_head(run)
        has_scratch = "scratch" in run.receipt()["stages"]
        if model == "scratch" and has_scratch:
            return _load_scratch(run)
        from bears_tl.training.rungs import RUNGS

        run.check("train")
        rungs = {"ladder_head" if rung == "head" else rung: rung for rung in RUNGS if ladder.result(run, rung)}
        if model in rungs:
            return _load_rung(run, model, rungs[model])
        others = " | ".join(["head", *rungs, *["scratch"] * has_scratch])
        raise InputError(
            f"run {str(run.folder)!r} has no model {model!r} trained from its current head, split and settings: "
            f"expected {others}, or train it first (bears ladder, bears scratch)"
        )

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Classify views.

        Args:
            pixels: uint8 [n, side, side, 3] in [0, 255], as returned by `read`.

        Returns:
            float32 [n, n classes] in [0, 1].

        Raises:
            ValueError: `pixels` has another shape or dtype.
        """
        pixels = self._checked(pixels)
        return self._infer(pixels)[0] if len(pixels) else np.empty((0, len(self.class_names)), np.float32)

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """Compute the features that the head uses, for `reasons.nearest`: float16 [n, n features], 0 or more.

        Raises:
            InputError: the model is not `head`.
            ValueError: see `probabilities`.
        """
        return self._of_head(self._features)(self._checked(pixels))

    def explain(self, pixels: np.ndarray) -> np.ndarray:
        """Compute what each place of a view adds to the logit of its predicted class, see `reasons.explain`.

        Only this computes maps; `probabilities` and `predict` do not.

        Args:
            pixels: uint8 [n, 299, 299, 3] in [0, 255], as returned by `read`.

        Returns:
            float64 [n, side, side] in logits, above 0 where the photo speaks for the class.

        Raises:
            InputError: the model is not `head`.
            ValueError: see `probabilities`.
        """
        return self._of_head(self._explain)(self._checked(pixels))

    def _of_head(self, function: Callable | None) -> Callable:
        if function is None:
            raise InputError(f"the model {self.model!r} has no class maps: load the model 'head'")
        return function

    def _checked(self, pixels: np.ndarray) -> np.ndarray:
        pixels, side = np.asarray(pixels), self.image_size_px
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (side, side, 3):
            raise ValueError(f"expected uint8 [n, {side}, {side}, 3], not {pixels.dtype} {list(pixels.shape)}")
        return pixels

    def predict(self, paths: Iterable[str | Path]) -> Iterator[dict]:
        """Classify photo files while threads read the next ones; memory does not grow with their number.

        Yields:
            One row per file, in their order: as in predictions.csv, or `path` and `error` for an unreadable one. Rungs
            of the ladder and scratch do not say whether a photo is known.
        """
        reading = map_ahead(self._read_or_say_why, paths, _AHEAD)
        while chunk := list(itertools.islice(reading, _CHUNK)):
            views = [view for _, view in chunk if isinstance(view, np.ndarray)]
            answers = zip(*self._infer(np.stack(views)), strict=True) if views else iter([])
            for path, view in chunk:
                if isinstance(view, str):
                    yield {"path": str(path), "error": view}
                else:
                    shares, known = next(answers)
                    yield to_row({"path": str(path)} | known, shares, self.class_names)

    def _read_or_say_why(self, path: str | Path) -> tuple[str | Path, np.ndarray | str]:
        """Read a photo: its path, and its view or why there is none."""
        if os.path.isdir(path):
            return path, "a folder without files"
        if os.path.exists(path) and not os.path.isfile(path):
            return path, "not a file"  # reading a pipe might never end
        try:
            return path, self.read(path)
        except Exception as error:  # decoders raise errors of many types
            return path, getattr(error, "strerror", None) or reason_of(error)


def _load_head(run: Run) -> Predictor:
    from bears_tl.inception.architecture import LAST, columns
    from bears_tl.training.head import Head
    from bears_tl.training.strangers import Strangers

    path = run.path("head.npz")
    if path.is_file():
        run.check("train")  # a head of another run would answer with wrong names
    head, strangers = Head.load(path), Strangers.load(run.existing("strangers.npz"))
    body = artifacts.load_body(run, same_bits=False)

    def features(pixels):
        return body.features(pixels)[:, columns(head.depths)]

    def infer(pixels):
        pooled = body.features(pixels)
        return head.probabilities(pooled[:, columns(head.depths)]), strangers.answer(pooled[:, columns(LAST)])

    explain = functools.partial(reasons.explain, head, body)
    facts = "head", head.class_names, views.IMAGE_SIZE_PX, _body(run), path
    return Predictor(*facts, _reader(run), infer, features, explain)


def _load_rung(run: Run, model: str, rung: str) -> Predictor:
    from bears_tl.inception.architecture import FEATURES
    from bears_tl.inception.backbone import Backbone
    from bears_tl.training.head import Head
    from bears_tl.training.rungs import BATCH_SIZE, CutNetwork

    path = run.path("ladder") / rung / "weights.npz"
    names = Head.load(run.path("head.npz")).class_names
    head = Head(np.zeros((FEATURES, len(names)), np.float32), np.zeros(len(names), np.float32), names)
    network = CutNetwork(Backbone.restore(artifacts.checkpoint_facts(run)["path"]), head, rung)
    network.restore(path)

    def infer(pixels):
        batches = batches_of(pixels, BATCH_SIZE)
        shares = [network.probabilities(network.activations(batch)) for batch in batches]
        return np.concatenate(shares), [{}] * len(pixels)

    body = _body(run) | {"precision": "float32"}  # rungs are trained and evaluated in float32
    return Predictor(model, head.class_names, views.IMAGE_SIZE_PX, body, path, _reader(run), infer)


def _load_scratch(run: Run) -> Predictor:
    from bears_tl.training.scratch import Scratch

    run.check("split")
    run.check("scratch")
    path = run.path("scratch.npz")
    network = Scratch.load(path)
    side = thumbnails.IMAGE_SIZE_PX
    read = functools.partial(thumbnails.read_center_view, max_megapixels=run.config.max_megapixels)

    def infer(pixels):
        return network.probabilities(pixels), [{}] * len(pixels)

    return Predictor("scratch", network.class_names, side, None, path, read, infer)


def _body(run: Run) -> dict:
    facts = run.facts("restore")
    return {name: facts[name] for name in ("kind", "fingerprint", "precision")}


def _reader(run: Run) -> Callable[[str | Path | BinaryIO], np.ndarray]:
    return lambda file: views.read_views(file, [views.CENTER], "", run.config.max_megapixels)[0]
