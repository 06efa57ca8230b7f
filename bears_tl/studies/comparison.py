"""A comparison of settings over seeds; every trial uses the photos, split and body of the base."""

import datetime
import shlex
import statistics
from collections.abc import Callable
from pathlib import Path

from bears_tl.config import RunConfig, check_checkpoint, check_edits, deciding, parse_settings
from bears_tl.errors import InputError
from bears_tl.files import is_taken, read_json, write_bytes, write_json
from bears_tl.judging import paired
from bears_tl.judging.calibration import judge_calibration
from bears_tl.origin import Origin
from bears_tl.pipeline import artifacts, stages
from bears_tl.pipeline.listing import COMPARISON
from bears_tl.pipeline.run import STAGES, Run

BASE = "base"
EXAMPLE = "expected key=value pairs, such as 'epochs=10 patience=10'"
COLUMNS = [
    "trial", "seeds", "photos", "errors", "accuracy", "low", "high", "only_base_right", "only_trial_right", "p_value",
    "val_loss", "val_loss_change", "change_low", "change_high", "test_loss", "test_ece", "epochs", "features_seconds",
    "train_seconds",
]  # fmt: skip
STUDY = paired.Study(
    loss="validation loss",
    facts={
        "test_loss": paired.Fact("test loss", ".4f", statistics.fmean),
        "test_ece": paired.Fact("test ECE", ".3f", statistics.fmean),
        "epochs": paired.Fact("epochs", "g", statistics.median),
        "features_seconds": paired.Fact("features, s", ".1f", statistics.median),
        "train_seconds": paired.Fact("training, s", ".1f", statistics.median),
    },
    reading="""\
Within a seed, base and trials have the same photos and the same split. Choose a setting by its validation loss: it is
the finer measure, and choosing by test photos would bias the test. Epochs and seconds are medians over seeds. Features
that are already in the cache, for example from an earlier trial, take 0 s.
""",
    columns=COLUMNS,
    keys={
        "trial": "variant",
        "only_trial_right": "only_variant_right",
        "val_loss": "loss",
        "val_loss_change": "loss_change",
    },
)
_OF_BODY = ("precision", "engine")  # settings that need a body of their own


def parse_trials(words: list[str], config: RunConfig) -> dict[str, RunConfig]:
    """Parse the values of --try into trials.

    Args:
        words: each holds `key=value` pairs, separated by spaces.
        config: the settings of the base.

    Returns:
        Trial name, such as "epochs=10 patience=10", to settings; the base comes first, as BASE.

    Raises:
        InputError: a setting that all trials share or that RunConfig refuses, or two equal trials (the base counts).
    """
    trials = {BASE: config}
    for word in words:
        changes = parse_settings(_pairs(word), "--try")
        trial = config.replace(**changes)
        for name in changes:
            if name not in (tried := [*_OF_BODY, *deciding("views", "head")]):  # they act after the split
                raise InputError(
                    f"--try {word!r}: {name} must be the same for all trials, set it with --set; --try accepts "
                    f"{', '.join(tried)}"
                )
        if trial in trials.values():
            (same,) = [name for name, other in trials.items() if other == trial]
            raise InputError(f"--try {word!r} has the same settings as {same!r}: remove or change it")
        trials[" ".join(f"{name}={getattr(trial, name)}" for name in changes)] = trial
    return trials


def others(words: list[str], config: RunConfig) -> list[str]:
    """Drop the values of --try that change nothing in the given settings."""
    return [word for word in words if config.replace(**parse_settings(_pairs(word), "--try")) != config]


def _pairs(word: str) -> list[str]:
    try:
        pairs = shlex.split(word)
    except ValueError as error:
        raise InputError(f"--try {word!r}: {error}; {EXAMPLE}") from None
    if not pairs:
        raise InputError(f"--try {word!r} is empty: {EXAMPLE}")
    return pairs


