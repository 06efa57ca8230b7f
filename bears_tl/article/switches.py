"""The effect of each choice of 2019: the article's procedure against the same with one switch changed."""

import dataclasses
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from bears_tl.article import procedure
from bears_tl.article.feature_memory import FeatureMemory
from bears_tl.article.procedure import POSITIONS, Switches, mean_of_batches
from bears_tl.errors import InputError
from bears_tl.files import read_csv, write_csv
from bears_tl.judging import paired
from bears_tl.judging.metrics import losses
from bears_tl.judging.predictions import labels_of

ARTICLE, ALL = "none", "all"  # which switches are changed to current practice
VARIANTS = (ARTICLE, *POSITIONS, ALL)
PREDICTION_COLUMNS = ["path", "class_name", "sha256", "predicted", "loss"]
COLUMNS = [
    "turned", "position", "seeds", "photos", "errors", "accuracy", "low", "high", "printed", "loss", "paired_photos",
    "only_article_right", "only_turned_right", "p_value", "loss_change", "change_low", "change_high",
]  # fmt: skip
STUDY = paired.Study(
    loss="test loss",
    facts={"printed": paired.Fact("printed accuracy", ".2%", lambda shares: float(np.mean(shares)))},
    reading="""\
*none*, the base, is the article's procedure. Each other row changes one switch to current practice; *all* changes all
seven. `split` changes the test photos, so only photos in both tests are paired. *mean* changes no prediction, only how
the printed accuracy is averaged. The loss is a mean over test photos; its change is a mean over paired photos.
""",
    columns=COLUMNS,
    keys={
        "turned": "variant",
        "only_article_right": "only_base_right",
        "only_turned_right": "only_variant_right",
    },
)


def switches_of(variant: str) -> Switches:
    """Give the article's switches with one changed to current practice, or `none` or `all` of them."""
    names = {ARTICLE: (), ALL: POSITIONS}.get(variant, (variant,))
    return dataclasses.replace(Switches(), **{name: POSITIONS[name][1] for name in names})


def check_variants(variants: Iterable[str] | None) -> list[str]:
    """Give the variants to compare (None: all), each once, with the article's procedure first.

    Raises:
        InputError: an unknown variant.
    """
    variants = list(dict.fromkeys((ARTICLE, *(VARIANTS if variants is None else variants))))
    if unknown := [name for name in variants if name not in VARIANTS]:
        raise InputError(f"switch {unknown[0]!r} is unknown, expected {', '.join(VARIANTS)}")
    return variants


def predict_all(
    folder: str | Path,
    photos: list[dict],
    checkpoint_path: str | Path,
    saved_folder: str | Path,
    seed: int,
    variants: Iterable[str] = VARIANTS,
    say: Callable[[str], None] = print,
    **limits,
) -> dict[str, paired.Outcome]:
    """Train and test each variant with one seed; finished variants are read, not repeated.

    `mean` needs no training: it changes no prediction, only the printed accuracy. The features of a batch are kept
    until the seed is done, so a killed comparison loses little work.

    Args:
        folder: the folder that photo paths are relative to.
        photos: rows of photos.csv.
        checkpoint_path: a TF-slim checkpoint of Inception v3, unpacked.
        saved_folder: gets <variant>_<seed>.csv, the test predictions in batch order, and, during training, checkpoints
            and features. One folder per combination of photos, checkpoint and limits.
        seed: for the split and all other random choices.
        variants: some of VARIANTS.
        say: called with one line per variant.
        limits: epochs, batch_size and iterations of `procedure.train_and_test`.

    Returns:
        Variant to its outcome; photos are named by their SHA-256.

    Raises:
        InputError: what `procedure.train_and_test` refuses.
    """
    outcomes = {}
    memory = FeatureMemory(Path(saved_folder, f"features_{seed}"))
    for name in variants:
        path = Path(saved_folder, f"{ARTICLE if name == 'mean' else name}_{seed}.csv")
        if not path.is_file():
            saved = path.with_suffix("")
            shutil.rmtree(saved, ignore_errors=True)  # left by an interrupted training; its features are in the memory
            result = procedure.train_and_test(
                folder, photos, checkpoint_path, saved, switches_of(name), seed, memory=memory, **limits
            )
            write_csv(path, PREDICTION_COLUMNS, _to_rows(result))
            shutil.rmtree(saved)
        outcomes[name] = _outcome(name, read_csv(path, PREDICTION_COLUMNS))
        hits = outcomes[name].hits.values()
        say(f"seed {seed}, {name}: {len(hits) - sum(hits)} of {len(hits)} test photos wrong")
    shutil.rmtree(memory.folder, ignore_errors=True)
    return outcomes


def compare(outcomes: dict[str, list[paired.Outcome]]) -> list[dict]:
    """Give the rows of `paired.compare`, with the position of each variant's switch.

    Args:
        outcomes: variant, the article first, to its outcomes, one per seed.
    """
    rows = paired.compare(outcomes, STUDY.facts)
    return [row | {"position": POSITIONS.get(row["variant"], ("", ""))[1]} for row in rows]


def _to_rows(result: procedure.Result) -> list[dict]:
    labels = labels_of(result.test, result.class_names)
    predicted = [result.class_names[i] for i in result.probabilities.argmax(axis=1)]
    judged = zip(result.test, predicted, losses(labels, result.probabilities).tolist(), strict=True)
    return [row | {"predicted": class_name, "loss": loss} for row, class_name, loss in judged]


def _outcome(variant: str, rows: list[dict]) -> paired.Outcome:
    hits = {row["sha256"]: row["predicted"] == row["class_name"] for row in rows}
    printed = mean_of_batches if switches_of(variant).mean == "of_batches" else np.mean
    return paired.Outcome(
        hits, {row["sha256"]: float(row["loss"]) for row in rows}, {"printed": printed(np.array([*hits.values()]))}
    )
