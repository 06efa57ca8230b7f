"""What each fault of 2019 costs: the article's procedure against the same with one switch changed, photo by photo."""

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

ARTICLE, ALL = "none", "all"  # of the switches changed to good practice
VARIANTS = (ARTICLE, *POSITIONS, ALL)
PREDICTION_COLUMNS = ["path", "class_name", "sha256", "predicted", "loss"]
COLUMNS = [
    "turned", "position", "seeds", "photos", "errors", "accuracy", "low", "high", "printed", "loss", "paired_photos",
    "only_article_right", "only_turned_right", "p_value", "loss_change", "change_low", "change_high",
]  # fmt: skip
STUDY = paired.Study(
    loss="test loss",
    facts={"printed": paired.Fact("as 2019 would print it", ".2%", lambda shares: float(np.mean(shares)))},
    reading="""\
*none*, the base, is the procedure as it was; in each other row one switch is changed to good practice, in *all* every
one. `split` changes which photos are tested: where only some are in both tests, only those are paired. *mean* changes
no prediction, only the figure that is printed. The loss is that of a test photo, its change a mean over paired photos.
""",
    columns=COLUMNS,
    keys={
        "turned": "variant",
        "only_article_right": "only_base_right",
        "only_turned_right": "only_variant_right",
    },
)


def switches_of(variant: str) -> Switches:
    """Give the article's switches with one changed to good practice; `none` or `all` of them, too."""
    names = {ARTICLE: (), ALL: POSITIONS}.get(variant, (variant,))
    return dataclasses.replace(Switches(), **{name: POSITIONS[name][1] for name in names})


def check_variants(variants: Iterable[str] | None) -> list[str]:
    """Give the variants to compare, all without some, each once and the article's own procedure first.

    Raises:
        InputError: an unknown one.
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
    """Train and test every variant with one seed; what is finished already is read, not done again.

    `mean` is not trained for itself: it changes no prediction, only what is printed of them. Features of a batch are
    computed once and kept until the seed is done, so that a killed comparison loses little.

    Args:
        folder: that `path` of a photo is relative to.
        photos: rows of photos.csv.
        checkpoint_path: a TF-slim checkpoint of Inception v3, unpacked.
        saved_folder: gets <variant>_<seed>.csv, the test's predictions in the order of the batches, and, while one is
            trained, its checkpoints and features. One folder for one set of photos, checkpoint and limits.
        seed: of the split, and all else.
        variants: which of VARIANTS.
        say: is given a line a variant.
        limits: epochs, batch_size and iterations of `procedure.train_and_test`.

    Returns:
        Variant to its outcome; photos are named by their content.

    Raises:
        InputError: what `procedure.train_and_test` refuses.
    """
    outcomes = {}
    memory = FeatureMemory(Path(saved_folder, f"features_{seed}"))
    for name in variants:
        path = Path(saved_folder, f"{ARTICLE if name == 'mean' else name}_{seed}.csv")
        if not path.is_file():
            saved = path.with_suffix("")
            shutil.rmtree(saved, ignore_errors=True)  # of one that was stopped; its features are remembered
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
    """Give rows of `paired.compare`, and the position of each variant's switch.

    Args:
        outcomes: variant, the article first, to its outcomes, one a seed.
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
