"""Every figure is drawn for few and for many classes, saved as a PNG that opens, and closed."""

import html
import os
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from bears_tl.judging import plots
from bears_tl.judging.metrics import judge
from bears_tl.judging.predictions import to_rows
from bears_tl.judging.verdict import draw_verdict

NOTE = "STAND-IN BODY: a note that is long enough to be broken into lines. " * 3


def names(count):
    return [f"Class {i} with a name $of_ some% length" for i in range(count)]


def photos(count):
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (60 + 7 * i, 299, 3), dtype=np.uint8) for i in range(count)]


def judged(count):
    labels = np.arange(5 * count) % count
    return judge(labels, np.eye(count)[(labels + (labels == 1)) % count], names(count))


def history(epochs):
    columns = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
    return [{"epoch": str(i)} | dict.fromkeys(columns, str(1 / i)) for i in range(1, epochs + 1)]


def cues(count):
    return [
        {"cue": f"cue_{i}", "accuracy": "0.5", "interval_low": "0.4", "interval_high": "0.5", "body_accuracy": "0.9"}
        for i in range(count)
    ]


def ranges(count):
    return plots.learning_rate_range(
        np.geomspace(1e-7, 10, count), np.ones(count), np.ones(count), {"steepest": 0.01, "a tenth": 0.1}, NOTE
    )


BASE = {"variant": "base", "photos": 9, "errors": 1, "p_value": "", "loss_change": ""}
VARIANT = {
    "variant": "train_views", "position": "center", "photos": "9", "errors": "3", "p_value": "0.03",
    "only_base_right": "2", "only_variant_right": "0", "loss_change": "-0.01", "change_low": -0.02, "change_high": 0.03,
}  # fmt: skip
UNPAIRED = VARIANT | {"variant": "split", "position": "grouped", "loss_change": "", "change_low": "", "change_high": ""}


FIGURES = {
    "photo_grid": lambda n: plots.photo_grid(photos(n), [f"{name}\nsecond line" for name in names(n)], title="Photos"),
    "count_bars": lambda n: plots.count_bars({name: {"train": 7, "val": 0, "test": 2} for name in names(n)}, "Counts"),
    "learning_curves": lambda n: plots.learning_curves(history(n - 1), NOTE),
    "cue_accuracies": lambda n: plots.cue_accuracies(cues(n), NOTE),
    "learning_rate_range": ranges,
    "paired_changes": lambda n: plots.paired_changes([BASE, *(n - 1) * [VARIANT]], "validation loss", NOTE),
    "confusion": lambda n: plots.confusion(judged(n), names(n), NOTE),
    "predictions": lambda n: plots.predictions(photos(2), names(2), np.full((2, n), 1 / n), names(n)),
}


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    yield
    left = plt.get_fignums()
    plt.close("all")
    assert left == []


@pytest.mark.parametrize("count", [2, 12])
@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_is_drawn_saved_and_closed(name, count, tmp_path):
    plots.save(FIGURES[name](count), tmp_path / "figures" / f"{name}.png")
    assert os.listdir(tmp_path / "figures") == [f"{name}.png"]
    with Image.open(tmp_path / "figures" / f"{name}.png") as image:
        image.load()
        assert image.format == "PNG" and min(image.size) > 150
        assert image.convert("L").getextrema()[0] < 100  # something is drawn on the white


def test_the_confusion_matrix_shows_every_count_truth_down_and_prediction_across():
    figure = plots.confusion(judged(3), names(3))
    (axis,) = figure.axes
    assert {text.get_position(): text.get_text() for text in axis.texts} == {
        (j, i): str(judged(3)["confusion"][i][j]) for i in range(3) for j in range(3)
    }
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("predicted class", "true class")
    plt.close(figure)


def test_the_curves_mark_the_epoch_with_the_least_validation_loss():
    rows = history(5)
    rows[2]["val_loss"] = "0.01"
    figure = plots.learning_curves(rows)
    assert "kept: epoch 3" in [line.get_label() for line in figure.axes[0].lines]
    plt.close(figure)


def test_predictions_show_every_class_with_its_share():
    figure = plots.predictions(photos(2), ["one", "two"], np.array([[0.25, 0.75], [1.0, 0.0]]), ["a", "b"])
    texts = [[text.get_text() for text in axis.texts] for axis in figure.axes]
    assert [text for text in texts if text] == [["a 25.0%", "b 75.0%"], ["a 100.0%", "b 0.0%"]]
    plt.close(figure)


def test_each_cue_has_its_share_and_the_body_its_line():
    figure = plots.cue_accuracies(cues(2))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["cue 0  50.0%", "cue 1  50.0%"]
    assert "the body: 90.0%" in figure.axes[0].get_legend_handles_labels()[1]
    plt.close(figure)


