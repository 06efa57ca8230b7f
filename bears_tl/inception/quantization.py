"""The body in 8 bits: OpenVINO's model, quantized by NNCF after training (https://arxiv.org/abs/1712.05877).

The ranges of the layers are measured on painted pictures, so the quantized model follows from the checkpoint alone. It
is made once, compared with float32 on other pictures, and kept beside the float32 model. Only making it needs NNCF.
"""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from bears_tl.inception.architecture import FEATURES_NAME
from bears_tl.inception.cosine import cosines
from bears_tl.inception.machine import Plan
from bears_tl.inception.openvino_engine import (
    EngineError,
    OpenVinoEngine,
    find_or_make,
    keep_model,
    load_model,
    load_openvino,
)

NAME = "int8"
PICTURES = 60  # to measure ranges on; 120 gave the same cosines on real photos, 0.998 and 0.997 on average
_TESTED = 24  # other pictures, to compare features on
_SEED = 1729  # of the painted pictures; not a seed that users start with
LEAST_MEAN, LEAST = 0.99, 0.95  # cosine of features to float32: on average, and of the worst picture
_SECONDS = 900


def load_quantized(path: str | Path, fingerprint: str, cache: Path) -> Path:
    """Find the quantized model of a checkpoint, or make it: half a minute to two minutes.

    Args:
        path: the checkpoint.
        fingerprint: its SHA-256.
        cache: the folder where models are kept.

    Returns:
        The .xml file.

    Raises:
        EngineError: OpenVINO or NNCF cannot be used, or the features differ too much from those in float32.
        InputError: the file is not a checkpoint of Inception v3.
    """
    model, _ = load_model(path, fingerprint, cache)
    receipt = model.with_name(f"{model.stem}-{NAME}.json")
    find_or_make(receipt, fingerprint, "the quantization of the body", lambda: _quantize(model, fingerprint, receipt))
    return receipt.with_suffix(".xml")


def _quantize(model: Path, fingerprint: str, receipt: Path) -> dict:
    """Make the model in another process, because NNCF needs much memory and prints a lot; return the receipt."""
    if importlib.util.find_spec("nncf") is None:
        raise EngineError("8 bits need the package nncf: .venv/bin/pip install -e '.[int8]'")
    print(f"Quantizing the body to 8 bits on {PICTURES} painted pictures, once per checkpoint: a minute or two ...")
    facts: dict = {"failure": "", "cosine_mean": None, "cosine_least": None}
    with tempfile.TemporaryDirectory(dir=receipt.parent, prefix=".int8.") as work:
        command = [sys.executable, "-m", __name__, str(model), work, str(PICTURES)]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            raise EngineError(f"the quantization took more than {_SECONDS} s") from None
        if ended.returncode:  # not remembered: next time there may be more memory
            last = (ended.stderr.strip().splitlines() or ["no message, perhaps for lack of memory"])[-1]
            raise EngineError(f"the quantization failed with exit status {ended.returncode}: {last}")
        found = np.nan_to_num(np.load(Path(work, "cosines.npy")))  # not a number is as bad as 0
        facts |= {"cosine_mean": float(found.mean()), "cosine_least": float(found.min())}
        if facts["cosine_mean"] < LEAST_MEAN or facts["cosine_least"] < LEAST:
            facts["failure"] = (
                f"its features in 8 bits differ from float32: cosine {facts['cosine_mean']:.4f} on average, expected "
                f"{LEAST_MEAN} or more, and {facts['cosine_least']:.4f} at least, expected {LEAST} or more"
            )
        return keep_model(work, fingerprint, receipt, facts)


def _make(model: str, work: str, count: str) -> None:
    """Write body.xml and body.bin in 8 bits to a folder, and the cosines of features to float32 to cosines.npy."""
    openvino = load_openvino()
    import nncf

    from bears_tl.photos.sample import calibration_views

    pictures = calibration_views(int(count) + _TESTED, _SEED)
    dataset = nncf.Dataset([picture[np.newaxis] for picture in pictures[_TESTED:]])
    quantized = nncf.quantize(openvino.Core().read_model(model), dataset, subset_size=int(count))
    openvino.save_model(quantized, str(Path(work, "body.xml")), compress_to_fp16=False)
    tested = pictures[:_TESTED]
    expected, found = (
        OpenVinoEngine(path, "float32").call(tested, Plan(_TESTED, 1), (FEATURES_NAME,))[0]
        for path in (model, Path(work, "body.xml"))
    )
    np.save(Path(work, "cosines.npy"), cosines(found, expected))


if __name__ == "__main__":
    _make(*sys.argv[1:])
