"""Every figure is drawn for few and for many classes, saved as a PNG that opens, and closed."""

import html
import io
import os
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from bears_tl.judging import plots, reason_plots, study_plots
from bears_tl.judging.metrics import judge

NOTE = "STAND-IN BODY: a note that is long enough to be broken into lines. " * 3


HARD = ["$", "$$", "$10_$20", r"\frac{$", "caf\udce9", "a\nb\x07", "日本 🐻", "x" * 100]


def names(count):
    return [*HARD, *(f"Class {i} with a name $of_ some% length" for i in range(len(HARD), count))][:count]


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
    return study_plots.learning_rate_range(
        np.geomspace(1e-7, 10, count), np.ones(count), np.ones(count), {"steepest": 0.01, "a tenth": 0.1}, NOTE
    )


def reasons(titles, maps=None, beside=3):
    """Draw as many photos as there are titles, each with fewer and fewer training photos beside it."""
    shown = photos(len(titles))
    nearest = [list(zip(photos(k), names(k), strict=True)) for k in (max(beside - i, 0) for i in range(len(shown)))]
    maps = np.random.default_rng(0).normal(0, 9, (len(shown), 17, 17)) if maps is None else maps
    return reason_plots.reasons(shown, titles, maps, nearest, NOTE, "Why?")


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
    "paired_changes": lambda n: study_plots.paired_changes([BASE, *(n - 1) * [VARIANT]], "validation loss", NOTE),
    "confusion": lambda n: plots.confusion(judged(n), names(n), NOTE),
    "reasons": lambda n: reasons(names(n)[-2:], beside=8),
    "predictions": lambda n: plots.predictions(photos(2), names(2), np.full((2, n), 1 / n), names(n)),
}


@pytest.mark.filterwarnings("error")  # missing glyphs, too
@pytest.mark.parametrize("count", [2, 12])
@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_is_drawn_saved_and_closed(name, count, tmp_path):
    plots.save(FIGURES[name](count), tmp_path / "figures" / f"{name}.png")
    assert os.listdir(tmp_path / "figures") == [f"{name}.png"]
    with Image.open(tmp_path / "figures" / f"{name}.png") as image:
        image.load()
        assert image.format == "PNG" and min(image.size) > 150
        assert image.convert("L").getextrema()[0] < 100  # something is drawn on the white


@pytest.mark.parametrize("name", FIGURES)
def test_names_are_no_formulas_but_the_numbers_of_log_axes_are(name):
    figure = FIGURES[name](12)
    figure.savefig(io.BytesIO())
    shown = figure.findobj(Text)
    formulas = {text.get_text() for text in shown if "$" in text.get_text() and text.get_parse_math()}
    assert all("mathdefault" in text for text in formulas)
    assert bool(formulas) == (name in ("learning_curves", "learning_rate_range"))
    assert not any("mathdefault" in text.get_text() for text in shown if not text.get_parse_math())
    assert not {"\udce9", "\x07"} & set("".join(text.get_text() for text in shown) + figure.alt)
    plt.close(figure)