@pytest.mark.parametrize("count", [0, 1, 8])
def test_each_variant_has_its_photos_and_its_loss_beside_the_base(count):
    figure = plots.paired_changes([BASE, *count * [VARIANT], UNPAIRED], "test loss", "a note")
    photos, change = figure.axes
    labels = [label.get_text() for label in photos.get_yticklabels()]
    expected = "train_views center\n3 of 9 wrong, p = 0.03"
    assert labels == [*count * [expected], expected.replace("train_views center", "split grouped")]
    assert [bar.get_width() for bars in photos.containers for bar in bars] == [*(count + 1) * [-2], *(count + 1) * [0]]
    assert [text.get_text().strip() for text in photos.texts] == [*(count + 1) * ["2"], *(count + 1) * ["0"]]
    assert "1 of 9 wrong" in photos.get_xlabel() and change.get_xlabel().startswith("test loss minus the base's")
    np.testing.assert_array_equal(change.lines[0].get_xdata(), [*count * [-0.01], np.nan])
    (spreads,) = change.collections
    ends = [segment[:, 0].tolist() for segment in spreads.get_segments()[:count]]
    assert ends == count * [pytest.approx([-0.02, 0.03])]
    title = "Each variant against the base, on the same test photos"
    assert [text.get_text() for text in figure.texts] == [title, "a note"]
    plt.close(figure)


def test_a_base_without_variants_is_drawn():
    plt.close(plots.paired_changes([BASE], "test loss"))


def test_counts_stand_on_their_bars():
    figure = plots.count_bars({"a": {"train": 7, "val": 1, "test": 2}, "b": {"train": 70, "val": 10, "test": 20}})
    assert [text.get_text() for text in figure.axes[0].texts] == ["7", "70", "1", "10", "2", "20"]
    plt.close(figure)


def test_a_figure_that_cannot_be_saved_is_one_line_and_leaves_nothing(tmp_path, refused):
    (tmp_path / "file").touch()
    figure = FIGURES["confusion"](2)
    with refused("could not be written"):
        plots.save(figure, tmp_path / "file" / "figure.png")
    plt.close(figure)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(("sizes", "seeds"), [([15], 1), ([15, 30, 386], 3)])
@pytest.mark.parametrize("scratch", [0.3, 0.95, 1.0])
def test_what_transfer_buys_is_drawn_for_one_size_and_for_many(tmp_path, sizes, seeds, scratch):
    rows = [
        {"road": road, "train_photos": str(size), "test_count": "20", "test_accuracy": str(share)}
        | {"test_interval_low": str(share - 0.1), "test_interval_high": str(min(share + 0.1, 1.0))}
        for size in sizes
        for _ in range(seeds)
        for road, share in (("transfer", 1.0), ("scratch", scratch))
    ]
    plots.save(plots.transfer_gain(rows, 3, NOTE), tmp_path / "a.png")
    assert min(Image.open(tmp_path / "a.png").size) > 100 and not plt.get_fignums()


def test_a_notebook_shows_a_figure_with_its_alt_text():
    figure = plots.confusion(judged(2), ["<a>", '"b"'], "a note")
    shown = figure._repr_html_()
    alt = re.match('<img alt="([^"<>]*)" src="data:image/png;base64,[^"]+">$', shown)[1]
    assert alt == html.escape(figure.alt) and figure.alt.endswith("a note.") and figure._suptitle.get_text() in alt
    plt.close(figure)


NAMES = ["$", "$$", "$10_$20", "\u65e5\u672c \N{BEAR FACE}", "b\udce4r"]


def draw_all(names, count=60):
    """Draw each figure that shows class names."""
    draw = np.random.default_rng(0)
    labels = draw.integers(len(names), size=count)
    shares = draw.dirichlet(np.ones(len(names)), size=count)
    judged = judge(labels, shares, names)
    photos = [draw.integers(0, 256, (20, 20, 3), dtype=np.uint8)] * 6
    tests = to_rows([{"path": "a", "class_name": names[label], "split": "test"} for label in labels], shares, names)
    cues = [{"cue": "colour", "accuracy": 0.5, "interval_low": 0.4, "interval_high": 0.6}]
    return [
        plots.confusion(judged, names),
        plots.count_bars({name: {"train": 2, "val": 1, "test": 1} for name in names}),
        plots.predictions(photos, [names[label] for label in labels[:6]], shares[:6], names, title=names[0]),
        draw_verdict(judged, tests, names, cues),
    ]


def test_names_are_drawn_as_they_are_without_formulas_and_warnings(recwarn):
    for figure in draw_all(NAMES):
        plots.to_png(figure)
        texts = [text for text in figure.findobj(Text) if "$" in text.get_text()]
        assert texts and not any(text.get_parse_math() for text in texts)
        figure.alt.encode()
    assert not [str(warning.message) for warning in recwarn if "Glyph" in str(warning.message)]


def test_the_numbers_of_logarithmic_axes_are_still_formulas():
    figure = plots.learning_curves(history(40))
    plots.to_png(figure)
    numbers = [label for label in figure.axes[0].yaxis.get_ticklabels() if "mathdefault" in label.get_text()]
    assert numbers and all(label.get_parse_math() for label in numbers)


def test_figures_of_many_classes_stay_small():
    forty, four_hundred = ([f"c{i}" for i in range(count)] for count in (40, 400))
    for few, many in zip(draw_all(forty, 200), draw_all(four_hundred, 2000), strict=True):
        assert max(many.get_size_inches()) <= 20
        assert len(many.findobj(Text)) <= len(few.findobj(Text)) + 50
        plots.plt.close(few)
        plots.plt.close(many)
