"""The benchmark: which contenders run or are skipped, that a failure stops no other, and the files it writes."""

import json
import sys

import pytest

from bears_tl.bench import benchmark, bound, contenders
from bears_tl.bench.contenders import CONTENDERS, TUNED
from bears_tl.bench.processes import Bench, ContenderError
from bears_tl.bench.speed import GROUPS


def test_every_contender_is_in_a_group_that_the_table_has():
    assert {contender.group for contender in CONTENDERS.values()} == set(GROUPS)
    assert len({contender.label for contender in CONTENDERS.values()}) == len(CONTENDERS)


def test_engines_that_are_not_installed_are_left_out_with_the_line_that_installs_them(monkeypatch):
    monkeypatch.setattr(
        benchmark.importlib.util, "find_spec", lambda package: None if package == "tf2onnx" else object()
    )
    left_out, names = benchmark._choose(True, "float16", "tensorflow")
    assert left_out == {"onnxruntime_float32": f"tf2onnx not installed: {benchmark.PIP_LINE}"}
    assert names == [name for name in CONTENDERS if name not in ("onnxruntime_float32", "tensorflow_float32")]


def test_engines_run_on_request():
    left_out, names = benchmark._choose(False, "float32", "openvino")
    assert {"ours_float32", "tensorflow_float32"} <= set(names) and "ours_float16" not in names
    assert left_out == {name: "runs with --peers" for name, contender in CONTENDERS.items() if contender.packages}
    assert not set(left_out) & set(names)


def test_files_are_named_after_the_machine_so_that_none_overwrites_anothers():
    machine = {"processor": "Intel(R) Xeon(R) 6", "cores": 2, "accelerations": ["AVX2", "AMX"], "gpus": ["NVIDIA H100"]}
    assert benchmark.machine_name(machine) == "intel-xeon-6-2-cores-avx2-amx-nvidia-h100"


def test_no_rounds_are_refused(refused):
    with refused("--rounds 0", "1 or more"):
        benchmark.measure(rounds=0)


def test_a_rate_repeats_the_work_until_there_is_enough_of_it(monkeypatch):
    seconds = iter([0.5, 0.5, 1.5, 100])
    monkeypatch.setattr(contenders, "_seconds_of", lambda work: next(seconds))
    assert contenders._rate(lambda: None, 10) == 30 / 2.5


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return Bench(tmp_path, "random", {"photos": "nowhere"})


def test_what_a_process_took_is_that_of_the_process(bench):
    (bench.folder / "eater.py").write_text("data = bytearray(300_000_000)\n")
    ended = bench._process(["eater"], "warm")
    assert ended["peak_rss_bytes"] > 300e6 and ended["seconds"] > 0


@pytest.mark.parametrize(
    ("program", "message", "status"),
    [
        ("import sys; print('noise'); sys.exit('bears: no such photos')", "no such photos", 2),
        ("import sys; print('bears: no network', file=sys.stderr); sys.exit(3)", "no network", 3),
        ("raise MemoryError('too little')", "MemoryError: too little", 2),
        ("import os; os.kill(os.getpid(), 9)", "exit status -9", 2),
    ],
    ids=["a user's mistake", "not reachable", "an error", "killed"],
)
def test_a_process_that_fails_is_named_by_its_last_line(bench, program, message, status):
    (bench.folder / "failing.py").write_text(program)
    with pytest.raises(ContenderError, match=message) as caught:
        bench._process(["failing"], "warm")
    assert caught.value.exit_status == status and "\n" not in str(caught.value)


def test_photos_that_are_not_there_are_refused_in_one_line(workspace_of_none, refused):
    with refused("nowhere", "no"):
        benchmark.measure(photos=str(workspace_of_none / "nowhere"), to=workspace_of_none, say=lambda line: None)
    assert list(workspace_of_none.iterdir()) == []


@pytest.fixture
def workspace_of_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def prepared(workspace, monkeypatch):
    """Use the workspace's run as the uncounted first run of a bench."""
    monkeypatch.chdir(workspace.folder)
    monkeypatch.setattr(Bench, "train", lambda self, cache: {"run": str(workspace.folder / "runs/trained")})


class Rehearsal(Bench):
    """A bench that computes nothing: contenders give made-up values, and one of them fails."""

    order: list

    def measure(self, name, settings):
        self.order.append(name)
        if name == "keras_predict":
            raise ContenderError("MemoryError: too little", 1)
        return {"value": 10.0 * len(self.order), "peak_rss_bytes": 5e8, "start_seconds": 1.0}

    def work(self, module, **task):
        if task["work"] == "prepare":
            return {"operations_per_photo": 11_400_000_000, "gpus": []}, {}
        return {"settings": {"batch_size": 8}}, {}


