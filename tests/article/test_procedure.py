"""The procedure of 2019: each switch changes its own part only, and saved work is never lost."""

import dataclasses

import numpy as np
import pytest

from bears_tl.article import procedure
from bears_tl.article.feature_memory import FeatureMemory
from bears_tl.article.network import Network
from bears_tl.article.procedure import POSITIONS, Switches, divide, judged_batches, mean_of_batches
from bears_tl.files import read_json
from bears_tl.photos.intake import take_in
from bears_tl.tensorflow import tf

SETTINGS = {"epochs": 2, "batch_size": 8}
LABELS = np.array([0, 1, 0, 1])


@pytest.fixture
def photos(write_photos):
    folder = write_photos(black=12, brown=8)
    return folder, take_in(folder).photos


class Recorder:
    """A network that trains nothing and records its inputs."""

    fed: list
    interrupt_at_step = None

    def __init__(self, n_classes, seed, batch_norm, dropout):
        self.fed.append(("network", n_classes, seed))
        self.fed.append(("batch_norm", batch_norm))
        self.fed.append(("dropout", dropout))
        self.steps = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def restore_body(self, path):
        self.fed.append(("checkpoint", path))

    def features(self, images, training):
        return images

    def step(self, images, labels):
        self.steps += 1
        if self.steps == self.interrupt_at_step:
            raise KeyboardInterrupt
        self.fed.append(("step", images.tolist()))

    def probabilities(self, images):
        self.fed.append(("probabilities", images.tolist()))
        return np.tile(np.float32([0.4, 0.6]), (len(images), 1))

    def save(self, folder, epoch):
        for old in folder.glob("model.ckpt-*"):
            old.unlink()
        (folder / f"model.ckpt-{epoch}").write_text("saved")
        return folder / f"model.ckpt-{epoch}"


def picture(path, views, rng):
    """Replace a view by two numbers: which photo, and where its box is."""
    return np.array([int(path.stem) + 100 * (path.parent.name == "brown"), rng.random() if views == "random" else -1])


@pytest.fixture
def record(photos, tmp_path, monkeypatch):
    """Give a function that runs the procedure on a Recorder; it returns the result and the recorded inputs."""
    monkeypatch.setattr(procedure, "Network", Recorder)
    monkeypatch.setattr(procedure, "read_view", picture)

    def recorded(saved_folder="saved", rows=None, **settings):
        folder, all_rows = photos
        Recorder.fed = []
        chosen = all_rows if rows is None else rows
        result = procedure.train_and_test(folder, chosen, "a.ckpt", tmp_path / saved_folder, **(SETTINGS | settings))
        return result, Recorder.fed

    return recorded


def steps_of(fed):
    """Give the batches of the training steps: one list of (photo, box) per step."""
    return [rest[0] for kind, *rest in fed if kind == "step"]


def pictures_of_test(fed):
    """Give the (photo, box) of the test, which comes after the last training step and its accuracy."""
    last_step = max(i for i, (kind, *_) in enumerate(fed) if kind == "step")
    return [shown for _, pictures in fed[last_step + 2 :] for shown in pictures]


@pytest.mark.parametrize("name", POSITIONS)
def test_a_switch_changes_what_it_says_and_nothing_else(record, name):
    article, fed = record()
    changed, other_fed = record(switches=dataclasses.replace(Switches(), **{name: POSITIONS[name][1]}))
    steps, other_steps = steps_of(fed), steps_of(other_fed)
    tests, other_tests = pictures_of_test(fed), pictures_of_test(other_fed)
    same = {
        "settings": fed[:4] == other_fed[:4],
        "division": article.test == changed.test,
        "drawn photos": [[i for i, _ in step] for step in steps] == [[i for i, _ in step] for step in other_steps],
        "training pictures": steps == other_steps,
        "test pictures": tests == other_tests,
    }
    touched = {
        "batch_norm": {"settings"},
        "dropout": {"settings"},
        "train_views": {"training pictures"},
        "test_views": {"test pictures"},
        "split": {"division", "drawn photos", "training pictures", "test pictures"},
        "drawing": {"drawn photos", "training pictures"},
        "mean": set(),  # changes only the arithmetic, see below
    }[name]
    assert {part for part, equal in same.items() if not equal} == touched
    assert [len(step) for step in steps] == [len(step) for step in other_steps] == 4 * [8]


