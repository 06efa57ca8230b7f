"""The command line: each verb a thin call; a user's mistake is one line on stderr and an exit status."""

import argparse
import os
import sys

from bears_tl.errors import InputError


def main(arguments: list[str] | None = None) -> int:
    """Run a command line.

    Returns:
        Exit status: 0, 2 for bad input, 3 for something not reachable, 130 when interrupted.
    """
    for stream in (sys.stdout, sys.stderr):  # names of files may hold bytes that are no text
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up notes say nothing to a user
    try:
        return options.verb(options) or 0
    except InputError as error:
        print(f"bears: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("bears: interrupted; what was finished is kept, run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    from bears_tl import __doc__ as summary

    parser = argparse.ArgumentParser("bears", description=summary)
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")

    verb = _verb(verbs, "fetch", _fetch, "bring photos to a folder of class folders")
    verb.add_argument("source", metavar="SOURCE", help="sample, an archive (path or URL), or a Google Drive id")
    verb.add_argument("--to", required=True, metavar="FOLDER", help="a folder that is not there yet")
    verb.add_argument("--sha256", metavar="HEX", help="refuse an archive with another SHA-256")

    verb = _verb(verbs, "open-images", _open_images, "build a photo folder with licences from Open Images V7")
    verb.add_argument("--to", required=True, metavar="FOLDER", help="a folder that is not there yet")
    verb.add_argument("--config", default="configs/open_images.yaml", metavar="YAML", help="default: %(default)s")
    verb.add_argument("--per-class", type=int, metavar="N", help="at most so many photos a class")
    verb.add_argument(
        "--class", dest="classes", nargs="+", action="extend", metavar="NAME",
        help="a class of Open Images in place of the config's; FOLDER=NAME gives its folder another name",
    )  # fmt: skip

    verb = _verb(verbs, "intake", _intake, "judge every file of a photo folder: photos.csv and quarantine.csv")
    verb.add_argument("folder", metavar="FOLDER")
    _run_option(verb)

    _run_option(_verb(verbs, "split", _split, "divide the photos into train, val and test: splits.csv"))
    verb = _verb(verbs, "features", _features, "run the photos through the body once and cache their features")
    what = verb.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", metavar="RUN", help="run directory, for example runs/sample")
    what.add_argument("--info", action="store_true", help="list what the cache holds, and compute nothing")
    verb.add_argument("--engine", choices=("local", "ray"), default="local", help="this process, or a cluster of Ray")
    verb.add_argument("--address", metavar="HOST:PORT", help="of the Ray cluster; without it, Ray's own rules hold")
    verb.add_argument(
        "--photos-url", metavar="URL", help="read the photos from a copy of the folder, for example s3://bucket/folder"
    )

    verb = _verb(verbs, "prune", _prune, "remove cached features and bodies that no run to keep uses")
    verb.add_argument(
        "--keep", nargs="+", required=True, metavar="RUN", help="run directories or folders of them: runs/*"
    )

    verb = _verb(verbs, "train", _train, "walk every stage, from the photos to judged predictions")
    verb.epilog = "Settings and their meanings: bears_tl/config.py. For example: --set epochs=50 --set photos=birds"
    verb.add_argument("--config", metavar="YAML", help="settings; without it, those of the run, or the defaults")
    verb.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting; may be repeated")
    verb.add_argument("--run", metavar="RUN", help="run directory; short for --set run=RUN")

    verb = _verb(verbs, "compare", _compare, "measure what settings bring: trials against a base, over seeds")
    verb.add_argument("--config", metavar="YAML", help="the base's settings; without it, the defaults")
    verb.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one of them; may be repeated")
    verb.add_argument(
        "--try", dest="trials", action="append", required=True, metavar="'KEY=VALUE ...'",
        help="a trial: the base with these settings in place of its own; may be repeated",
    )  # fmt: skip
    verb.add_argument("--seeds", type=int, default=5, metavar="N", help="from the base's seed on; default: %(default)s")
    verb.add_argument("--to", required=True, metavar="NAME.csv", help="the table; NAME.md and NAME.png lie beside it")
    verb.add_argument("--run", metavar="FOLDER", help="where the trained runs lie; default: runs/compare/NAME")

    verb = _verb(verbs, "as-2019", _as_2019, "run the article's procedure, and what each of its faults costs")
    _run_option(verb)
    verb.add_argument("--seeds", type=int, default=5, metavar="N", help="from 0 on; default: %(default)s")
    verb.add_argument(
        "--turns",
        nargs="+",
        metavar="SWITCH",
        help="turned to good practice one at a time: batch_norm, dropout, train_views, test_views, split, drawing, "
        "mean, or all together: all; default: each",
    )
    verb.add_argument("--to", metavar="NAME.csv", help="NAME.md and NAME.png, too; default: RUN/as_2019/as_2019.csv")

    _run_option(_verb(verbs, "evaluate", _evaluate, "judge a run's predictions: metrics.json and figures"))

    verb = _verb(verbs, "ladder", _ladder, "fine-tune a trained run, from its head down: ladder.csv and a figure")
    _run_option(verb)
    verb.add_argument("--rungs", nargs="+", metavar="RUNG", help="head, mixed_7c ... mixed_5b, all; default: each")

    verb = _verb(verbs, "scratch", _scratch, "train a small network from scratch on a trained run's photos")
    _run_option(verb)
    _budget_options(verb)

    verb = _verb(
        verbs, "learning-curves", _learning_curves, "both roads with few photos, more, and all: what transfer buys"
    )
    _run_option(verb)
    verb.add_argument(
        "--sizes", type=int, nargs="+", default=[5, 10, 20, 50], metavar="N",
        help="training photos a class, besides all; default: 5 10 20 50",
    )  # fmt: skip
    verb.add_argument("--seeds", type=int, default=3, metavar="N", help="from the run's on; default: %(default)s")
    _budget_options(verb)

    verb = _verb(verbs, "predict", _predict, "classify photos with a trained run")
    verb.add_argument("photos", nargs="+", metavar="FILE_OR_FOLDER")
    _run_option(verb)
    verb.add_argument("--json", action="store_true", help="print JSON, one object a photo")

    verb = _verb(verbs, "benchmark", _benchmark, "measure this against other roads to features, and write a table")
    verb.add_argument(
        "--photos", default="sample", metavar="SOURCE", help="like the setting photos; default: %(default)s"
    )
    verb.add_argument(
        "--checkpoint", default="random", metavar="SOURCE", help="like the setting checkpoint; default: %(default)s"
    )
    verb.add_argument("--peers", action="store_true", help="also OpenVINO and ONNX Runtime, the extra `bench`")
    verb.add_argument("--full", action="store_true", help="the article's loop as a whole, not extrapolated: minutes")
    verb.add_argument("--rounds", type=int, default=3, metavar="N", help="measure each so often; default: %(default)s")
    verb.add_argument("--profile", action="store_true", help="only show where the seconds of `bears train` go")
    verb.add_argument("--to", default="results", metavar="FOLDER", help="default: %(default)s")
    return parser


def _verb(verbs, name: str, function, summary: str) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    verb.set_defaults(verb=function)
    return verb


def _run_option(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--run", required=True, metavar="RUN", help="run directory, for example runs/sample")


def _budget_options(verb: argparse.ArgumentParser) -> None:
    budget = verb.add_mutually_exclusive_group()
    budget.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help="time for a network from scratch; default: what the transfer run takes",
    )
    budget.add_argument("--epochs", type=int, metavar="N", help="so many in place of a time; the same bits each time")


def _fetch(options) -> None:
    from pathlib import Path

    from bears_tl.photos.fetch import fetch_to

    print(fetch_to(options.source, Path(options.to), sha256=options.sha256))


def _open_images(options) -> None:
    from bears_tl.photos.open_images.build import build, load

    recipe = load(options.config, per_class=options.per_class, classes=options.classes)
    for harvest in build(recipe, options.to):
        print(harvest.sentence())


def _intake(options) -> None:
    from bears_tl.pipeline import stages
    from bears_tl.pipeline.run import Run

    run = Run.open_or_start(options.run, photos=options.folder)
    stages.fetch(run)
    taken = stages.intake(run)
    print(f"{len(taken.photos)} photos, {len(taken.quarantined)} quarantined: {run.path('photos.csv')}")


def _split(options) -> None:
    from bears_tl.pipeline import artifacts, stages
    from bears_tl.pipeline.run import Run

    run = Run.open(options.run)
    stages.split(run)
    counts = ", ".join(f"{len(rows)} {name}" for name, rows in artifacts.split_rows(run).items())
    print(f"{counts}: {run.path('splits.csv')}")


def _features(options) -> None:
    from bears_tl.pipeline import stages
    from bears_tl.pipeline.run import Run

    if options.info:
        _describe_cache()
        return
    run = Run.open(options.run)
    found = stages.features(run, stages.restore(run), options.engine, options.address, options.photos_url)
    print(", ".join(f"{rows.shape[0]} x {rows.shape[1]} {name}" for name, rows in found.items()), "views are cached")


def _describe_cache() -> None:
    from bears_tl.features.cache import describe
    from bears_tl.pipeline import artifacts

    found = describe(artifacts.cache_folder())
    for row in found:
        size = f"{row['bytes'] / 1e6:,.1f} MB"
        print(f"{row['name']}: {row['rows']:,} features of one view each in {row['shards']:,} shards, {size}")
    if not found:
        print(f"no features in {str(artifacts.cache_folder())!r} yet")


def _prune(options) -> None:
    from bears_tl.pipeline.pruning import prune
    from bears_tl.pipeline.run import Run

    for row in prune(Run.open_all(options.keep)):
        print(f"{row['name']}: {row['removed']:,} removed, {row['kept']:,} kept")


def _train(options) -> None:
    from bears_tl.pipeline import stages
    from bears_tl.pipeline.run import Run, settings_from

    stages.run_all(Run(settings_from(options.config, options.set, options.run)))


def _compare(options) -> None:
    import shlex
    from pathlib import Path

    from bears_tl import config as settings
    from bears_tl.studies import comparison

    config = settings.load(options.config) if options.config else settings.RunConfig()
    config = config.replace(**settings.parse_settings(options.set))
    command = shlex.join(["bears", *sys.argv[1:]])
    comparison.compare(config, options.trials, options.seeds, options.to, options.run, command)
    print(Path(options.to).with_suffix(".md").read_text(encoding="utf-8"), end="")


def _as_2019(options) -> None:
    import shlex

    from bears_tl.article import reproduction
    from bears_tl.pipeline.run import Run

    run, command = Run.open(options.run), shlex.join(["bears", *sys.argv[1:]])
    to = options.to or run.path("as_2019") / "as_2019.csv"
    print(reproduction.write(run, options.seeds, options.turns, to, command), end="")


def _evaluate(options) -> None:
    from bears_tl.judging.metrics import sentence
    from bears_tl.pipeline import stages
    from bears_tl.pipeline.run import Run

    run = Run.open(options.run)
    result = stages.evaluate(run)
    print(f"test: {sentence(result['test'])}")
    for warning in result["warnings"]:
        print(f"warning: {warning}")
    if run.notice():
        print(run.notice())


def _ladder(options) -> None:
    from bears_tl.pipeline.run import Run
    from bears_tl.studies.ladder import climb

    run = Run.open(options.run)
    climb(run, options.rungs)
    print(f"{run.path('ladder.csv')}, {run.path('ladder.png')}")
    if run.notice():
        print(run.notice())


def _scratch(options) -> None:
    from bears_tl.judging.metrics import sentence
    from bears_tl.pipeline.run import Run
    from bears_tl.studies import scratch

    run = Run.open(options.run)
    result = scratch.train(run, options.seconds, options.epochs)
    print(
        f"{result['parameters']:,} parameters, {result['epochs']} of {result['planned_epochs']} planned epochs", end=""
    )
    print(f" in {result['seconds']:.1f} s; the same again: --epochs {result['planned_epochs']}")
    print(f"test: {sentence(result['test'])}")


def _learning_curves(options) -> None:
    from bears_tl.pipeline.run import Run
    from bears_tl.studies import learning_curves

    run = Run.open(options.run)
    learning_curves.measure(run, options.sizes, options.seeds, options.seconds, options.epochs)
    print(f"{run.path('learning_curves.csv')}, {run.path('what_transfer_buys.png')}")
    if run.notice():
        print(run.notice())


def _predict(options) -> int:
    import json

    from bears_tl.judging.predictions import class_names_of, probabilities_of
    from bears_tl.pipeline.run import Run
    from bears_tl.serving.predictor import find_photos, predict

    run = Run.open(options.run)
    rows, unreadable = predict(run, find_photos(options.photos))
    if run.notice():
        print(f"bears: {run.notice()}", file=sys.stderr)
    class_names = class_names_of(rows) if rows else []
    for row, shares in zip(rows, probabilities_of(rows, class_names).astype(float), strict=True):
        if options.json:
            named = dict(zip(class_names, shares.tolist(), strict=True))
            print(json.dumps({"path": row["path"], "predicted": row["predicted"], "probabilities": named}))
        else:
            print(f"{row['path']}: {row['predicted']} {shares.max():.1%}")
    for row in unreadable:
        print(f"bears: {row['path']!r} is not a readable photo ({row['detail']})", file=sys.stderr)
    return InputError.exit_status if unreadable else 0


def _benchmark(options) -> None:
    from pathlib import Path

    from bears_tl.bench import benchmark

    if options.profile:
        print(benchmark.profile(options.photos, options.checkpoint, options.to), end="")
        return
    benchmark.run(options.photos, options.checkpoint, options.peers, options.full, options.rounds, options.to)
    print(Path(options.to, "benchmark.md").read_text(encoding="utf-8"), end="")
