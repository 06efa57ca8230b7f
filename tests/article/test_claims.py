"""The ledger is correct: arithmetic is recomputed, constants are read from the code, and the tables match."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from bears_tl.article.claims import (
    STATUSES,
    Claim,
    counts_that_print,
    fractions_that_print,
    mean_over_batches,
    read_claims,
    table,
)
from bears_tl.article.views import MAX_ZOOM, prepare_image
from bears_tl.judging.metrics import wilson_interval
from bears_tl.photos.views import IMAGE_SIZE_PX

ROOT = Path(__file__).parents[2]
GOOD = Claim("photos", "article", 40, "", 40, 0, "reproduced", "counted")


@pytest.fixture(scope="module")
def claims():
    return {claim.claim: claim for claim in read_claims(ROOT / "results/claims.yaml")}


def test_the_numbers_that_matter_are_all_there(claims):
    stated = {claim.stated for claim in claims.values()}
    assert stated >= {919, 338, 328, 253, 735, 184, 40, 10, 18, 299, 25, 1455.7, 98, 98.92, 0.974359}
    assert {claim.status for claim in claims.values()} <= set(STATUSES)


def test_the_counts_are_arithmetic(claims):
    stated = {name: claim.stated for name, claim in claims.items()}
    assert stated["grizzlies"] + stated["pandas"] + stated["polar bears"] == stated["photos"] == 919
    assert claims["training photos"].ours == int(stated["photos"] * (1 - 0.2)) == 735
    assert claims["test photos"].ours == stated["photos"] - 735 == 184
    assert claims["share of test photos"].ours == round(100 * 184 / 919, 2)
    assert claims["iterations per epoch"].ours == 735 // stated["photos per batch"]
    assert claims["training time in the text"].ours == round(stated["training time"] / 60, 2)


def test_98_92_percent_is_two_wrong_photos_one_in_each_kind_of_batch(claims):
    assert [len(batch) for batch in np.array_split(np.arange(184), 10)] == 4 * [19] + 6 * [18]
    assert counts_that_print("98.92", {19: 4, 18: 6}) == [(1, 1)]
    claim = claims["test accuracy"]
    assert claim.ours == round(100 * 182 / 184, 3) == claims["test accuracy in the text"].ours
    assert f"{100 * 182 / 184:.2f}" == "98.91"  # the mean over photos would print another number
    low, high = wilson_interval(182, 184)
    assert f"{low:.1%} {high:.1%}" == "96.1% 99.7%" and "96.1 to 99.7 %" in claim.why


def test_a_corrupt_test_photo_would_not_change_that():
    """With 181 to 183 test photos the batch counts differ, but there is still one wrong photo in each size."""
    for large in (1, 2, 3):
        assert counts_that_print("98.92", {19: large, 18: 10 - large}) == [(1, 1)]


def test_the_mean_over_batches_is_that_of_the_procedure():
    from bears_tl.article.procedure import mean_of_batches

    hits = np.ones(184, bool)
    hits[[0, 1, 183]] = False  # batches of 19 come first
    batches = {19: 4, 18: 6}
    assert mean_over_batches((2, 1), batches) == pytest.approx(mean_of_batches(hits))
    assert mean_over_batches((0, 0), batches) == 1
    assert mean_over_batches((4 * 19, 6 * 18), batches) == pytest.approx(0)


def test_equal_batches_are_one_size():
    assert counts_that_print("95.00", {2: 10}) == [(1,)]
    assert counts_that_print("99.99", {2: 10}) == []


def test_fractions_are_not_reduced_and_include_the_ends():
    assert fractions_that_print("0.5", most=4) == [(1, 2), (2, 4)]
    assert fractions_that_print("1.00", most=2) == [(1, 1), (2, 2)] and fractions_that_print("0", most=1) == [(0, 1)]


def test_0_974359_is_38_of_39_and_of_no_full_batch(claims):
    assert f"{38 / 39:.6f}" == "0.974359" == str(claims["accuracy of one training batch"].ours)
    assert fractions_that_print("0.974359", most=40) == [(38, 39)]


def test_what_the_views_say(claims):
    assert claims["input side"].ours == IMAGE_SIZE_PX and claims["largest zoom"].ours == MAX_ZOOM


def test_half_of_the_views_are_mirrored(claims, monkeypatch):
    monkeypatch.setattr("bears_tl.article.views.IMAGE_SIZE_PX", 2)
    ramp = np.tile(np.arange(8, dtype=np.uint8)[None, :, None], (8, 1, 3))
    mirrored = 0
    for seed in range(10_000):
        view = prepare_image(ramp, np.random.default_rng(seed))
        mirrored += view[0, 0, 0] > view[0, 1, 0]
    assert claims["share of mirrored views"].ours == mirrored / 100


def test_what_the_procedure_says(claims):
    from bears_tl.article import network, procedure

    assert claims["epochs"].ours == procedure.EPOCHS and claims["photos per batch"].ours == procedure.BATCH_SIZE
    assert claims["test batches"].ours == procedure.TEST_BATCHES
    assert claims["classes of the ImageNet weights"].ours == network.IMAGENET_CLASSES
    rows = [{"sha256": f"{i:064x}", "class_name": "bear"} for i in range(919)]
    assert [len(part) for part in procedure.divide(rows, "plain", 0)] == [
        claims["training photos"].ours, claims["test photos"].ours,
    ]  # fmt: skip


@pytest.mark.slow
def test_the_longest_way_through_the_body_has_47_convolutions(claims):
    import keras

    from bears_tl.inception.backbone import build

    depth = {}
    for layer in build().layers:  # sorted by depth: inputs come before a layer
        parents = [node.operation.name for made in layer._inbound_nodes for node in made.parent_nodes]
        depth[layer.name] = max((depth[name] for name in parents), default=0) + isinstance(layer, keras.layers.Conv2D)
    assert max(depth.values()) + 1 == claims["layers of Inception v3"].ours  # plus the dense layer of the logits


def test_six_predictions_are_shown(claims):
    code = (ROOT / "notebooks/07_predict.py").read_text(encoding="utf-8")
    count = re.search(r"artifacts\.draw_predictions\(current_run, tests, (\d+)\)", code)
    assert claims["photos shown with predictions"].ours == int(count[1])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": "true"}, ["status", "'true'", "reproduced"]),
        ({"where": "a friend"}, ["where", "'a friend'", "article"]),
        ({"ours": None}, ["None", "reproduced"]),
        ({"status": "not checkable here"}, ["40", "not checkable here"]),
        ({"ours": 41}, ["41", "outside", "reproduced"]),
        ({"ours": 41, "status": "explained"}, ["41", "outside", "explained"]),
        ({"status": "contradicted"}, ["within", "contradicted"]),
        ({"ours": "40"}, ["numbers"]),
        ({"stated": True}, ["numbers"]),
        ({"tolerance": -1}, ["tolerance"]),
        ({"tolerance": float("nan")}, ["tolerance"]),
        ({"why": " "}, ["why"]),
        ({"unit": None}, ["unit"]),
    ],
)
def test_a_status_that_the_numbers_do_not_bear_out_is_refused(refused, changes, words):
    with refused("'photos'", *words):
        dataclasses.replace(GOOD, **changes)


def test_a_contradiction_is_one():
    claim = dataclasses.replace(GOOD, ours=41, status="contradicted")
    assert "| 41 | contradicted |" in table([GOOD, claim]) and "1 reproduced, 0 explained, 1 contradicted" in table(
        [GOOD, claim]
    )


@pytest.mark.parametrize("text", ["photos: 40", "photos: {stated: 40}", "photos: {colour: red}"])
def test_a_claim_with_other_fields_is_refused(refused, tmp_path, text):
    (tmp_path / "claims.yaml").write_text(text)
    with refused("'photos'", "stated", "tolerance"):
        read_claims(tmp_path / "claims.yaml")


def test_a_bar_in_a_claim_does_not_break_the_table():
    assert r"a \| b" in table([dataclasses.replace(GOOD, why="a | b")])
