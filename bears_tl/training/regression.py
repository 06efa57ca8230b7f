"""Softmax regression with weight decay: the one optimum of a convex problem, found by L-BFGS."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator

import numpy as np

from bears_tl.errors import InputError

CHUNK_ROWS = 4096  # rows of features that are read at once: 32 MiB of 2,048 features as float32
HELD_BYTES = 1 << 29  # smaller sets are kept in memory; larger ones are read again in each pass
MOST_STEPS = 500
TOLERANCE = 1e-5
_MEMORY = 10  # the steps that L-BFGS remembers
_DIRECTIONS = 256  # the main directions of the features, along which the curvature of the loss is guessed
_SAMPLE = 1536  # rows that they are found on: half a second
_CURVATURE = 0.1  # of the loss by a logit, p * (1 - p), typically


@dataclasses.dataclass(frozen=True)
class Examples:
    """The training photos. Their features are shifted and scaled, so that one weight decay suits all bodies.

    Each depth is divided by the mean norm of its features, so depths stay comparable and the layer stays linear.

    Attributes:
        chunks: returns an iterator over float32 [k, n features] and float32 [k, n classes]: scaled features and targets
            of every view of every photo.
        photos: their number.
        shift: float64 [n features], the means of the features.
        scale: float64 [n features], above 0.
        directions: float32 [n features, k], orthonormal: the main directions of the scaled features; None: features are
            along these directions already.
        variances: float64 [k + 1], of the scaled features along each direction; the last stands for all others.
    """

    chunks: Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]
    photos: int
    shift: np.ndarray
    scale: np.ndarray
    directions: np.ndarray | None
    variances: np.ndarray

    @classmethod
    def of(
        cls,
        table,
        targets: np.ndarray,
        widths: tuple[int, ...],
        rows: np.ndarray | None = None,
        directions: int = _DIRECTIONS,
    ) -> "Examples":
        """Read or stream the features of photos.

        Args:
            table: [n, n views, n features], a `FeatureTable` or an array of floats.
            targets: float [n, n classes], 0 or more. The loss of a photo is -sum(targets * log probabilities), and each
                of its views has an equal part of it.
            widths: the number of features of each depth, in order.
            rows: int [k], which photos to use; None: all.
            directions: the most main directions to find.

        Raises:
            InputError: a feature is NaN or infinite.
        """
        _, views, depth = table.shape
        rows = np.arange(len(targets)) if rows is None else rows
        photos = len(rows)
        step = max(CHUNK_ROWS // views, 1)
        held = photos * views * depth * 4 <= HELD_BYTES

        def read() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for start in range(0, photos, step):
                chunk = rows[start : start + step]
                x = np.asarray(table[chunk], np.float32).reshape(-1, depth)
                yield x, np.repeat(targets[chunk] / views, views, axis=0).astype(np.float32)

        raw = functools.partial(iter, list(read())) if held else read
        parts = list(itertools.pairwise(np.cumsum((0, *widths))))
        norms, shift = np.zeros(len(widths)), np.zeros(depth)
        for x, _ in raw():
            shift += x.sum(axis=0, dtype=np.float64) / (photos * views)
            norms += [np.linalg.norm(x[:, low:high], axis=1).sum(dtype=np.float64) for low, high in parts]
        if not np.isfinite(norms).all():
            raise InputError(
                "some features are not finite numbers: the weights or the feature cache are damaged; restore the "
                "weights again, and delete the folder that `bears features --info` names"
            )
        scale = np.repeat(np.where(norms > 0, norms / (photos * views), 1.0), widths)

        def scaled() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for x, y in raw():
                yield (x - shift.astype(np.float32)) / scale.astype(np.float32), y

        chunks = functools.partial(iter, list(scaled())) if held else scaled
        sample = [x[:: -(-photos * views // _SAMPLE)] for x, _ in chunks()]
        return cls(chunks, photos, shift, scale, *_main_directions(np.concatenate(sample), directions))

    def projected(self) -> tuple[np.ndarray, np.ndarray]:
        """Project the scaled features on their main directions, so that many fits are fast.

        Returns:
            Features, float32 [rows, k], and targets, float32 [rows, n classes], one row per view of a photo.
        """
        parts = [(x @ self.directions, y) for x, y in self.chunks()]
        return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))

    def of_projected(self, x: np.ndarray, y: np.ndarray, photos: int) -> "Examples":
        """Use rows of `projected`; kernel and bias of a fit then apply to projected features."""
        depth = x.shape[1]
        return Examples(
            functools.partial(iter, [(x, y)]), photos, np.zeros(depth), np.ones(depth), None, self.variances
        )


def _main_directions(sample: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `directions` and `variances` of scaled features, float32 [n, n features], the largest variance first."""
    values, vectors = np.linalg.eigh((sample @ sample.T).astype(np.float64))
    values, vectors = values[::-1], vectors[:, ::-1]
    count = min(most, int((values > 1e-6 * max(values[0], 1e-30)).sum()))
    directions = (sample.T @ (vectors[:, :count] / np.sqrt(values[:count]))).astype(np.float32)
    return directions, np.append(values[:count], values[count] if count < len(values) else 0).clip(0) / len(sample)


