"""The ladder: layers below a cut stay frozen, those above are trained, and a killed training resumes exactly."""

import contextlib
import json
import signal

import numpy as np
import pytest

from bears_tl.config import RunConfig
from bears_tl.files import sha256_of
from bears_tl.inception.architecture import BASE_VALUES, CONVOLUTIONS
from bears_tl.inception.backbone import Backbone, build, convolutions
from bears_tl.origin import Origin
from bears_tl.photos.intake import take_in
from bears_tl.photos.storage import read_photo
from bears_tl.photos.views import CENTER, View, scale
from bears_tl.training import fine_tuning
from bears_tl.training.borders import Borders
from bears_tl.training.fine_tuning import fine_tune, probabilities
from bears_tl.training.head import Head
from bears_tl.training.rungs import RUNGS, CutNetwork, check_rungs, scopes_above

CLASSES = ["Grizzly", "Panda", "Polar"]
LABELS = {"train": np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0]), "val": np.array([0, 1, 2])}
VIEWS = [CENTER, View(0, 0, 0.2)]
CONFIG = RunConfig(
    batch_size=4, fine_tune_epochs=3, fine_tune_learning_rate=1e-5
)  # an epoch has 3 steps, its last of 2 photos


@pytest.fixture(scope="module")
def head():
    rng = np.random.default_rng(0)
    return Head(rng.normal(0, 0.01, (2048, 3)).astype(np.float32), np.zeros(3, np.float32), CLASSES)


@pytest.fixture(scope="module")
def body(workspace):
    return Backbone.restore(workspace.checkpoint)


@pytest.fixture(scope="module")
def cut(body, head):
    """Give a function that cuts a body of its own each time."""
    values = body.values()

    def cut_at(rung, values=values):
        backbone = Backbone(build(), values)
        network = CutNetwork(backbone, head, rung)
        network.values = backbone.values
        return network

    return cut_at


@pytest.fixture(scope="module")
def pixels(workspace):
    paths = sorted(workspace.photos.glob("*/*"))[::4]
    return np.stack([read_photo(path.parent, row_of(path), [CENTER])[0] for path in paths])


def row_of(path):
    return {"path": path.name, "sha256": sha256_of(path)}


def drawn(network, views=2):
    """Give random activations with a different scale per class; those of val are a subset of train."""
    train = np.random.default_rng(0).random((10, views, *network.shape), np.float32)
    train *= ((1 + LABELS["train"]) / 3).reshape(10, *[1] * (train.ndim - 1)).astype(np.float32)
    train = train.astype(network.dtype)
    return {"train": train, "val": train[:3, :1]}


def test_the_rungs_are_slims_blocks_from_the_top_down():
    assert RUNGS[:5] == ("head", "mixed_7c", "mixed_7b", "mixed_7a", "mixed_6e") and RUNGS[-2:] == ("mixed_5b", "all")
    assert [len(scopes_above(rung)) for rung in RUNGS] == [0, 9, 18, 24, 34, 44, 54, 64, 68, 75, 82, 89, 94]
    for rung in RUNGS[1:-1]:
        assert all(scope.split("/")[1].lower() >= rung for scope in scopes_above(rung))
        assert not any(scope.split("/")[1].lower() == rung for scope in CONVOLUTIONS if scope not in scopes_above(rung))


def test_a_blocks_border_is_what_keras_calls_the_concatenation_below_it():
    model = build()
    layers = dict(convolutions(model))
    for i, rung in enumerate(reversed(RUNGS[1:-1])):  # mixed_5b, which is Keras' mixed0, first
        border = layers[scopes_above(rung)[0]][0].input
        assert (border is model.get_layer(f"mixed{i - 1}").output) if i else border.shape[1:] == (35, 35, 192)


def test_rungs_come_once_and_in_order_and_unknown_ones_are_refused(refused):
    assert check_rungs(["all", "head", "mixed_7c", "head"]) == ["head", "mixed_7c", "all"]
    with refused("'mixed_8a'", "head, mixed_7c, ", "all"):
        check_rungs(["head", "mixed_8a"])
    with refused("no rung"):
        check_rungs([])


@pytest.mark.slow
@pytest.mark.parametrize("rung", ["head", "mixed_5b", "all"])
def test_below_and_above_the_cut_are_together_the_whole_network(cut, body, head, pixels, rung):
    network = cut(rung)
    crossing = network.activations(pixels)
    assert crossing.shape == (len(pixels), *network.shape) and crossing.dtype == network.dtype
    whole = body.features(np.stack([scale(view) for view in pixels]))
    np.testing.assert_allclose(network.probabilities(crossing), head.probabilities(whole), atol=2e-3)
    assert network.trained_values == sum(np.prod(v.shape) for v in network.trained.values()) + 2048 * 3 + 3
    alone = np.concatenate([network.activations(view[None]) for view in pixels])
    assert np.array_equal(alone, crossing)
    if rung == "all":  # every value but the means and variances, of 34,432 / 2 channels
        channels = sum(value.size for name, value in body.values().items() if name.endswith("moving_mean"))
        assert network.trained_values == BASE_VALUES - 2 * channels + 6147