@pytest.mark.parametrize("name", ["batch_norm", "dropout"])
def test_the_network_is_given_its_switch(record, name):
    _, fed = record(switches=Switches(**{name: POSITIONS[name][1]}))
    assert (name, POSITIONS[name][1]) in fed
    assert {("batch_norm", "batch"), ("dropout", "on")} - set(fed[1:3]) == {(name, POSITIONS[name][0])}


def test_the_order_of_rows_does_not_matter_and_the_seed_does(record, photos):
    first, fed = record(seed=3)
    second, fed_again = record(seed=3, rows=photos[1][::-1])
    assert fed == fed_again and first.test == second.test
    assert record(seed=4)[1] != fed


def test_a_photo_is_once_in_a_batch_and_once_an_epoch_only_where_the_switch_says(record):
    for drawing, always_different in (("each_batch_anew", False), ("each_photo_once", True)):
        different = []
        for seed in range(4):
            _, fed = record(seed=seed, switches=Switches(drawing=drawing))
            batches = [[i for i, _ in step] for step in steps_of(fed)]
            assert all(len(set(batch)) == 8 for batch in batches)
            different += [len({*batches[i], *batches[i + 1]}) == 16 for i in (0, 2)]
        assert all(different) == always_different


def test_the_plain_split_is_the_articles_735_of_919():
    rows = [{"sha256": f"{i:064x}", "class_name": str(i % 3)} for i in range(919)]
    train, test = divide(rows, "plain", seed=0)
    assert (len(train), len(test)) == (735, 184)
    assert {row["sha256"] for row in train} | {row["sha256"] for row in test} == {row["sha256"] for row in rows}
    assert divide(rows, "plain", seed=1)[1] != test


def test_the_grouped_split_is_stratified_and_keeps_copies_together():
    rows = [{"sha256": f"{i:064x}", "class_name": str(i % 2), "group": f"{i % 50}", "path": ""} for i in range(100)]
    for seed in range(3):
        train, test = divide(rows, "grouped", seed)
        assert len(train) + len(test) == 100 and not {row["group"] for row in train} & {row["group"] for row in test}
        assert sum(row["class_name"] == "0" for row in test) == 10 == len(test) / 2
    train, test = divide(rows, "plain", 0)
    assert {row["group"] for row in train} & {row["group"] for row in test}


@pytest.mark.parametrize(
    ("wrong", "printed"),
    [([0, 183], "98.92 %"), ([0, 1], "98.95 %"), ([182, 183], "98.89 %"), ([], "100.00 %"), ([183], "99.44 %")],
)
def test_the_mean_of_ten_unequal_batches_is_not_the_share_of_photos(wrong, printed):
    assert sorted(map(len, judged_batches(184))) == 6 * [18] + 4 * [19]
    hits = np.ones(184, bool)
    hits[wrong] = False
    assert f"{100 * mean_of_batches(hits):.2f} %" == printed


def test_the_switch_mean_chooses_between_the_two(record, photos):
    rows = sorted(photos[1], key=lambda row: row["sha256"])
    more = [row | {"sha256": f"{i}{row['sha256'][1:]}"} for i in "abcd" for row in rows]  # 80 photos, 16 of them test
    found = {mean: record(rows=more, switches=Switches(mean=mean))[0] for mean in POSITIONS["mean"]}
    batches, plain = (result.accuracy for result in found.values())
    assert batches == mean_of_batches(found["of_batches"].hits) and plain == found["of_photos"].hits.mean()
    assert batches != plain and (found["of_batches"].hits == found["of_photos"].hits).all()