def compare(
    config: RunConfig,
    words: list[str],
    seeds: int,
    to: str | Path,
    folder: str | Path | None = None,
    command: str = "bears compare",
    say: Callable[[str], None] = print,
) -> list[dict]:
    """Train the base and each trial over several seeds and write the table: NAME.csv, NAME.md and NAME.png.

    Photos, label corrections and checkpoint come from one shared run. Each seed splits the photos anew. Each (seed,
    trial) is an ordinary run in its own directory. Trained runs are kept, so the same command continues where it
    stopped.

    Args:
        config: the settings of the base; its seed is the first one, its `run` is ignored.
        words: values of --try, see `parse_trials`.
        seeds: number of seeds.
        to: NAME.csv.
        folder: folder of the runs; by default runs/compare/NAME.
        command: the command line, quoted in NAME.md.
        say: called with one line per training.

    Returns:
        The rows, see `paired.compare`.

    Raises:
        InputError: a setting is refused, or the folder contains something else.
    """
    to = paired.check_table(to, seeds)
    folder = Path(folder or Path("runs", "compare", to.stem))
    trials = parse_trials(words, config.replace(run=str(folder / "shared")))
    config.replace(seed=config.seed + seeds - 1)  # refuses the last seed now, not after hours
    check_checkpoint(config.checkpoint)
    check_edits(config.edits)
    _claim(folder, config)

    shared = Run(trials[BASE])
    say(f"photos: {stages.fetch(shared)}")
    stages.intake(shared)
    body = stages.restore(shared)
    if shared.notice():
        say(shared.notice())
    outcomes: dict[str, list[paired.Outcome]] = {name: [] for name in trials}
    for seed in range(config.seed, config.seed + seeds):
        for name, trial in trials.items():
            run = Run(trial.replace(seed=seed, run=str(folder / f"seed_{seed}" / name.replace(" ", "_"))))
            for stage in ("fetch", "intake"):
                _hand_on(shared, run, stage)
            stages.split(run)
            is_shared = all(getattr(trial, setting) == getattr(config, setting) for setting in _OF_BODY)
            if is_shared:
                _hand_on(shared, run, "restore")
            own = body if is_shared else stages.restore(run)
            if not _is_trained(run):
                stages.train(run, stages.features(run, own))
            outcomes[name].append(outcome := _outcome(run))
            wrong = f"{len(outcome.hits) - sum(outcome.hits.values())} of {len(outcome.hits)} test photos wrong"
            say(f"seed {seed}, {name}: {wrong}, val loss {outcome.losses['val']:.4f}, {outcome.facts['epochs']} epochs")
    rows = paired.compare(outcomes, STUDY.facts)
    rows[0] |= dict.fromkeys(("only_base_right", "only_variant_right", "p_value"), "")  # the base against itself
    rows[0] |= dict.fromkeys(("loss_change", "change_low", "change_high"), "")
    paired.write(to, rows, STUDY, _head(shared, seeds, rows[0]["photos"], command), shared.notice())
    return rows


def origin_of(config: RunConfig) -> Origin:
    """Give the settings that identify a comparison: all that affect the result of the base."""
    return Origin.of(config, "photos", "split", "body", "views", "head")


def _claim(folder: Path, config: RunConfig) -> None:
    """Mark the folder as this comparison's, or check that it is.

    Raises:
        InputError: the folder contains something else, such as a run, or a comparison with other settings.
    """
    path, origin = folder / COMPARISON, origin_of(config)
    before = read_json(path) if path.is_file() else origin.parts
    if not isinstance(before, dict) or (not path.is_file() and is_taken(folder)):
        raise InputError(f"{str(folder)!r} is not the folder of a comparison: choose another one with --run")
    if change := origin.change_since(before):
        raise InputError(
            f"{str(folder)!r} holds a comparison with other settings ({change}): choose another folder with --run, "
            "or delete this one"
        )
    write_json(path, origin.parts)


def _hand_on(shared: Run, run: Run, stage: str) -> None:
    """Copy the result of a stage from the shared run to another run, as if the stage had run there."""
    with run.stage(stage) as facts:
        facts |= shared.facts(stage)
        for name in STAGES[stage]:
            write_bytes(run.path(name), shared.path(name).read_bytes())


def _is_trained(run: Run) -> bool:
    """Return whether a run is trained. An earlier stage that found a change would have removed the training."""
    return "train" in run.seconds() and all(run.path(name).is_file() for name in STAGES["train"])


def _outcome(run: Run) -> paired.Outcome:
    history, predictions = run.table("history.csv"), artifacts.predictions(run)
    tests, vals = predictions.of_split("test"), predictions.of_split("val")
    judged, val = (judge_calibration(part.labels(), part.probabilities) for part in (tests, vals))
    seconds = run.seconds()
    return paired.Outcome(
        hits={row["path"]: row["predicted"] == row["class_name"] for row in tests.rows},
        losses={"val": val["cross_entropy"]},
        facts={
            "test_loss": judged["cross_entropy"],
            "test_ece": judged["ece"],
            "epochs": len(history),
            "features_seconds": seconds["features"],
            "train_seconds": seconds["train"],
        },
    )


def _head(shared: Run, seeds: int, tests: int, command: str) -> list[str]:
    machine, first, count = shared.receipt()["machine"], shared.config.seed, shared.facts("intake")["count"]
    hardware, today = f"{machine['cores']} cores of {machine['processor']}", datetime.date.today().isoformat()
    return [
        f"Measured on {today} on {hardware}: `{command}`.",
        f"{count} photos, {tests / seeds:g} of them tested with {'each of ' if seeds > 1 else ''}"
        f"{paired.say_seeds(first, seeds)}; weights: {shared.facts('restore')['kind']}.",
    ]