@pytest.mark.slow
def test_what_was_saved_is_restored_and_what_is_anothers_is_refused(cut, pixels, tmp_path, refused):
    path, trained, network = tmp_path / "weights.npz", cut("mixed_7c"), cut("mixed_7c")
    for variable in (*trained.trained.values(), trained.bias):
        variable.assign_add(np.full(variable.shape, 1e-3, np.float32))
    trained.save(path)
    before = network.probabilities(network.activations(pixels))
    network.restore(path)
    after = network.probabilities(network.activations(pixels))
    assert np.array_equal(after, trained.probabilities(trained.activations(pixels))) and (after != before).all()

    with np.load(path) as saved:
        arrays = {name: saved[name] for name in saved.files}
    first = next(iter(trained.trained))
    for changes, words in (
        ({"class_names": np.array(["Grizzly", "Panda", "Sun bear"])}, ["Sun bear", "Polar"]),
        ({"bias": np.zeros(4, np.float32)}, ["shape"]),
        ({first: arrays[first][..., :1]}, ["shape"]),
        ({"InceptionV3/of/another/rung": arrays[first]}, ["21 arrays", "mixed_7c"]),
        ({"class_names": np.array([], object)}, ["weights of this rung"]),
    ):
        np.savez(path, **arrays | changes)
        with refused("weights.npz", "bears ladder", *words):
            network.restore(path)
    for content in (None, b"", b"PK\x03\x04 broken"):
        path.unlink() if content is None else path.write_bytes(content)
        with refused("weights.npz", "bears ladder"):
            network.restore(path)


@pytest.mark.slow
@pytest.mark.parametrize("rung", ["head", "mixed_7c"])
def test_only_kernels_and_betas_above_the_cut_are_trained_and_the_best_are_kept(cut, head, tmp_path, rung):
    network = cut(rung)
    tables, before = drawn(network), network.values()
    start = probabilities(network, tables["val"])
    result = fine_tune(network, tables, LABELS, CONFIG, tmp_path / "state.npz", Origin({}))
    after, history, kept = network.values(), result["history"], result["kept_epoch"]
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert kept > 0, "it learned nothing: the test would say nothing"
    assert moved == {f"{scope}/{of}" for scope in scopes_above(rung) for of in ("weights", "BatchNorm/beta")}
    assert not np.array_equal(network.kernel.numpy(), head.kernel)
    for epoch, shares in ((0, start), (kept, probabilities(network, tables["val"]))):
        loss = -np.log(shares[np.arange(3), LABELS["val"]]).mean()
        assert history[epoch]["val_loss"] == pytest.approx(loss, rel=1e-5)
    assert [row["epoch"] for row in history] == [0, 1, 2, 3] and history[0]["train_loss"] == ""
    assert history[kept]["val_loss"] == min(row["val_loss"] for row in history)


def test_weights_that_only_get_worse_are_not_kept_and_training_stops(cut, head, tmp_path):
    network = cut("head")
    tables = drawn(network)
    labels = LABELS | {"val": probabilities(network, tables["val"]).argmax(axis=1)}
    labels["train"] = (labels["val"][0] + 1) * np.ones(10, int) % 3  # not the classes of the validation photos
    config = CONFIG.replace(fine_tune_epochs=50, fine_tune_patience=4)
    result = fine_tune(network, tables, labels, config, tmp_path / "state.npz", Origin({}))
    assert result["kept_epoch"] == 0 and len(result["history"]) == 5
    assert np.array_equal(network.kernel.numpy(), head.kernel)


def test_a_batch_in_parts_has_the_gradient_of_the_whole(cut, head, tmp_path):
    """One step of plain arithmetic on the head alone: Adam's first step is the rate times the gradient's sign."""
    network = cut("head")
    tables = drawn(network, views=1)
    config = RunConfig(batch_size=10, fine_tune_epochs=100, learning_rate=1e-2)
    tuning = fine_tuning.FineTuning(network, LABELS["train"], config)
    (_,) = tuning.train(tables["train"], 1, 0)
    x = tables["train"][:, 0].astype(np.float64)
    errors = head.probabilities(x) - np.eye(3)[LABELS["train"]]
    gradient = x.T @ errors / 10
    clear = np.abs(gradient) > 5e-4  # else Adam's epsilon shows
    step = network.kernel.numpy() - head.kernel
    assert clear.mean() > 0.9
    np.testing.assert_allclose(step[clear], -1e-3 * np.sign(gradient[clear]), rtol=0.02)