def test_few_iterations_say_what_all_would_take(record):
    result, fed = record(iterations=3)
    assert sum(kind == "step" for kind, *_ in fed) == len(result.iteration_seconds) == 3
    assert result.planned_iterations == 4 and len(result.history) == 2
    expected = result.seconds["start"] + result.seconds["test"] + result.seconds["epoch_ends"]  # two ends of two epochs
    expected += 4 * sum(result.iteration_seconds[1:]) / 2
    assert result.extrapolated_seconds() == pytest.approx(expected)
    assert record(iterations=1)[0].seconds_per_iteration is not None
    assert np.isnan(record(iterations=1)[0].extrapolated_seconds())


def test_an_interrupted_run_is_named_and_keeps_its_last_epoch(record, refused, tmp_path, monkeypatch):
    monkeypatch.setattr(Recorder, "interrupt_at_step", 4)
    with refused("interrupted", "1 of 2 epochs", "model.ckpt-1", str(tmp_path / "saved")):
        record()
    monkeypatch.setattr(Recorder, "interrupt_at_step", None)
    with refused("interrupted", "1 of 2 epochs", "model.ckpt-1", str(tmp_path / "saved")):
        record()
    assert (tmp_path / "saved" / "model.ckpt-1").read_text() == "saved"
    assert len(read_json(tmp_path / "saved" / "as_2019.json")["history"]) == 1
    record(saved_folder="other")


def test_a_run_that_remembers_can_be_interrupted_and_goes_on(record, tmp_path, monkeypatch):
    expected, memory = record(saved_folder="other")[1], FeatureMemory(tmp_path / "memory")
    monkeypatch.setattr(Recorder, "interrupt_at_step", 4)
    with pytest.raises(KeyboardInterrupt):
        record(memory=memory)
    monkeypatch.setattr(Recorder, "interrupt_at_step", None)
    (tmp_path / "saved" / "as_2019.json").unlink()  # as `predict_all` does
    assert record(memory=memory)[1] == expected


def test_a_run_interrupted_before_its_first_epoch_can_start_again(record, refused, monkeypatch):
    monkeypatch.setattr(Recorder, "interrupt_at_step", 2)
    with refused("interrupted", "no epoch"):
        record()
    monkeypatch.setattr(Recorder, "interrupt_at_step", None)
    assert len(record()[0].history) == 2
    assert len(record()[0].history) == 2  # a finished run does not block a new one


@pytest.mark.parametrize("name", POSITIONS)
def test_an_unknown_position_is_refused(refused, name):
    with refused(name, "'both'", POSITIONS[name][0], POSITIONS[name][1]):
        Switches(**{name: "both"})


def test_too_little_is_refused(record, photos, refused, tmp_path):
    with refused("7 photos", "8"):
        record(rows=photos[1][:7])
    with refused("1 classes"):
        record(rows=[row for row in photos[1] if row["class_name"] == "black"])
    for settings in ({"epochs": 0}, {"iterations": 0}):
        with refused("0", "1 or more"):
            record(**settings)


@pytest.mark.slow
def test_a_photo_that_scikit_image_cannot_read_is_named(workspace, photos, refused, tmp_path):
    folder, rows = photos
    for path in folder.rglob("*.png"):
        path.write_bytes(b"not a photo")
    with refused(".png", "scikit-image"):
        procedure.train_and_test(folder, rows, workspace.checkpoint, tmp_path / "saved", **SETTINGS)


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    levels = [np.full((1, 1, 3), level) for level in (-0.8, 0.8, -0.3, 0.4)]
    return np.stack([np.clip(rng.normal(level, 0.3, (299, 299, 3)), -1, 1) for level in levels]).astype(np.float32)


