"""The ladder of a trained run: more and more blocks of the body are trained with the head, and evaluated."""

import shutil
import sys
import time

from bears_tl.files import read_json, sha256_of, write_csv, write_json
from bears_tl.judging.metrics import judge, sentence
from bears_tl.judging.predictions import labels_of, to_rows
from bears_tl.origin import Origin
from bears_tl.pipeline import artifacts, stages
from bears_tl.pipeline.run import Run

LADDER_COLUMNS = [
    "rung", "trained_values", "minutes", "epochs", "kept_epoch", "val_count", "val_errors", "val_accuracy",
    "val_interval_low", "val_interval_high", "val_loss", "test_count", "test_errors", "test_accuracy",
    "test_interval_low", "test_interval_high", "test_loss",
]  # fmt: skip


def climb(run: Run, rungs: list[str] | None = None, say=print) -> list[dict]:
    """Fine-tune each rung, starting from the run's trained head; writes ladder.csv, ladder.png and ladder/.

    Finished rungs are not trained again. An interrupted rung continues where it stopped and ends with the same weights.
    ladder/<rung>/ holds history.csv, predictions.csv (val and test) and weights.npz (the trained weights, named as in
    TF-slim, and the head); during training it also holds state.npz and borders/.

    Args:
        run: a trained run.
        rungs: some of `bears_tl.training.rungs.RUNGS`, by default all.
        say: called with one line per rung.

    Returns:
        The rows of ladder.csv: all finished rungs, from the head down.

    Raises:
        InputError: an unknown rung, a run that is not trained, or a damaged saved state.
    """
    from bears_tl.judging import plots, study_plots

    run.check("train")
    body = artifacts.checkpoint_facts(run)
    from bears_tl.training.rungs import RUNGS, check_rungs

    chosen = check_rungs(list(RUNGS) if rungs is None else rungs)
    with run.stage("ladder") as facts:
        for rung in chosen:
            row = result(run, rung) or _train_rung(run, rung, body)
            trained = f"{row['trained_values']:,} values, {row['minutes']:.1f} minutes, {row['epochs']} epochs"
            say(f"{rung}: {trained}, kept epoch {row['kept_epoch']}; {_test_sentence(row)}")
            done = [row for rung in RUNGS if (row := result(run, rung))]
            write_csv(run.path("ladder.csv"), LADDER_COLUMNS, done)
            plots.save(study_plots.ladder(done, run.notice()), run.path("ladder.png"))
        facts |= {"rungs": [row["rung"] for row in done]}
    return done


def result(run: Run, rung: str) -> dict | None:
    """Give the row of a finished rung that matches the run's present files and settings, or None."""
    path = run.path("ladder") / rung / "result.json"
    saved = read_json(path) if path.is_file() else None
    is_current = isinstance(saved, dict) and not _origin(run, rung).change_since(saved.get("origin", {}))
    return saved["row"] if is_current else None


def _origin(run: Run, rung: str) -> Origin:
    hashes = {name: sha256_of(run.path(file)) for name, file in (("head", "head.npz"), ("splits", "splits.csv"))}
    weights = run.facts("restore")["fingerprint"]
    return Origin.of(run.config, "split", "views", "head", "after", rung=rung, weights=weights, **hashes)


def _train_rung(run: Run, rung: str, body: dict) -> dict:
    """Train a rung, or continue its training, and evaluate it; gives its row."""
    from bears_tl.inception.backbone import Backbone
    from bears_tl.training.adam import HISTORY_COLUMNS
    from bears_tl.training.borders import Borders
    from bears_tl.training.fine_tuning import fine_tune, probabilities
    from bears_tl.training.rungs import CutNetwork

    origin, folder = _origin(run, rung), run.path("ladder") / rung
    head, rows = _first_head(run), artifacts.split_rows(run)
    labels = {name: labels_of(rows[name], head.class_names) for name in rows}
    network = CutNetwork(Backbone.restore(body["path"]), head, rung)
    place = artifacts.photo_folder(run), folder / "borders"
    tables = {
        name: Borders(network, body["fingerprint"], place[0], rows[name], views, place[1])
        for name, views in artifacts.split_views(run).items()
    }
    before = time.perf_counter()
    for name, table in tables.items():
        table.fill(f"{rung}: {name} up to its border")
    filled = time.perf_counter() - before
    try:
        trained = fine_tune(network, tables, labels, run.config, folder / "state.npz", origin, filled)
    except KeyboardInterrupt:
        print(f"bears: the ladder was interrupted at {rung}; finished epochs are kept in {folder}", file=sys.stderr)
        raise
    predictions, judged = [], {}
    for name in ("val", "test"):
        shares = probabilities(network, tables[name])
        predictions += to_rows(rows[name], shares, head.class_names)
        judged[name] = judge(labels[name], shares, head.class_names)
    write_csv(folder / "history.csv", HISTORY_COLUMNS, trained["history"])
    write_csv(folder / "predictions.csv", list(predictions[0]), predictions)
    network.save(folder / "weights.npz")
    row = {"rung": rung, "trained_values": network.trained_values, "minutes": round(trained["seconds"] / 60, 2)}
    row |= {"epochs": len(trained["history"]) - 1, "kept_epoch": trained["kept_epoch"]}
    for name, found in judged.items():
        row |= {f"{name}_{key}": found[key] for key in ("count", "errors", "accuracy")}
        row |= {f"{name}_interval_low": found["interval"][0], f"{name}_interval_high": found["interval"][1]}
        row |= {f"{name}_loss": found["cross_entropy"]}
    write_json(folder / "result.json", {"origin": origin.parts, "row": row})
    shutil.rmtree(folder / "borders", ignore_errors=True)
    for path in [folder / "state.npz", *folder.glob(".*.part")]:  # a killed process leaves partial files
        path.unlink(missing_ok=True)
    return row


def _first_head(run: Run):
    """Return the head that every rung starts from: the run's, or one like it that needs the last features only."""
    from bears_tl.inception.architecture import LAST
    from bears_tl.training.head import Head

    head = Head.load(run.path("head.npz"))
    return head if head.depths == LAST else stages.fit_head(run, run.config.replace(features="last")).head


def _test_sentence(row: dict) -> str:
    interval = [row["test_interval_low"], row["test_interval_high"]]
    test = {name: row[f"test_{name}"] for name in ("count", "errors", "accuracy")} | {"interval": interval}
    return f"test: {sentence(test)}"
