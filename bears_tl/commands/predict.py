"""Classify photos with a trained run."""

import json
import sys

from bears_tl.commands.options import add_run, path
from bears_tl.errors import InputError

EXAMPLE = "bears predict my_photos/cat.jpg --run runs/sample"


def add(parser) -> None:
    parser.add_argument("photos", nargs="+", metavar="FILE_OR_FOLDER", help="photos or folders of photos")
    add_run(parser)
    models = "head, a rung of the ladder (ladder_head, mixed_7c ...) or scratch (default: %(default)s)"
    parser.add_argument("--model", default="head", metavar="NAME", help=models)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--json", action="store_true", help="print one JSON object per file, in their order")
    to = "write a table, .csv or .jsonl, for any number of photos; run again to continue it"
    where.add_argument("--to", type=path, metavar="FILE", help=to)


def run(options) -> int:
    from bears_tl.pipeline import artifacts
    from bears_tl.pipeline.run import Run
    from bears_tl.serving.predictor import Predictor, find_photos

    run, photos = Run.open(options.run), find_photos(options.photos)
    predictor, status, answered, unknown = Predictor.load(run, options.model), 0, 0, 0
    if predictor.body and run.notice():
        print(f"bears: {run.notice()}", file=sys.stderr)
    show = _print_json if options.json else _print_line
    rows = _written(options, predictor) if options.to else predictor.predict(photos)
    for row in rows:
        if "error" in row:
            print(f"bears: {row['path']!r} is not a readable photo ({row['error']}); it was skipped", file=sys.stderr)
            status = InputError.exit_status
        else:
            answered, unknown = answered + 1, unknown + (row.get("known") == "false")
        if not options.to:
            show(row, predictor.class_names)
    if answered > 1 and unknown:
        usual = artifacts.share_of_unknown(run, "val")
        print(
            f"bears: {unknown / answered:.0%} of {answered} photos are not like the training photos; in validation it "
            f"was {usual:.0%}",
            file=sys.stderr,
        )
    return status


def _written(options, predictor):
    """Yield the rows of a table while they are written, with a progress bar; then print what was done."""
    from bears_tl.serving.ledger import Ledger
    from bears_tl.serving.predictor import find_photos

    count, errors = 0, 0
    with Ledger.opened(options.to, predictor) as answers:
        total = sum(1 for _ in find_photos(options.photos))  # walks the folders once more, to show how far it is
        for row in answers.to(find_photos(options.photos), total):
            answers.write(row)
            count, errors = count + 1, errors + ("error" in row)
            yield row
    before = f", {answers.skipped} answered before" if answers.skipped else ""
    print(f"{answers.path}: {count - errors} photos answered{before}" + f", {errors} not readable" * (errors > 0))


def _print_json(row: dict, class_names: list[str]) -> None:
    from bears_tl.serving.ledger import as_json

    print(json.dumps(as_json(row, class_names)), flush=True)


def _print_line(row: dict, class_names: list[str]) -> None:
    if "error" in row:
        return
    shares = {name: float(row[f"probability_{name}"]) for name in class_names}
    best, second = sorted(shares, key=shares.get, reverse=True)[:2]
    shown = f"{best} {_percent(shares[best])} ({second} {_percent(shares[second])})"
    is_stranger = row.get("known") == "false"
    shown = f"not like the training photos, otherwise {shown}" if is_stranger else shown
    print(f"{row['path']}: {shown}", flush=True)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
