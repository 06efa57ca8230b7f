"""Classify photos with an export of bears_tl: `python reader.py PHOTO ...`.

It needs Pillow, NumPy and ai-edge-litert, and the files contract.json and classifier_float32.tflite beside it.
"""

import io
import json
import math
import os
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageCms, ImageOps

HERE = Path(__file__).resolve().parent
CONTRACT = json.loads((HERE / "contract.json").read_text(encoding="utf-8"))
NAMES, SIDE, LEAST = CONTRACT["class_names"], CONTRACT["view"]["side_px"], CONTRACT["view"]["least_side_px"]
runner = Interpreter(str(HERE / "classifier_float32.tflite"), num_threads=os.cpu_count())
ask = runner.get_signature_runner()


def read_view(path):
    """Read the center of a photo, upright, in sRGB, over white: uint8 [1, 299, 299, 3]."""
    with Image.open(path) as image:
        image.draft(None, [math.ceil(side * LEAST / min(image.size)) for side in image.size])  # decodes JPEG small
        profile, image = image.info.get("icc_profile"), ImageOps.exif_transpose(image)
        if image.has_transparency_data:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA")).convert("RGB")
        if profile and image.mode in ("L", "RGB", "CMYK"):
            how = {"renderingIntent": 1, "flags": ImageCms.Flags.BLACKPOINTCOMPENSATION, "outputMode": "RGB"}
            image = ImageCms.profileToProfile(image, io.BytesIO(profile), ImageCms.createProfile("sRGB"), **how)
        image, side = image.convert("RGB"), min(image.size)
        left, top = ((length - side) / 2 for length in image.size)
        box = (left, top, left + side, top + side)
        return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box, reducing_gap=2.0))[None]


def classify(path):
    """Give the probability of each class, and whether the photo is like the training photos."""
    answer = ask(pixels=read_view(path))
    shares, strangeness = answer["probabilities"][0].tolist(), float(answer["strangeness"][0])
    known = strangeness <= CONTRACT["strangeness"]["threshold"]
    return {"probabilities": dict(zip(NAMES, shares, strict=True)), "known": known, "strangeness": strangeness}


if __name__ == "__main__":
    for path in sys.argv[1:]:
        print(json.dumps({"path": path} | classify(path)))
