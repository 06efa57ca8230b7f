"""The procedure of 2019 on the photos and weights of a run. It writes to RUN/as_2019/ and changes no stage."""

import datetime
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from bears_tl.files import sha256_of, write_json
from bears_tl.hardware import processor
from bears_tl.judging import paired
from bears_tl.lock import one_at_a_time
from bears_tl.origin import Origin
from bears_tl.pipeline import artifacts
from bears_tl.pipeline.run import Run

SEEDS = 5
# The glimpse: two trainings of a few steps each, a minute or two on two cores.
GLIMPSE_VARIANTS = ("none", "batch_norm", "mean")
GLIMPSE_ITERATIONS = 2


def features_in_two_modes(run: Run, most: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Compute features of the same photos with the article's network in training and in testing.

    Args:
        run: a run with photos taken in and a checkpoint restored.
        most: the number of photos at most, drawn with the run's seed; batches hold up to 40.

    Returns:
        Two float32 [n photos, 2048]: with the statistics of the batch, and with the stored statistics.
    """
    from bears_tl.article.network import Network
    from bears_tl.article.procedure import BATCH_SIZE
    from bears_tl.photos.views import scale

    photos = artifacts.draw(run, run.table("photos.csv"), most)
    images = scale(np.stack(artifacts.pixels(run, photos)))
    parts = np.array_split(images, -(-len(images) // BATCH_SIZE))
    with Network(n_classes=2, seed=0) as network:  # the new layer is not used
        network.restore_body(artifacts.checkpoint_facts(run)["path"])
        trained, served = (
            np.concatenate([network.features(part, training) for part in parts]) for training in (True, False)
        )
    return trained, served


def reproduce(run: Run, say: Callable[[str], None] = print) -> list[dict]:
    """Compare the switches to the extent of the run's setting `as_2019`: glimpse or whole.

    Returns:
        Rows of `article.switches.compare`.
    """
    if run.config.as_2019 == "whole":
        return compare(run, say=say)
    return compare(run, [run.config.seed], GLIMPSE_VARIANTS, say, iterations=GLIMPSE_ITERATIONS)


def compare(
    run: Run,
    seeds: Iterable[int] = range(SEEDS),
    variants: Iterable[str] | None = None,
    say: Callable[[str], None] = print,
    **limits,
) -> list[dict]:
    """Train and test each variant with each seed and compare them; the same call resumes after an interruption.

    Args:
        run: a run with photos taken in and a checkpoint restored.
        seeds: each gives another split and other random choices.
        variants: some of `article.switches.VARIANTS`, by default all; the article's procedure is always included.
        say: called with one line per variant and seed.
        limits: iterations, epochs and batch_size of `article.procedure.train_and_test`.

    Returns:
        Rows of `article.switches.compare`.

    Raises:
        InputError: an unknown variant, a missing photo or checkpoint, or what `article.procedure.train_and_test`
            refuses.
    """
    from bears_tl.article import procedure, switches

    folder, checkpoint, photos = artifacts.photo_folder(run), artifacts.checkpoint_facts(run), run.table("photos.csv")
    variants = switches.check_variants(variants)
    seeds = list(seeds)
    if "batch_size" not in limits:
        splits = {switches.switches_of(name).split for name in variants}
        fewest = min(len(procedure.divide(photos, split, seed)[0]) for split in splits for seed in seeds)
        if fewest < procedure.BATCH_SIZE:
            limits["batch_size"] = max(fewest // 2, 1)
            sizes = f"batches of {limits['batch_size']} instead of the article's {procedure.BATCH_SIZE}"
            say(f"only {len(photos)} photos: {sizes}")
    made_from = {"photos.csv": sha256_of(run.path("photos.csv")), "checkpoint": checkpoint["fingerprint"]} | limits
    origin = Origin(made_from | {"columns": switches.PREDICTION_COLUMNS})
    # One folder per combination of photos, weights and limits keeps finished results apart.
    saved = run.path("as_2019") / origin.name
    write_json(saved / "made_from.json", origin.parts)
    outcomes: dict[str, list[paired.Outcome]] = {name: [] for name in variants}
    for seed in seeds:
        with one_at_a_time(saved / f"seed_{seed}", f"seed {seed} of the procedure of 2019"):
            of_seed = switches.predict_all(folder, photos, checkpoint["path"], saved, seed, variants, say, **limits)
        for name, outcome in of_seed.items():
            outcomes[name].append(outcome)
    return switches.compare(outcomes)


def write(run: Run, seeds: int, variants: list[str] | None, to: str | Path, command: str) -> str:
    """Compare the switches and write the table: NAME.csv, NAME.md and NAME.png.

    Args:
        run: a run with photos taken in and a checkpoint restored.
        seeds: number of seeds, starting at 0.
        variants: see `compare`.
        to: NAME.csv.
        command: the command line, quoted in NAME.md.

    Returns:
        The text of NAME.md.

    Raises:
        InputError: see `compare`; also seeds out of range, or `to` does not end in .csv.
    """
    to = paired.check_table(to, seeds)
    from bears_tl.article.switches import STUDY

    rows = compare(run, range(seeds), variants)
    today, hardware = datetime.date.today().isoformat(), f"{os.cpu_count()} cores of {processor()}"
    head = [
        f"Measured on {today} on {hardware}: `{command}`.",
        f"{run.facts('intake')['count']} photos; weights: {run.facts('restore')['kind']}; "
        f"{paired.say_seeds(0, seeds)}.",
    ]
    return paired.write(to, rows, STUDY, head, run.notice())
