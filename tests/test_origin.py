"""A result computed from one origin is never mistaken for that of another."""

import pytest

from bears_tl.config import RunConfig, deciding
from bears_tl.origin import Origin


def test_an_origin_holds_the_settings_that_decide_and_nothing_else():
    origin = Origin.of(RunConfig(epochs=7), "head", splits="5" * 64)
    assert list(origin.parts) == [*deciding("head"), "splits"] and origin.parts["epochs"] == 7
    assert origin.name == Origin.of(RunConfig(epochs=7, run="elsewhere"), "head", splits="5" * 64).name
    assert origin.name != Origin.of(RunConfig(epochs=8), "head", splits="5" * 64).name


@pytest.mark.parametrize(
    ("before", "change"),
    [
        ({"epochs": 7, "splits": "a"}, ""),
        ({"epochs": 7, "splits": "a", "older": 1}, ""),
        ({"epochs": 8, "splits": "a"}, "epochs was 8, is now 7"),
        ({"splits": "a"}, "epochs was 200, is now 7"),  # the default, as the setting did not exist yet
        ({"epochs": 7}, "splits was None, is now 'a'"),
        ({}, "epochs was 200, is now 7"),
    ],
)
def test_the_first_change_is_named_with_both_values(before, change):
    assert Origin({"epochs": 7, "splits": "a"}).change_since(before) == change