def body_of(path):
    """Give the body's weights in a checkpoint."""
    saved = tf.train.load_checkpoint(str(path))
    return {name: saved.get_tensor(name) for name in saved.get_variable_to_shape_map() if name.startswith("Inception")}


@pytest.mark.slow
@pytest.mark.parametrize(("batch_norm", "dropout"), [("batch", "on"), ("stored", "on"), ("batch", "off")])
def test_the_network_trains_its_new_layer_and_nothing_of_the_body(workspace, pictures, tmp_path, batch_norm, dropout):
    from bears_tl.article.modes import mode_distance
    from bears_tl.inception.slim import slim_features

    with Network(2, 0, batch_norm, dropout) as network:
        network.restore_body(workspace.checkpoint)
        before, served = body_of(network.save(tmp_path, 0)), network.features(pictures, training=False)
        first, trained = network.probabilities(served), network.features(pictures, training=True)
        np.testing.assert_allclose(served, slim_features(workspace.checkpoint, pictures), rtol=1e-4, atol=1e-4)
        distance = mode_distance(lambda _: trained, lambda _: served, [pictures])
        assert distance > 0.1 if batch_norm == "batch" else distance == 0
        dropped = [
            network._session.run(network._prelogits, {network._images: pictures, network._training: True})
            for _ in range(2)
        ]
        assert (np.abs(dropped[0] - dropped[1]).max() > 0) == (dropout == "on")
        for epoch in (1, 2, 3):
            for _ in range(2):
                network.step(trained, LABELS)
            network.save(tmp_path, epoch)
        last = network.probabilities(served)
    after = body_of(tmp_path / "model.ckpt-3")
    assert len(before) == 376 + 12 and all((before[name] == after[name]).all() for name in before)
    chosen = first[np.arange(4), LABELS], last[np.arange(4), LABELS]
    assert np.log(chosen[1]).mean() > np.log(chosen[0]).mean()
    kept = {path.name.partition(".data")[0].removesuffix(".index") for path in tmp_path.glob("model.ckpt-*")}
    assert kept == {"model.ckpt-2", "model.ckpt-3"}


def test_remembered_features_are_those_of_the_same_photos_in_the_same_views(record, tmp_path):
    """With one memory for all switches, the network gets the same inputs as without a memory."""
    memory = FeatureMemory(tmp_path / "memory")
    for name, positions in POSITIONS.items():
        switches = dataclasses.replace(Switches(), **{name: positions[1]})
        result, fed = record(switches=switches)
        assert record(switches=switches, memory=memory)[1] == fed
        assert (record(switches=switches, memory=memory)[0].hits == result.hits).all()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_and_remembered_features_the_same_predictions(workspace, tmp_path):
    rows = take_in(workspace.photos).photos
    found = [
        procedure.train_and_test(
            workspace.photos, rows, workspace.checkpoint, tmp_path / "saved", epochs=1, batch_size=6, memory=memory
        )
        for memory in (None, None, *2 * [FeatureMemory(tmp_path / "memory")])
    ]
    assert (found[1].probabilities == found[0].probabilities).all()
    assert found[1].mode_distance == found[0].mode_distance > 0.1
    np.testing.assert_allclose(found[2].probabilities, found[0].probabilities, atol=1e-5)
    assert (found[3].probabilities == found[2].probabilities).all()
    assert len(found[0].test) == 5 and found[0].probabilities.shape == (5, 3)


@pytest.mark.slow
def test_a_checkpoint_of_another_network_is_refused(refused, tmp_path):
    from bears_tl.inception import checkpoint

    checkpoint.write(
        tmp_path / "other.ckpt", {"InceptionV3/Conv2d_1a_3x3/weights": np.zeros((3, 3, 3, 32), np.float32)}
    )
    with Network(2, 0) as network, refused("other.ckpt", "375 missing"):
        network.restore_body(tmp_path / "other.ckpt")
