"""Each format's bound holds at both ends."""

import dataclasses
import math

import pytest

from bears_tl.export.parity import Comparison


def comparison(name, plain=0.0, tests=0.0, p3=0.0, same_class=1.0):
    part = {"count": 100, "probability": tests, "strangeness": 0.0, "same_class": same_class, "same_known": 1.0}
    return Comparison(name, part, part, {"plain.jpg": plain, "display_p3.jpg": p3}, True, 10.0)


BOUNDS = [("saved_model", 1e-3), ("litert_float32", 1e-3), ("litert_float16", 2e-2), ("openvino", 1e-3), ("onnx", 1e-3)]


@pytest.mark.parametrize(("name", "most"), BOUNDS)
@pytest.mark.parametrize("photos", ["plain", "tests", "p3"])
def test_a_format_may_differ_by_its_bound_and_no_more(name, most, photos):
    assert not comparison(name, **{photos: most}).broken()
    assert f"expected {most:g} at most" in comparison(name, **{photos: most * 1.001}).broken()
    assert comparison(name, **{photos: math.nan}).broken()


def test_int8_keeps_the_class_of_99_of_100_test_photos():
    assert not comparison("litert_int8", tests=0.5, same_class=0.99).broken()
    assert "98.9% of the test photos" in comparison("litert_int8", same_class=0.989).broken()
    assert not dataclasses.replace(comparison("litert_int8"), tests=None).broken()


def test_only_the_saved_model_may_differ_where_tensorflow_cannot_decode_alike():
    assert not comparison("saved_model_bytes", p3=0.3).broken()
    assert comparison("saved_model_bytes", plain=0.3).broken()
    assert comparison("reader", p3=0.3).broken()
