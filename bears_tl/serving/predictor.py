"""Load a trained run and classify photos with it."""

import dataclasses
import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from bears_tl.batches import batches_of
from bears_tl.errors import InputError, reason_of
from bears_tl.judging.predictions import to_rows
from bears_tl.photos import thumbnails, views
from bears_tl.photos.clutter import is_clutter
from bears_tl.pipeline import artifacts
from bears_tl.pipeline.run import Run
from bears_tl.studies import ladder

_CHUNK = 256  # photos in memory at once


def find_photos(paths: Iterable[str | Path]) -> list[Path]:
    """List the given files, and all files below the given folders, sorted, without clutter.

    Raises:
        InputError: a path does not exist, or there are no files.
    """
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            below = (file for file in path.rglob("*") if file.is_file())
            found += sorted(file for file in below if not any(map(is_clutter, file.relative_to(path).parts)))
        elif path.exists():
            found.append(path)
        else:
            raise InputError(f"no photo at {str(path)!r}: name photo files, or folders that contain some")
    if not found:
        raise InputError(f"no files in {', '.join(repr(str(path)) for path in paths)}: name photo files or folders")
    return found


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A trained model of a run. It classifies photos by their center views, exactly as in the test.

    A photo's probabilities do not depend on the other photos, except for float32 rounding in the head.

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
    _infer: Callable[[np.ndarray], np.ndarray]

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
        pixels, side = np.asarray(pixels), self.image_size_px
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (side, side, 3):
            raise ValueError(f"expected uint8 [n, {side}, {side}, 3], not {pixels.dtype} {list(pixels.shape)}")
        return self._infer(pixels) if len(pixels) else np.empty((0, len(self.class_names)), np.float32)

    def predict(self, paths: list[Path]) -> tuple[list[dict], list[dict]]:
        """Classify photo files.

        Returns:
            Rows as in predictions.csv, and rows (path, detail) for files that could not be read as photos.
        """
        rows, unreadable = [], []
        for chunk in batches_of(paths, _CHUNK):
            readable, pixels = [], []
            for path in chunk:
                try:
                    pixels.append(self.read(path))
                    readable.append({"path": str(path)})
                except Exception as error:  # decoders raise errors of many types
                    unreadable.append({"path": str(path), "detail": reason_of(error)})
            if readable:
                rows += to_rows(readable, self.probabilities(np.stack(pixels)), self.class_names)
        return rows, unreadable


def _load_head(run: Run) -> Predictor:
    from bears_tl.training.head import Head

    path = run.path("head.npz")
    head, body = Head.load(path), artifacts.load_body(run, same_bits=False)

    def infer(pixels):
        return head.probabilities(body.features(pixels))

    return Predictor("head", head.class_names, views.IMAGE_SIZE_PX, _body(run), path, _reader(run), infer)


def _load_rung(run: Run, model: str, rung: str) -> Predictor:
    from bears_tl.inception.backbone import Backbone
    from bears_tl.training.head import Head
    from bears_tl.training.rungs import BATCH_SIZE, CutNetwork

    path = run.path("ladder") / rung / "weights.npz"
    head, backbone = Head.load(run.path("head.npz")), Backbone.restore(artifacts.checkpoint_facts(run)["path"])
    network = CutNetwork(backbone, head, rung)
    network.restore(path)

    def infer(pixels):
        batches = batches_of(pixels, BATCH_SIZE)
        return np.concatenate([network.probabilities(network.activations(batch)) for batch in batches])

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
    return Predictor("scratch", network.class_names, side, None, path, read, network.probabilities)


def _body(run: Run) -> dict:
    facts = run.facts("restore")
    return {name: facts[name] for name in ("kind", "fingerprint", "precision")}


def _reader(run: Run) -> Callable[[str | Path | BinaryIO], np.ndarray]:
    return lambda file: views.read_views(file, [views.CENTER], "", run.config.max_megapixels)[0]
