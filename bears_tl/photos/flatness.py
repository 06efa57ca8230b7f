"""Measure how flat a picture is: placeholders such as "image not found" have few grey levels."""

import numpy as np
from PIL import Image

# The flattest of 2,551 real photos has 2.60 bits (a white flower cut out on black; the next have 2.88 and 2.98), 60
# painted bears 6.1 or more. Icons and texts on one colour have 0 to 1.9. One on a gradient (5.3) is not told apart.
FLAT_BITS = 2.2


def entropy_bits(grey: Image.Image) -> float:
    """Return the entropy of the grey levels of an image of mode L: 0 bits for a single level, at most 8."""
    shares = np.array(grey.histogram()) / (grey.width * grey.height)
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum() + 0.0)