@dataclasses.dataclass
class Fit:
    """A fit in progress, and its result.

    Attributes:
        kernel: float64 [n features, n classes], for features as they are, not scaled.
        bias: float64 [n classes].
        loss: the mean loss of the training photos, in nats, without weight decay.
        accuracy: the share of the training views that are classified as their likeliest target, in [0, 1].
    """

    kernel: np.ndarray
    bias: np.ndarray
    loss: float
    accuracy: float


def fit(
    examples: Examples,
    weight_decay: float,
    start: Fit | None = None,
    watch: Callable[[Fit], None] | None = None,
    most_steps: int = MOST_STEPS,
    tolerance: float = TOLERANCE,
) -> Fit:
    """Minimize the loss over all photos plus weight_decay / 2 * (squared weights), by L-BFGS from SciPy.

    The bias is not decayed. In scikit-learn's LogisticRegression, C is 1 / weight_decay. The start does not matter for
    the result, only for the time. The search is for weights divided by the square root of a guess of the curvature
    along each main direction (a preconditioner), which takes a tenth of the steps.

    Args:
        examples: the training photos.
        weight_decay: above 0. The features are scaled, see `Examples`.
        start: an earlier fit to start from, such as one with more weight decay; None: zeros.
        watch: called after each step.
        most_steps: stop after so many steps, before the optimum.
        tolerance: stop when no slope of the mean loss is larger.
    """
    from scipy.optimize import minimize

    depth, classes = len(examples.shift), next(examples.chunks())[1].shape[1]
    decay = weight_decay / examples.photos
    known = {}  # mean loss and accuracy by the bytes of the weights, to know those of the accepted step
    gains = 1 / np.sqrt(_CURVATURE * examples.variances + decay)

    def condition(values: np.ndarray, gains: np.ndarray = gains) -> np.ndarray:
        """Multiply [n features, n classes] by the gain along each direction; its own transpose."""
        if examples.directions is None:
            return gains[:-1, np.newaxis] * values
        along = (examples.directions.T @ values.astype(np.float32)) * (gains[:-1] - gains[-1])[:, np.newaxis]
        return gains[-1] * values + examples.directions @ along.astype(np.float32)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(depth + 1, classes)
        kernel = condition(weights[:-1])
        kernel32, bias = kernel.astype(np.float32), weights[-1].astype(np.float32)
        loss, hits, count, slopes = 0.0, 0, 0, np.zeros_like(weights)
        for x, y in examples.chunks():
            logs = log_softmax(x @ kernel32 + bias)
            loss -= float((y * logs).sum(dtype=np.float64))
            hits, count = hits + int((logs.argmax(axis=1) == y.argmax(axis=1)).sum()), count + len(y)
            by_logits = y.sum(axis=1, keepdims=True) * np.exp(logs) - y
            slopes[:-1] += x.T @ by_logits
            slopes[-1] += by_logits.sum(axis=0, dtype=np.float64)
        loss, slopes = loss / examples.photos, slopes / examples.photos
        known[flat.tobytes()] = loss, hits / count
        slopes[:-1] = condition(slopes[:-1] + decay * kernel)
        return loss + decay / 2 * float((kernel**2).sum()), slopes.ravel()

    def result(flat: np.ndarray) -> Fit:
        weights = flat.reshape(depth + 1, classes)
        kernel = condition(weights[:-1]) / examples.scale[:, np.newaxis]
        return Fit(kernel, weights[-1] - examples.shift @ kernel, *known[flat.tobytes()])

    def report(flat: np.ndarray) -> None:
        if watch:
            watch(result(flat))
        known.clear()

    weights = np.zeros((depth + 1, classes))
    if start is not None:
        weights[:-1] = condition(start.kernel * examples.scale[:, np.newaxis], 1 / gains)
        weights[-1] = start.bias + examples.shift @ start.kernel
    options = {"maxiter": most_steps, "gtol": tolerance, "ftol": tolerance / 1e4, "maxcor": _MEMORY}
    found = minimize(objective, weights.ravel(), method="L-BFGS-B", jac=True, callback=report, options=options)
    objective(found.x)  # so that the loss of the result is known
    return result(found.x)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Compute log-probabilities from logits, float [n, n classes], row by row."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