@pytest.mark.slow
def test_contenders_take_turns_and_one_that_fails_stops_no_other(workspace, prepared, monkeypatch, tmp_path):
    monkeypatch.setattr(benchmark, "Bench", Rehearsal)
    monkeypatch.setattr(Rehearsal, "order", [], raising=False)
    said = []
    found = benchmark.measure(str(workspace.photos), rounds=2, to=tmp_path / "to", say=said.append)
    ran = [name for name, contender in CONTENDERS.items() if not contender.packages and name != "ours_float16"]
    assert Rehearsal.order == ran + [name for name in ran if name != "keras_predict"]
    assert found["failed"] == {"Keras model.predict": "MemoryError: too little"}
    assert [row["round"] for row in found["contenders"]["as_2019"]["rounds"]] == [1, 2]
    name = benchmark.machine_name(found["machine"])
    written = json.loads((tmp_path / "to" / f"{name}.json").read_text())
    assert written == json.loads(json.dumps(found))
    assert written["machine"]["memory_bytes"] > 0 and written["versions"]["tensorflow"]
    text = (tmp_path / "to" / f"{name}.md").read_text()
    assert "Failed: Keras model.predict (MemoryError: too little)." in text and "Skipped: ONNX Runtime, float32" in text
    assert {path.name for path in (tmp_path / "to").iterdir()} == {f"{name}.{kind}" for kind in ("json", "md", "png")}
    assert len(said) == 1 + len([name for name in TUNED if name in ran]) + len(Rehearsal.order)


@pytest.mark.slow
def test_a_small_benchmark_from_end_to_end(workspace, monkeypatch, tmp_path):
    monkeypatch.chdir(workspace.folder)
    monkeypatch.setattr(sys, "argv", ["bears", "benchmark", "--rounds", "1"])
    similar = ("keras_predict", "ours_bfloat16", "ours_float16", "tensorflow_float32", "bound_bfloat16", "bound_int8")
    names = [name for name, contender in CONTENDERS.items() if not contender.packages and name not in similar]
    monkeypatch.setattr(benchmark, "_choose", lambda *_: ({}, names))
    monkeypatch.setattr(contenders, "LEAST_SECONDS", 0.1)
    for name, value in {"_SIDES": (256,), "_CONVOLUTIONS": ((1, 16, 17, 3),), "_LEAST_SECONDS": 0.01}.items():
        monkeypatch.setattr(bound, name, value)
    ended, run_process = {}, Bench._process

    def process(self, words, cache):
        """Run contenders in this process after the first, because each new process starts TensorFlow again."""
        if words[0] == "bears_tl.bench.contenders" and words[0] in ended:
            contenders.main(words[1])
        else:
            ended[words[0]] = run_process(self, words, cache)
        return ended[words[0]]

    monkeypatch.setattr(Bench, "_process", process)
    found = benchmark.measure(
        str(workspace.photos), rounds=1, to=tmp_path / "to", say=lambda line: None, sample=8, batch_size_2019=4
    )
    assert found["failed"] == {} and found["command"] == "bears benchmark --rounds 1"
    assert "STAND-IN" in found["notice"] and found["photos"] == {"count": 24, "sample": 8}
    assert 11.3e9 < found["operations_per_photo"] < 11.5e9
    for name, contender in found["contenders"].items():
        assert contender["summary"]["median"] > 0, name
        assert contender["label"] == CONTENDERS[name].label and len(contender["rounds"]) == 1
    article = found["contenders"]["as_2019"]
    assert article["rounds"][0]["extrapolated"] and "extrapolated from 5 of 40 iterations" in article["note"]
    assert "extrapolated from 5 of 10 steps" in found["contenders"]["tutorial"]["note"]
    assert "the whole loop of the article" in " ".join(found["not_measured"])
    assert found["contenders"]["train_cold"]["note"].endswith("of 6 test photos right")


@pytest.mark.slow
def test_the_profile_adds_up(workspace, prepared, monkeypatch, tmp_path):
    processes, run_process = [], Bench._process

    def process(self, words, cache):
        processes.append((words[0], cache))
        return run_process(self, words, cache)

    monkeypatch.setattr(Bench, "_process", process)
    text = benchmark.profile(str(workspace.photos), "random", tmp_path, say=lambda line: None)
    assert (tmp_path / "profile.md").read_text() == text
    assert ("bears_tl.bench.profile", "new") in processes  # the profiled run has an empty cache
    rows = [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.count("|") == 5]
    parts = {name: float(seconds) for name, seconds, _, _ in rows[2:]}
    whole = parts.pop("total")
    assert {"Python start-up", "features", "train", "evaluate", "outside the stages"} <= set(parts)
    assert sum(parts.values()) == pytest.approx(whole, abs=0.1) and min(parts.values()) >= 0
    assert "tensorflow" in text
