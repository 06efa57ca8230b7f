import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from bears_tl.judging import metrics, plots
from bears_tl.judging.predictions import Predictions, to_rows
from bears_tl.judging.verdict import draw_verdict

CUES = [{"cue": "image_size", "accuracy": "0.5", "interval_low": "0.4", "interval_high": "0.6"}]


def judged(class_names, probabilities, labels):
    photos = [{"path": f"{i}.jpg", "class_name": class_names[label], "split": "test"} for i, label in enumerate(labels)]
    found = Predictions(to_rows(photos, probabilities, class_names), probabilities, class_names)
    return metrics.judge(labels, probabilities, class_names), found


def test_each_test_photo_is_a_dot_and_each_mistake_is_named():
    class_names = ["$a", "b$"]
    shares = np.array([1.0, 0.9, 0.4, 0.2, 0.0], np.float32)
    test, found = judged(class_names, np.stack([shares, 1 - shares], axis=1), np.array([0, 0, 0, 1, 0]))
    figure = draw_verdict(test, found, CUES)
    score, confidence, cues = figure.axes
    assert [text.get_text().splitlines()[0] for text in score.texts] == ["60.0%", "3 of 5 test photos"]
    assert [len(dots.get_offsets()) for dots in confidence.collections] == [3, 2]
    assert [text.get_text() for text in confidence.texts] == [" called b$"] * 2
    assert [label.get_text() for label in cues.get_yticklabels()] == ["this run  60%", "image size  50%"]
    plt.close(figure)


@pytest.mark.parametrize("classes", [2, 40])
def test_it_is_drawn_for_few_classes_and_many_and_with_many_mistakes(tmp_path, classes):
    class_names = [f"{i}_" + "long" * (i % 9) for i in range(classes)]
    probabilities = np.random.default_rng(0).dirichlet(np.ones(classes), 5 * classes).astype(np.float32)
    test, found = judged(class_names, probabilities, np.repeat(np.arange(classes), 5))
    plots.save(draw_verdict(test, found, CUES, "a note"), tmp_path / "a.png")
    assert min(Image.open(tmp_path / "a.png").size) > 100 and not plt.get_fignums()


def test_of_many_classes_the_least_accurate_are_shown():
    labels = np.repeat(np.arange(200), 2)
    predicted = np.where(np.isin(np.arange(400), [20, 100, 101]), 0, labels)  # of class 50 both are wrong, of 10 one
    test, found = judged([f"class {i}" for i in range(200)], np.eye(200, dtype=np.float32)[predicted], labels)
    figure = draw_verdict(test, found, CUES)
    confidence = figure.axes[1]
    assert [label.get_text() for label in confidence.get_yticklabels()][:3] == ["class 50", "class 10", "class 0"]
    assert "12 of 200 classes shown" in confidence.get_title(loc="left")
    assert [len(dots.get_offsets()) for dots in confidence.collections] == [21, 3]
    assert max(figure.get_size_inches()) <= 12
    plt.close(figure)