def test_an_epoch_shows_each_photo_once_in_views_drawn_anew(cut):
    network = cut("head")
    seen = []

    class Table:
        shape = (10, 5, 2048)

        def __len__(self):
            return 10

        def __getitem__(self, index):
            seen.append([tuple(pair) for pair in np.stack(index, axis=1)])
            return np.zeros((len(index[0]), 2048), np.float16)

    tuning = fine_tuning.FineTuning(network, LABELS["train"], CONFIG)
    epochs = []
    for epoch in (1, 2, 2):
        list(tuning.train(Table(), epoch, 0))
        epochs.append([pair for part in seen for pair in part])
        seen.clear()
    assert all(sorted(photo for photo, _ in pairs) == list(range(10)) for pairs in epochs)
    assert epochs[0] != epochs[1] == epochs[2] and len({view for pairs in epochs for _, view in pairs}) == 5
    list(tuning.train(Table(), 2, 1))
    assert [pair for part in seen for pair in part] == epochs[1][4:]


def state_of(path):
    """Read a state without its seconds."""
    with np.load(path) as state:
        progress = json.loads(str(state["progress"]))
        del progress["seconds"], progress["epoch_began"]
        for row in progress["history"]:
            del row["seconds"]
        return progress, {name: state[name] for name in state.files if name != "progress"}


def assert_same_state(path, expected_path):
    (progress, arrays), (expected, expected_arrays) = state_of(path), state_of(expected_path)
    assert progress == expected and progress["epoch"] == 4
    assert arrays.keys() == expected_arrays.keys() and len(arrays) > 6
    assert all(np.array_equal(arrays[name], expected_arrays[name]) for name in arrays)


PROGRAM = """
import os, signal, sys
import numpy as np
from bears_tl.config import RunConfig
from bears_tl.inception.backbone import Backbone
from bears_tl.origin import Origin
from bears_tl.training import fine_tuning
from bears_tl.training.head import Head
from bears_tl.training.rungs import CutNetwork
checkpoint, head, tables, path = sys.argv[1:]
network = CutNetwork(Backbone.restore(checkpoint), Head.load(head), "mixed_7b")
steps, train = 0, fine_tuning.FineTuning.train
def train_until_killed(self, *words):
    global steps
    for sums in train(self, *words):
        steps += 1
        if steps == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        yield sums
fine_tuning.FineTuning.train = train_until_killed
labels = {"train": np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0]), "val": np.array([0, 1, 2])}
config = RunConfig(batch_size=4, fine_tune_epochs=3, fine_tune_learning_rate=1e-5)
with np.load(tables) as tables:
    fine_tuning.fine_tune(network, dict(tables), labels, config, path, Origin({}))
"""


@pytest.mark.slow
def test_killed_within_an_epoch_and_resumed_ends_with_the_bits_of_uninterrupted(workspace, cut, head, tmp_path):
    whole, tables, path = cut("mixed_7b"), tmp_path / "tables.npz", tmp_path / "state.npz"
    np.savez(tables, **drawn(whole))
    head.save(tmp_path / "head.npz")
    fine_tune(whole, drawn(whole), LABELS, CONFIG, tmp_path / "whole.npz", Origin({}))
    done = workspace.command("-c", PROGRAM, workspace.checkpoint, tmp_path / "head.npz", tables, path)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert state_of(path)[0]["epoch"] == 2
    resumed = cut("mixed_7b")
    fine_tune(resumed, drawn(whole), LABELS, CONFIG, path, Origin({}))
    assert_same_state(path, tmp_path / "whole.npz")
    assert all(np.array_equal(resumed.trained[name], whole.trained[name]) for name in whole.trained)


@pytest.mark.slow
@pytest.mark.parametrize("save_seconds", [0, 300])
def test_a_training_that_stops_at_any_step_goes_on_from_its_last_save(cut, tmp_path, monkeypatch, save_seconds):
    monkeypatch.setattr(fine_tuning, "SAVE_SECONDS", save_seconds)
    whole, path, train = cut("head"), tmp_path / "state.npz", fine_tuning.FineTuning.train
    fine_tune(whole, drawn(whole), LABELS, CONFIG, tmp_path / "whole.npz", Origin({}))
    made = []
    for stop_at in (1, 2, 4, 99):
        last = len(made) + stop_at

        def train_until_stopped(*words, last=last):
            for sums in train(*words):
                made.append(sums)
                yield sums
                if len(made) == last:
                    raise KeyboardInterrupt

        monkeypatch.setattr(fine_tuning.FineTuning, "train", train_until_stopped)
        with contextlib.suppress(KeyboardInterrupt):
            fine_tune(cut("head"), drawn(whole), LABELS, CONFIG, path, Origin({}))
    assert_same_state(path, tmp_path / "whole.npz")
    # An epoch has 3 steps. With a save after each, only its last step, which was not saved yet, is repeated
    assert len(made) == 1 + 2 + 4 + (4 if save_seconds == 0 else 6)


