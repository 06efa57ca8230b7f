"""The procedure of 2019 on a run: its table, its refusals, and that no stage of the run changes."""

import numpy as np
import pytest

from bears_tl.article import procedure, reproduction, switches
from bears_tl.cli import main
from bears_tl.config import RunConfig
from bears_tl.files import read_csv, sha256_of, write_csv
from bears_tl.photos.intake import PHOTO_COLUMNS, take_in
from bears_tl.pipeline.run import Run


@pytest.fixture
def run(write_photos, tmp_path, monkeypatch):
    """Give a run with photos taken in and a checkpoint found."""
    monkeypatch.chdir(tmp_path)
    folder, run = write_photos(black=6, brown=6), Run(RunConfig(run="runs/walked", seed=3))
    (tmp_path / "a.ckpt").write_text("weights")
    with run.stage("fetch") as facts:
        facts["folder"] = str(folder)
    with run.stage("intake") as facts:
        write_csv(run.path("photos.csv"), PHOTO_COLUMNS, take_in(folder).photos)
        facts["count"] = 12
    with run.stage("restore") as facts:
        facts |= {"path": str(tmp_path / "a.ckpt"), "fingerprint": sha256_of(tmp_path / "a.ckpt")}
        facts |= {"kind": "stand_in", "precision": "float32"}
    return run


@pytest.fixture
def made(monkeypatch):
    """Replace the procedure with one that immediately predicts "brown", and give the list of its calls."""
    calls = []

    def train_and_test(folder, photos, checkpoint_path, saved_folder, chosen, seed, memory, **limits):
        calls.append((chosen, seed, limits))
        saved_folder.mkdir(parents=True)
        probabilities = np.tile(np.float32([0.2, 0.8]), (len(photos), 1))
        rest = dict.fromkeys(procedure.Result.__dataclass_fields__)
        return procedure.Result(
            **rest | {"test": photos, "class_names": ["black", "brown"], "probabilities": probabilities}
        )

    monkeypatch.setattr(procedure, "train_and_test", train_and_test)
    return calls


def stages_of(run):
    return {path: path.read_bytes() for path in run.folder.iterdir() if path.is_file()}


def test_a_glimpse_is_a_few_steps_of_the_article_and_one_switch(run, made):
    before = stages_of(run)
    rows = reproduction.reproduce(run)
    assert [row["variant"] for row in rows] == list(reproduction.GLIMPSE_VARIANTS)
    limits = {"iterations": reproduction.GLIMPSE_ITERATIONS, "batch_size": 4}  # of 9 training photos
    assert made == [(switches.switches_of("none"), 3, limits), (switches.switches_of("batch_norm"), 3, limits)]
    assert stages_of(run) == before
    assert reproduction.reproduce(run) == rows and len(made) == 2


def test_the_whole_is_every_switch_over_five_seeds_with_no_limit(run, made, monkeypatch):
    monkeypatch.setattr(procedure, "BATCH_SIZE", 5)
    whole = Run.open(run.folder, as_2019="whole")
    rows = reproduction.reproduce(whole)
    assert [row["variant"] for row in rows] == list(switches.VARIANTS)
    assert len(made) == 5 * (len(switches.VARIANTS) - 1) and {seed for _, seed, _ in made} == set(range(5))
    assert all(not limits for *_, limits in made)


def test_what_other_photos_weights_or_limits_gave_is_not_taken(run, made, tmp_path):
    reproduction.compare(run, [0], ["mean"], iterations=4)
    reproduction.compare(run, [0], ["mean"], iterations=5)
    assert len(made) == 2
    (tmp_path / "a.ckpt").write_text("other weights")
    with run.stage("restore") as facts:
        facts |= {"path": str(tmp_path / "a.ckpt"), "fingerprint": sha256_of(tmp_path / "a.ckpt")}
        facts |= {"kind": "local", "precision": "float32"}
    reproduction.compare(run, [0], ["mean"], iterations=5)
    write_csv(run.path("photos.csv"), PHOTO_COLUMNS, run.table("photos.csv")[1:])
    reproduction.compare(run, [0], ["mean"], iterations=5)
    assert len(made) == 4


def test_the_verb_writes_the_table_and_prints_it(run, made, capsys, tmp_path, monkeypatch):
    words = ["as-2019", "--run", "runs/walked", "--seeds", "2", "--switches", "mean", "--to", "there/t.csv"]
    monkeypatch.setattr("sys.argv", ["bears", *words])
    assert main() == 0
    rows = read_csv(tmp_path / "there/t.csv", switches.COLUMNS)
    assert [row["turned"] for row in rows] == ["none", "mean"]  # the base always runs
    assert [(row["photos"], row["errors"], row["seeds"]) for row in rows] == 2 * [("24", "12", "2")]
    text = (tmp_path / "there/t.md").read_text(encoding="utf-8")
    assert text in capsys.readouterr().out and "12 of 24" in text and "STAND-IN" in text
    assert f"`bears {' '.join(words)}`" in text
    assert (tmp_path / "there/t.png").read_bytes().startswith(b"\x89PNG")
    assert main(["as-2019", "--run", "runs/walked", "--seeds", "1"]) == 0
    assert run.path("as_2019/as_2019.csv").is_file()
    said = capsys.readouterr().out
    assert "only 12 photos: batches of 4 instead of the article's 40" in said
    assert "seed 0, batch_norm: 6 of 12 test photos wrong" in said


def test_the_help_names_every_switch(capsys):
    with pytest.raises(SystemExit):
        main(["as-2019", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert f"{', '.join(switches.VARIANTS[1:-1])}; or all" in said


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--seeds", "0"], "--seeds 0"),
        (["--seeds", "1001"], "1 to 1000"),
        (["--to", "table.txt"], "'table.txt'"),
        (["--switches", "dropuot"], "'dropuot'"),
        (["--run", "runs/none"], "no run in 'runs/none'"),
        (["--seeds", "1"], "a.ckpt' is not a TensorFlow checkpoint"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_table(run, words, named, capsys, tmp_path):
    assert main(["as-2019", "--run", "runs/walked", *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("bears: ") and named in said and said.count("\n") == 1
    assert not list(tmp_path.rglob("as_2019.csv")) and not (tmp_path / "table.txt").exists()


def test_weights_that_are_gone_are_named(run, capsys, tmp_path):
    (tmp_path / "a.ckpt").unlink()
    assert main(["as-2019", "--run", "runs/walked"]) == 2
    assert "a.ckpt" in capsys.readouterr().err
    assert not run.path("as_2019").exists()
