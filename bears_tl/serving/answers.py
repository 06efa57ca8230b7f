"""Answer what one photo is, and why, as plain values and pictures that a page can show."""

import base64
import hashlib
import io

import numpy as np
from PIL import Image

from bears_tl.errors import InputError, reason_of
from bears_tl.judging import reason_plots
from bears_tl.judging.names import visible
from bears_tl.photos.formats import PhotoError, require_size
from bears_tl.photos.image import open_image
from bears_tl.photos.storage import read_photo
from bears_tl.photos.views import CENTER
from bears_tl.pipeline.reasons import Neighbours
from bears_tl.pipeline.run import Run
from bears_tl.serving.corrections import Corrections
from bears_tl.serving.predictor import Predictor

MAX_MEGAPIXELS = 100  # of a photo, in any format: its pixels take up to 0.8 GB while it is read
_MOST_CLASSES = 5  # whose probabilities are shown
_SIDE_PX = 160  # of a training photo
_QUALITY = 85  # of a WebP


class Answers:
    """A trained run that answers for one photo at a time, from its bytes. Nothing is written."""

    def __init__(self, run: Run):
        """Load the head and the body of a run, and open the features of its training photos.

        Raises:
            InputError: the run is not trained, was made by an earlier version, or a file that it needs is missing.
        """
        self.run, self.corrections, self._predictor = run, Corrections(run), Predictor.load(run)
        self.class_names = self._predictor.class_names
        self._max_megapixels = min(MAX_MEGAPIXELS, run.config.max_megapixels)
        self.lacking = ""  # why no training photos are shown
        try:
            self._neighbours = Neighbours(run)
        except InputError as error:
            self._neighbours, self.lacking = None, str(error)

    def answer(self, data: bytes) -> dict:
        """Classify a photo, exactly as `bears predict` does.

        Args:
            data: the content of a photo file.

        Returns:
            Values for JSON: `sha256`, `predicted`, `known`, `probabilities` (pairs of a class and its share, the
            likeliest first), `rest` (of the classes left out), `photo` and `map` (pictures as data: addresses),
            `place` (in words, where most comes from), `nearest` (class_name, similarity and `picture`) and `label`
            (path, split and class_name; None if it is not a photo of the run).

        Raises:
            InputError: the bytes are not a photo that can be read here.
        """
        view = self._read(data)
        sha256 = hashlib.sha256(data).hexdigest()
        shares, known, features = self._predictor.inspect(view[None])
        (values,) = self._predictor.explain(view[None])
        named = sorted(zip(self.class_names, shares[0].astype(float).tolist(), strict=True), key=lambda pair: -pair[1])
        label = self.corrections.label(sha256)
        return {
            "sha256": sha256,
            "predicted": visible(named[0][0]),
            "known": known[0]["known"] == "true",
            "probabilities": [[visible(name), share] for name, share in named[:_MOST_CLASSES]],
            "rest": sum(share for _, share in named[_MOST_CLASSES:]) if len(named) > _MOST_CLASSES else None,
            "photo": _picture(view),
            "map": _picture(_over(view, values)),
            "place": reason_plots.place(values),
            "nearest": self._nearest(features, sha256),
            "label": label and {name: visible(label[name]) for name in ("path", "split", "class_name")},
        }

    def _read(self, data: bytes) -> np.ndarray:
        """Read a photo as its center view, uint8 [299, 299, 3]."""
        try:
            with open_image(io.BytesIO(data), self._max_megapixels) as image:
                require_size(image.size, self._max_megapixels)
            return self._predictor.read(io.BytesIO(data))
        except PhotoError as error:
            if error.reason == "too_large":
                size = str(error).partition(";")[0]
                raise InputError(f"{size}: this page reads photos of up to {self._max_megapixels} megapixels") from None
            raise InputError(f"this is not a photo that can be read here ({reason_of(error)})") from None
        except Exception as error:  # decoders raise errors of many types
            raise InputError(f"this is not a photo that can be read here ({reason_of(error)})") from None

    def _nearest(self, features: np.ndarray, sha256: str) -> list[dict]:
        """List the training photos most alike; a photo that is gone has no picture."""
        if self._neighbours is None:
            return []
        (rows,), found = self._neighbours.find(features, [sha256]), []
        folder = self.run.facts("fetch")["folder"]
        for row in rows:
            try:
                (pixels,) = read_photo(folder, row, [CENTER])
                picture = _picture(pixels, _SIDE_PX)
            except InputError:
                picture = ""
            found.append(
                {"class_name": visible(row["class_name"]), "similarity": row["similarity"], "picture": picture}
            )
        return found


def _over(view: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Lay a class map, float [side, side], over the grey photo: uint8 of the view's shape."""
    height, width, _ = view.shape
    fine = Image.fromarray(values.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    colours = reason_plots.colours(np.asarray(fine))
    mixed = 255 * colours[..., :3] * colours[..., 3:] + view.mean(axis=2, keepdims=True) * (1 - colours[..., 3:])
    return np.rint(mixed).astype(np.uint8)


def _picture(pixels: np.ndarray, side_px: int | None = None) -> str:
    """Encode pixels, uint8 [height, width, 3], as a data: address."""
    image, webp = Image.fromarray(pixels), io.BytesIO()
    if side_px:
        image = image.resize((side_px, side_px), Image.Resampling.BILINEAR, reducing_gap=2.0)
    image.save(webp, "WEBP", quality=_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(webp.getvalue()).decode()}"
