"""`bears predict` answers for each file in its turn; a bad one costs only itself."""

import json
from types import SimpleNamespace

import pytest

from bears_tl.cli import main
from bears_tl.pipeline.run import Run
from bears_tl.serving.predictor import Predictor

ROWS = [
    {"path": "a.jpg", "predicted": "Panda", "probability_Grizzly": "0.011", "probability_Panda": "0.982",
     "probability_Polar": "0.007"},
    {"path": "gone.jpg", "error": "No such file or directory"},
    {"path": "b.jpg", "predicted": "Polar", "probability_Grizzly": "0.25", "probability_Panda": "0.25",
     "probability_Polar": "0.5"},
]  # fmt: skip


@pytest.fixture
def predict(monkeypatch, tmp_path, capsys):
    """Give a function that runs the verb on a made-up run whose model answers with these rows."""
    (tmp_path / "a.jpg").touch()

    def predicted(*words, rows=ROWS):
        model = SimpleNamespace(body=None, class_names=["Grizzly", "Panda", "Polar"], predict=lambda paths: iter(rows))
        monkeypatch.setattr(Run, "open", lambda folder: None)
        monkeypatch.setattr(Predictor, "load", lambda run, model_name: model)
        status = main(["predict", str(tmp_path / "a.jpg"), "--run", "runs/made_up", *words])
        return status, *capsys.readouterr()

    return predicted


def test_the_best_two_classes_are_shown_and_a_bad_file_is_named_on_stderr(predict):
    status, out, err = predict()
    assert out == "a.jpg: Panda 98.2 % (Grizzly 1.1 %)\nb.jpg: Polar 50.0 % (Grizzly 25.0 %)\n"
    assert err == "bears: 'gone.jpg' is not a readable photo (No such file or directory); it was skipped\n"
    assert status == 2 and predict(rows=ROWS[:1])[0] == 0


def test_json_has_an_object_per_file_in_their_order_with_the_error_of_a_bad_one(predict):
    status, out, err = predict("--json")
    answers = [json.loads(line) for line in out.splitlines()]
    assert [answer["path"] for answer in answers] == ["a.jpg", "gone.jpg", "b.jpg"]
    assert answers[1] == {"path": "gone.jpg", "error": "No such file or directory"} and "gone.jpg" in err
    assert answers[2]["probabilities"] == {"Grizzly": 0.25, "Panda": 0.25, "Polar": 0.5}
    assert answers[2]["predicted"] == "Polar" and status == 2


def test_an_answer_is_printed_before_the_next_photo_is_classified(predict, capsys):
    def rows():
        yield ROWS[0]
        assert capsys.readouterr().out == "a.jpg: Panda 98.2 % (Grizzly 1.1 %)\n"
        yield ROWS[2]

    assert predict(rows=rows())[0] == 0