def test_a_long_name_is_cut_off_and_one_that_is_not_utf_8_is_written_as_an_escape():
    figure = plots.confusion(judged(8), names(8))
    shown = ["$", "$$", "$10_$20", r"\frac{$", r"caf\udce9", r"a\nb\x07", "日本 🐻", "x" * 23 + "…"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == shown
    plt.close(figure)


def test_fonts_that_are_not_installed_are_not_asked_for(monkeypatch, caplog):
    monkeypatch.setattr(plots, "_MORE_FONTS", ["No Such Font", "STIXGeneral"])
    figure = plots.photo_grid(photos(2), ["ascii", "日本"])
    plots.to_png(figure)
    families = [axis.title.get_fontfamily() for axis in figure.axes[:2]]
    assert families == [plt.rcParams["font.family"], [*plt.rcParams["font.family"], "STIXGeneral"]]
    assert not caplog.records


MANY = {
    "count_bars": FIGURES["count_bars"],
    "confusion": FIGURES["confusion"],
    "predictions": lambda n: plots.predictions(photos(6), names(6), np.full((6, n), 1 / n), names(n), labels=range(6)),
}


@pytest.mark.parametrize("count", [30, 31, 1000])
@pytest.mark.parametrize("name", MANY)
def test_many_classes_do_not_make_a_figure_large_or_slow(name, count):
    figure = MANY[name](count)
    assert max(figure.get_size_inches()) <= 16 and len(figure.alt) <= 4000
    assert len([text for text in figure.findobj(Text) if text.get_text()]) <= 200
    assert sum(image.get_array().size for axis in figure.axes for image in axis.images) <= 6 * 300 * 300
    plt.close(figure)


def test_a_large_confusion_matrix_keeps_a_single_mistake_visible():
    wrong = np.arange(1000)
    wrong[7] = 990
    figure = plots.confusion(judge(np.arange(1000), np.eye(1000)[wrong], names(1000)), names(1000))
    (drawn,) = figure.axes[0].images
    cells = drawn.get_array()
    assert cells.shape == (334, 334) and cells[2, 330] == 1
    assert cells.sum() == 334 + 1  # the diagonal, because each block of 3 x 3 still has right ones
    assert drawn.get_extent() == [-0.5, 1001.5, 1001.5, -0.5]
    plt.close(figure)


def test_of_many_classes_the_five_most_probable_and_the_true_one_have_a_bar():
    shares = np.array([[0.0, 0.3, 0.05, 0.1, 0.15, 0.2, 0.2, 0.0], [0.9, 0.02, 0.02, 0.02, 0.02, 0.01, 0.01, 0.0]])
    figure = plots.predictions(photos(2), ["one", "two"], shares, list("abcdefgh"), labels=np.array([7, 0]))
    first, second = ([text.get_text() for text in axis.texts] for axis in figure.axes[2:])
    assert first == ["b 30.0%", "f 20.0%", "g 20.0%", "e 15.0%", "d 10.0%", "h 0.0%"]
    assert second == ["a 90.0%", "b 2.0%", "c 2.0%", "d 2.0%", "e 2.0%"]
    plt.close(figure)


def test_many_classes_are_counted_from_the_largest_to_the_smallest():
    sizes = {f"class {i}": {"train": i, "val": 1, "test": 2} for i in range(41)}
    figure = plots.count_bars(sizes)
    labels = [label.get_text().split("\n") for label in figure.axes[0].get_xticklabels()]
    assert labels == [[f"class {i}", str(i + 3)] for i in (40, 30, 20, 10, 0)]
    assert "from class 40 with 43 photos to class 0 with 3 photos" in figure.alt
    plt.close(figure)


def test_a_figure_that_fails_is_said_in_one_line_and_leaves_neither_a_file_nor_a_figure(tmp_path):
    other = plots.confusion(judged(2), names(2))

    def fail_late():
        plots.new_figure()
        raise ValueError("first\nsecond")

    path = tmp_path / "a.png"
    assert plots.try_to_save(lambda: plots.confusion(judged(2), names(2)), path) == "" and path.is_file()
    said = plots.try_to_save(fail_late, path)
    assert said == "the figure a.png is missing, because it could not be drawn (ValueError: first second)"
    assert not path.exists() and plt.get_fignums() == [other.number]
    plt.close(other)


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


def test_a_class_map_lies_over_its_photo_with_a_scale_in_logits_and_the_alt_text_says_where_most_comes_from():
    maps = np.zeros((3, 8, 8))
    maps[0, 0, 7], maps[0, 7, 0], maps[1, 4, 4] = 2.5, -5, 40  # a photo's own scale; nothing speaks in the last one
    figure = reasons(["one", "two", "three"], maps)
    for i, (photo, limit) in enumerate(zip(photos(3), (5, 40, 1), strict=True)):
        below, above = figure.axes[5 * i + 1].images
        assert below.get_extent() == above.get_extent() and above.get_clim() == (-limit, limit)
        np.testing.assert_array_equal(below.get_array(), photo.mean(axis=2))
        np.testing.assert_array_equal(above.get_array(), maps[i])
        assert above.cmap(0.5)[3] < 0.01 and above.cmap(0.0)[3] == above.cmap(1.0)[3] > 0.5  # 0 hides no photo
        (bar,) = figure.axes[5 * i + 1].child_axes
        assert [text.get_text() for text in bar.get_yticklabels()] == [f"-{limit}", "0", f"{limit}"]
    said = "one: most comes from the top right; most alike: $, $$, $10_$20. two: most comes from the centre"
    assert said in figure.alt
    plt.close(figure)


def test_each_cue_has_its_share_and_the_body_its_line():
    figure = plots.cue_accuracies(cues(2))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["cue 0  50.0%", "cue 1  50.0%"]
    assert "the body: 90.0%" in figure.axes[0].get_legend_handles_labels()[1]
    plt.close(figure)


@pytest.mark.parametrize("count", [0, 1, 8])
def test_each_variant_has_its_photos_and_its_loss_beside_the_base(count):
    figure = study_plots.paired_changes([BASE, *count * [VARIANT], UNPAIRED], "test loss", "a note")
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
    plt.close(study_plots.paired_changes([BASE], "test loss"))


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
    plots.save(study_plots.transfer_gain(rows, 3, NOTE), tmp_path / "a.png")
    assert min(Image.open(tmp_path / "a.png").size) > 100 and not plt.get_fignums()


def test_a_notebook_shows_a_figure_with_its_alt_text():
    figure = plots.confusion(judged(2), ["<a>", '"b"'], "a note")
    shown = figure._repr_html_()
    alt = re.match('<img alt="([^"<>]*)" src="data:image/png;base64,[^"]+">$', shown)[1]
    assert alt == html.escape(figure.alt) and figure.alt.endswith("a note.") and figure._suptitle.get_text() in alt
    plt.close(figure)
