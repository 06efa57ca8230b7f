"""A finished run verifies; whatever is changed in it, in its photos or in its features is named."""

import json
import os
import shutil

import numpy as np
import pytest

from bears_tl.config import RunConfig
from bears_tl.features import cache as cache_
from bears_tl.files import read_csv, write_csv, write_json
from bears_tl.pipeline import artifacts, verification
from bears_tl.pipeline.difference import difference
from bears_tl.pipeline.listing import list_runs
from bears_tl.pipeline.run import Run, signed


@pytest.fixture
def run(workspace, tmp_path, monkeypatch):
    """Give a copy of a trained run, with a copy of its cache."""
    monkeypatch.chdir(workspace.folder)
    shutil.copytree(workspace.folder / "cache", tmp_path / "cache")
    monkeypatch.setenv("BEARS_TL_CACHE", str(tmp_path / "cache"))
    shutil.copytree(workspace.folder / "runs/trained", tmp_path / "run")
    return Run.open(tmp_path / "run")


def files(run):
    return {str(path): path.read_bytes() for path in sorted(run.folder.rglob("*")) if path.is_file()}


@pytest.mark.slow
def test_a_run_verifies_and_is_not_changed_by_that(run, capsys):
    before = files(run)
    verification.verify(run, every=True)
    assert files(run) == before
    said = capsys.readouterr().out
    assert "nothing differs" in said and "same bit for bit" in said
    assert "24 of 24 views computed again" in said and "24 have the hashes of photos.csv" in said