@pytest.fixture(scope="module")
def finished(cut, tmp_path_factory):
    """Give the bytes of a state."""
    network, path = cut("head"), tmp_path_factory.mktemp("state") / "state.npz"
    fine_tune(network, drawn(network), LABELS, CONFIG, path, Origin({}))
    return path.read_bytes()


def test_a_finished_state_is_not_trained_again_and_another_origin_starts_anew(cut, tmp_path, capsys):
    network, path = cut("head"), tmp_path / "state.npz"
    first = fine_tune(network, drawn(network), LABELS, CONFIG, path, Origin({"seed": 0}))
    again = cut("head")
    assert fine_tune(again, drawn(network), LABELS, CONFIG, path, Origin({"seed": 0}))["history"] == first["history"]
    assert np.array_equal(again.kernel.numpy(), network.kernel.numpy())
    fine_tune(cut("head"), drawn(network), LABELS, CONFIG, path, Origin({"seed": 1}))
    assert "(seed was 0, is now 1); training starts from the beginning" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "other", "foreign"])
def test_a_damaged_state_is_refused_in_one_line_and_stays(cut, tmp_path, refused, finished, damage):
    path = tmp_path / "state.npz"
    flipped = bytearray(finished)
    flipped[len(finished) // 2] ^= 1
    contents = {"empty": b"", "cut": finished[: len(finished) // 2], "flipped": bytes(flipped), "other": b"no state"}
    if damage in contents:
        path.write_bytes(contents[damage])
    else:
        np.savez(path, progress=np.array("{}"))
    before = path.read_bytes()
    network = cut("head")
    with refused("state.npz", "damaged", "remove it"):
        fine_tune(network, drawn(network), LABELS, CONFIG, path, Origin({}))
    assert path.read_bytes() == before


@pytest.fixture(scope="module")
def crossed(cut):
    return cut("mixed_7c")


@pytest.fixture
def borders(crossed, workspace, tmp_path):
    """Give a function that opens the borders of six photos in two views."""
    rows = take_in(workspace.photos).photos[::4]

    def open_(rows=rows, fingerprint="f" * 64, views=VIEWS):
        return Borders(crossed, fingerprint, workspace.photos, rows, views, tmp_path / "borders")

    return open_


@pytest.mark.slow
def test_what_crosses_the_border_is_the_same_cached_or_not(borders, monkeypatch, capsys):
    first = borders()
    first.fill("first")
    photos, views = np.array([0, 5, 5, 3]), np.array([1, 0, 1, 1])
    found = first[photos, views]
    assert first.shape == (6, 2, 8, 8, 2048) and found.shape == (4, 8, 8, 2048) and found.dtype == np.float16
    again = borders(rows=first._rows[::-1])  # another order, another batch
    monkeypatch.setattr(CutNetwork, "activations", None)
    again.fill("again")  # computes nothing
    assert np.array_equal(again[5 - photos, views], found)
    monkeypatch.undo()
    files = sorted(first._folder.iterdir())
    assert len(files) == 12
    for i, path in enumerate(files):  # cut off, flipped, gone
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data if i % 3 else data[: len(data) // 2])
        if i % 3 == 2:
            path.unlink()
    assert np.array_equal(first[photos, views], found)
    assert "computing it again" in capsys.readouterr().out
    assert np.array_equal(borders()[photos, views], found)
    assert not capsys.readouterr().out


@pytest.mark.slow
def test_what_was_made_from_something_else_is_not_taken(borders):
    borders(views=[CENTER]).fill("one view")
    assert len(list(borders()._folder.iterdir())) == 6
    borders(fingerprint="0" * 64, views=[CENTER]).fill("other weights")
    borders().fill("the other view")
    assert len(list(borders()._folder.iterdir())) == 6 + 6 + 6


@pytest.mark.slow
def test_a_photo_that_was_changed_is_named(borders, workspace, refused):
    rows = [row | {"sha256": "0" * 64} for row in borders()._rows]
    with refused(str(workspace.photos), "changed"):
        borders(rows=rows).fill("changed")


def test_a_body_whose_activations_are_out_of_range_is_refused(cut, body, refused, pixels):
    values = {name: value * 1e3 if name.endswith("weights") else value for name, value in body.values().items()}
    with refused("activations", "another checkpoint"):
        cut("mixed_7c", values).activations(pixels[:1])
