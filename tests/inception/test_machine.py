import json

import numpy as np
import pytest

from bears_tl.inception import machine
from bears_tl.inception.machine import Plan


@pytest.fixture(autouse=True)
def avx512(monkeypatch):
    monkeypatch.setattr(machine, "instruction_sets", lambda: {"avx2", "avx512f"})


@pytest.mark.parametrize(
    ("float32", "bfloat16", "chosen"), [(100, 201, "bfloat16"), (100, 119, "float32"), (100, 50, "float32")]
)
def test_the_precision_is_the_faster_one_and_is_asked_for_once(tmp_path, monkeypatch, float32, bfloat16, chosen):
    monkeypatch.setattr(machine, "matrix_rate", {"float32": float32, "bfloat16": bfloat16}.get)
    memory = tmp_path / "machine.json"
    assert machine.choose_precision(memory) == chosen
    monkeypatch.setattr(machine, "matrix_rate", lambda precision: pytest.fail("measured again"))
    assert machine.choose_precision(memory) == chosen


@pytest.mark.parametrize(("known", "chosen"), [({"avx2"}, "float32"), (set(), "float32"), ({"avx512f"}, "bfloat16")])
def test_bfloat16_is_not_chosen_where_onednn_lacks_it(tmp_path, monkeypatch, known, chosen):
    monkeypatch.setattr(machine, "instruction_sets", lambda: known)
    monkeypatch.setattr(machine, "matrix_rate", {"float32": 100, "bfloat16": 201}.get)
    assert machine.choose_precision(tmp_path / "machine.json") == chosen


def test_another_machine_is_measured_anew(tmp_path, monkeypatch):
    memory = tmp_path / "machine.json"
    for processor, rate, chosen in (("one", 300, "bfloat16"), ("two", 50, "float32"), ("one", 0, "bfloat16")):
        monkeypatch.setattr(machine, "processor", lambda processor=processor: processor)
        monkeypatch.setattr(machine, "matrix_rate", {"float32": 100, "bfloat16": rate}.get)
        assert machine.choose_precision(memory) == chosen


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 1}', "machine: precision", "machine: plan of float32"])
def test_a_memory_that_makes_no_sense_is_written_anew(tmp_path, monkeypatch, content):
    monkeypatch.setattr(machine, "matrix_rate", {"float32": 1, "bfloat16": 2}.get)
    memory = tmp_path / "machine.json"
    if content.startswith("machine"):
        machine.choose_precision(memory)
        known = json.loads(memory.read_text())
        (name,) = known
        content = json.dumps({name: {content.partition(": ")[2]: {"precision": "float7", "batch_size": "many"}}})
    memory.write_text(content)
    assert machine.choose_precision(memory) == "bfloat16"
    assert machine.choose_plan(lambda plan: plan.batch_size, (8, 16), memory) == Plan(16, 1)


def test_the_plan_is_the_fastest(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 16)
    rates = {Plan(8, 4): 30, Plan(16, 4): 33}
    assert machine.choose_plan(lambda plan: rates.get(plan, 10), (8, 16), None) == Plan(16, 4)


def test_a_larger_plan_must_be_worth_its_memory(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 2)
    rates = {Plan(8, 1): 100, Plan(8, 2): 106, Plan(16, 2): 108}
    assert machine.choose_plan(rates.get, (8, 16), None) == Plan(8, 2)


def test_nothing_is_kept_where_nothing_can_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(machine, "matrix_rate", {"float32": 1, "bfloat16": 2}.get)
    assert machine.choose_precision(tmp_path / "file" / "machine.json") == "bfloat16"


def test_the_rate_of_a_plan_counts_photos():
    seen = []
    rate = machine.plan_rate(lambda pixels, plan: seen.append(pixels.shape), Plan(8, 2))
    assert rate > 0 and seen == [(8, 299, 299, 3), (32, 299, 299, 3), (32, 299, 299, 3)]


def test_matrices_are_timed():
    assert np.isfinite(machine.matrix_rate("float32", side=64, tries=2))