@pytest.mark.slow
def test_a_byte_flipped_in_any_file_is_named(run):
    assert verification.changed_files(run) == []
    for path in sorted(run.folder.rglob("*")):
        if path.is_dir() or "notebooks" in path.parts:
            continue
        whole = path.read_bytes()
        for place in (0, len(whole) // 2, len(whole) - 1):
            flipped = bytearray(whole)
            flipped[place] ^= 1
            path.write_bytes(flipped)
            name = path.relative_to(run.folder).as_posix()
            try:
                named = verification.changed_files(run)
            except (ValueError, KeyError, TypeError) as error:
                raise AssertionError(f"{name}, byte {place}") from error
            except verification.InputError as error:  # JSON no more
                named = [path.name if str(path) in str(error) else str(error)]
            assert [each.partition(" ")[0] for each in named] == [name], place
        path.write_bytes(whole)


def refused_step(run, refused, *words):
    before = files(run)
    with refused(*words):
        verification.verify(run, every=True, say=lambda line: None)
    assert files(run) == before


def resign(run, **files):
    """Make a change look right in the receipt, so that only computing again finds it."""
    receipt = run.receipt()
    for stage, name in files.items():
        receipt["stages"][stage]["sha256"][name] = verification.sha256_of(run.path(name))
    write_json(run.path("receipt.json"), signed(receipt))


@pytest.mark.slow
def test_each_step_names_what_differs_even_if_the_receipt_was_changed_with_it(run, refused, tmp_path):
    whole = files(run)

    def mend():
        for path, content in whole.items():
            with open(path, "wb") as file:
                file.write(content)

    head = dict(np.load(run.path("head.npz")))
    head["kernel"][0, 0] = np.nextafter(head["kernel"][0, 0], np.float32(9))
    np.savez(run.path("head.npz"), **head)
    resign(run, train="head.npz")
    refused_step(run, refused, "the head of", "head.npz")
    mend()

    for name, stage, column, value, step in (
        ("photos.csv", "intake", "width", "65", "the photos of"),
        ("splits.csv", "split", "split", "test", "the splits of"),
        ("predictions.csv", "train", "predicted", "Dog", "the predictions of"),
        ("cues.csv", "audit", "errors", "9", "the cues of"),
    ):
        rows = read_csv(run.path(name), [])
        rows[1][column] = value if rows[1][column] != value else "train"
        write_csv(run.path(name), list(rows[0]), rows)
        resign(run, **{stage: name})
        refused_step(run, refused, step, name)
        mend()

    metrics = json.loads(run.path("metrics.json").read_text())
    metrics["test"]["errors"] += 1
    write_json(run.path("metrics.json"), metrics)
    resign(run, evaluate="metrics.json")
    refused_step(run, refused, "the metrics of", "test.errors was ")
    mend()

    shards = artifacts.feature_cache(run)
    row = artifacts.split_rows(run)["test"][0]
    (place,) = shards.places([row["sha256"]], artifacts.split_views(run)["test"])[0]
    features = shards.read(np.array([place]))
    features[0, 7] += np.float16(1)
    path = shards.folder / "ffffffffffffffffffffffffffffffff.npz"  # the last shard counts
    key = cache_.key(row["sha256"], artifacts.split_views(run)["test"][0])
    cache_._write(path, [key], features)
    refused_step(run, refused, "the features of", row["path"])
    path.unlink()


@pytest.mark.slow
def test_photos_that_were_changed_or_are_gone_are_named(run, refused, tmp_path):
    photos = tmp_path / "photos"
    shutil.copytree(artifacts.photo_folder(run), photos)
    receipt = run.receipt()
    receipt["stages"]["fetch"]["facts"]["folder"] = str(photos)
    write_json(run.path("receipt.json"), signed(receipt))
    first = run.table("photos.csv")[0]["path"]
    content = bytearray((photos / first).read_bytes())
    content[-9] ^= 1
    status = (photos / first).stat()
    (photos / first).write_bytes(content)
    os.utime(photos / first, ns=(status.st_atime_ns, status.st_mtime_ns))
    refused_step(run, refused, "the photos of", first, "was changed")
    (photos / first).unlink()
    refused_step(run, refused, "the photos of", first, "is missing")
    shutil.rmtree(photos)
    refused_step(run, refused, "is missing", str(photos))


@pytest.mark.slow
def test_a_run_again_gives_the_same_bits(run, capsys):
    verification.rerun(run)
    assert "the same result from the photos on" in capsys.readouterr().out


@pytest.mark.slow
def test_elsewhere_numbers_may_differ_a_little(run, capsys, refused):
    receipt = run.receipt()
    receipt["machine"]["processor"] = "another"
    predictions = read_csv(run.path("predictions.csv"), [])
    column = next(name for name in predictions[0] if name.startswith("probability_"))
    predictions[0][column] = str(float(predictions[0][column]) + 0.004)
    write_csv(run.path("predictions.csv"), list(predictions[0]), predictions)
    write_json(run.path("receipt.json"), receipt)
    resign(run, train="predictions.csv")
    verification.verify(run)
    assert "processor was another" in capsys.readouterr().out
    predictions[0][column] = str(float(predictions[0][column]) + 0.02)
    write_csv(run.path("predictions.csv"), list(predictions[0]), predictions)
    resign(run, train="predictions.csv")
    refused_step(run, refused, "predictions.csv", f"row 1.{column}")


def test_a_run_that_is_not_finished_is_refused(tmp_path, refused):
    run = Run(RunConfig(run=str(tmp_path / "run")))
    with run.stage("fetch"):
        pass
    with refused("has not run", "first"):
        verification.verify(run)


def test_seconds_do_not_count_and_a_tolerance_holds_at_both_ends(tmp_path):
    one, other = tmp_path / "a.csv", tmp_path / "b.csv"
    write_csv(one, ["epoch", "loss", "seconds"], [{"epoch": 1, "loss": 0.5, "seconds": 1}])
    write_csv(other, ["epoch", "loss", "seconds"], [{"epoch": 1, "loss": 0.5, "seconds": 2}])
    assert difference(one, other, 0.0) == ""
    write_csv(other, ["epoch", "loss", "seconds"], [{"epoch": 1, "loss": 0.5099, "seconds": 2}])
    assert difference(one, other, 0.0) == "row 1.loss was 0.5, is now 0.5099" and difference(one, other, 0.01) == ""
    write_csv(other, ["epoch", "loss", "seconds"], [{"epoch": 1, "loss": 0.5101, "seconds": 2}])
    assert difference(one, other, 0.01) == "row 1.loss was 0.5, is now 0.5101"
    other.unlink()
    assert "missing" in difference(one, other, 0.01)


def test_runs_are_listed_newest_first_and_broken_ones_say_why(tmp_path, monkeypatch, refused):
    for name, ended in (("old", "2020-01-01T00:00:00+00:00"), ("new", "2030-01-01T00:00:00+00:00")):
        run = Run(RunConfig(run=str(tmp_path / name)))
        with run.stage("fetch") as facts:
            facts["folder"] = "nowhere"
        receipt = run.receipt()
        receipt["stages"]["fetch"]["ended"] = ended
        write_json(run.path("receipt.json"), receipt)
    for name, damage in (("config", {"config.json": "{"}), ("receipt", {"receipt.json": "[]"}), ("half", {})):
        shutil.copytree(tmp_path / "old", tmp_path / name)
        for file, content in damage.items():
            (tmp_path / name / file).write_text(content)
    (tmp_path / "half/receipt.json").unlink()
    shutil.copytree(tmp_path / "old", tmp_path / "new/beyond/inside")
    shutil.copytree(tmp_path / "old", tmp_path / "compare/study/seed_0/base")
    (tmp_path / "compare/study/comparison.json").write_text("{}")
    rows = {row["run"].rpartition("/")[2]: row["fault"] for row in list_runs(tmp_path)}
    assert rows.keys() == {"old", "new", "config", "receipt", "half"}
    assert list_runs(tmp_path)[0]["run"].endswith("new")
    assert rows["old"] == "unfinished: next is intake" and rows["half"] == "unfinished: next is fetch"
    assert rows["config"].startswith("broken: ") and rows["receipt"].startswith("broken: ")
    assert [row["run"] for row in list_runs(tmp_path / "compare/study")] == [
        str(tmp_path / "compare/study/seed_0/base")
    ]
    with refused("no folder"):
        list_runs(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with refused("no run in"):
        list_runs(tmp_path / "empty")
