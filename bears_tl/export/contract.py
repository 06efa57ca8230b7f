"""The contract of an export: what goes in, what comes out, and what it was made from."""

from bears_tl.export.classifier import OUTPUTS
from bears_tl.files import sha256_of
from bears_tl.hardware import versions_of
from bears_tl.inception.frozen import PIXELS
from bears_tl.photos.views import IMAGE_SIZE_PX, LEAST_SIDE_PX
from bears_tl.pipeline.run import Run
from bears_tl.training.head import Head
from bears_tl.training.strangers import METHOD, Strangers

VERSION = 1


def contract(run: Run, head: Head, strangers: Strangers) -> dict:
    """Describe how to ask any file of an export; plain JSON values, without names of files or folders of this machine.

    Args:
        run: a trained run.
        head: its head.
        strangers: its training photos to compare with.
    """
    restored = run.facts("restore")
    return {
        "version": VERSION,
        "class_names": head.class_names,
        "input": {"name": PIXELS, "dtype": "uint8", "shape": [1, IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3], "channels": "RGB"},
        "view": {
            "side_px": IMAGE_SIZE_PX,
            "least_side_px": LEAST_SIDE_PX,
            "steps": [
                "apply the EXIF orientation, convert an ICC profile to sRGB, blend transparent pixels with white",
                "a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size while its shorter side keeps least_side_px",
                "cut the largest centered square",
                "resize it to side_px with Pillow's bilinear filter (it averages when it shrinks), reducing_gap=2",
            ],
        },
        "scaling": "inside the model: levels in [0, 255] to [-1, 1]; pass uint8 levels as they are",
        "outputs": {
            OUTPUTS[0]: "float32 [1, n classes], in the order of class_names; the temperature is inside the model",
            OUTPUTS[1]: "float32 [1], in [0, 1]; the photo is known if it is at most strangeness.threshold",
        },
        "temperature": head.temperature,
        "strangeness": {"method": METHOD, "threshold": strangers.threshold},
        "made_from": {
            "checkpoint": {"kind": restored["kind"], "sha256": restored["fingerprint"]},
            "head.npz": sha256_of(run.path("head.npz")),
            "strangers.npz": sha256_of(run.path("strangers.npz")),
            "splits.csv": sha256_of(run.path("splits.csv")),
        },
        "notice": run.notice(),
        "versions": versions_of("bears_tl", "tensorflow", "openvino", "tf2onnx"),
    }
