"""The head: a single softmax layer on the features."""

import dataclasses
import io
import zipfile
from pathlib import Path

import numpy as np

from bears_tl.errors import InputError, reason_of
from bears_tl.files import write_bytes
from bears_tl.inception.architecture import DEPTHS, LAST

CHUNK_PHOTOS = 4096  # photos whose features are in memory at once: 32 MiB as float32


@dataclasses.dataclass(frozen=True)
class Head:
    """The weights of a softmax layer.

    Attributes:
        kernel: float32 [n features, n classes].
        bias: float32 [n classes].
        class_names: in the order of the columns.
        depths: the blocks whose features are the rows of the kernel, in order; see `architecture.columns`.
        temperature: above 0. Logits are divided by it, which makes probabilities less certain if it is above 1.
    """

    kernel: np.ndarray
    bias: np.ndarray
    class_names: list[str]
    depths: tuple[str, ...] = LAST
    temperature: float = 1.0

    @property
    def parameters(self) -> int:
        """Return the number of trained parameters: 6,147 for three classes on the last features."""
        return self.kernel.size + self.bias.size

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Compute logits, before the temperature, from features, float [n, n features]: float64 [n, n classes].

        A photo gets the same bits in any batch: each row is a product of its own, because the order in which BLAS sums
        depends on the number of rows.
        """
        return (features[:, np.newaxis].astype(np.float64) @ self.kernel.astype(np.float64))[:, 0] + self.bias

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Compute probabilities from features, float [n, n features]: float32 [n, n classes], each row sums to 1."""
        return softmax(self.logits(features) / self.temperature)

    def logits_of(self, table) -> np.ndarray:
        """Compute the logits of photos in their first view, in chunks of CHUNK_PHOTOS; see `logits`.

        Args:
            table: [n, n views, n features], a `FeatureTable` or an array.
        """
        chunks = [slice(start, start + CHUNK_PHOTOS) for start in range(0, max(len(table), 1), CHUNK_PHOTOS)]
        return np.concatenate([self.logits(table[chunk, 0]) for chunk in chunks])

    def classify(self, table) -> np.ndarray:
        """Compute the probabilities of photos in their first view, float32 [n, n classes]; see `logits_of`."""
        return softmax(self.logits_of(table) / self.temperature)

    def save(self, path: str | Path) -> None:
        """Write an .npz file atomically; equal weights give equal bytes."""
        buffer = io.BytesIO()
        names, depths = (np.array(words, dtype=np.str_) for words in (self.class_names, self.depths))
        temperature = np.float64(self.temperature)
        np.savez(buffer, kernel=self.kernel, bias=self.bias, class_names=names, depths=depths, temperature=temperature)
        write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> "Head":
        """Read a head.

        Raises:
            InputError: the file is missing or does not hold a head.
        """
        try:
            with np.load(path) as saved:
                names, depths = (tuple(str(word) for word in saved[name]) for name in ("class_names", "depths"))
                head = cls(saved["kernel"], saved["bias"], list(names), depths, float(saved["temperature"]))
            expected = (sum(DEPTHS[depth] for depth in depths), len(names))
            if head.kernel.shape != expected or head.bias.shape != expected[1:] or not head.temperature > 0:
                raise ValueError(f"kernel {head.kernel.shape}, bias {head.bias.shape}, {len(names)} classes")
            if not all(np.isfinite(part).all() for part in (head.kernel, head.bias, head.temperature)):
                raise ValueError("a weight is not a finite number")
            return head
        except FileNotFoundError:
            raise InputError(f"{str(path)!r} is missing: train the run first (bears train)") from None
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{str(path)!r} does not hold a trained head ({reason_of(error)}): train the run again (bears train)"
            ) from None


def softmax(logits: np.ndarray) -> np.ndarray:
    """Compute probabilities from logits, float64 [n, n classes]: float32 [n, n classes], each row sums to 1."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
