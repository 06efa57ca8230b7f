"""Classify photos with a trained run."""

import json
import sys

from bears_tl.commands.options import add_run
from bears_tl.errors import InputError

EXAMPLE = "bears predict my_photos/cat.jpg --run runs/sample"


def add(parser) -> None:
    parser.add_argument("photos", nargs="+", metavar="FILE_OR_FOLDER", help="photos or folders of photos")
    add_run(parser)
    models = "head, a rung of the ladder (ladder_head, mixed_7c ...) or scratch (default: %(default)s)"
    parser.add_argument("--model", default="head", metavar="NAME", help=models)
    parser.add_argument("--json", action="store_true", help="print one JSON object per file, in their order")


def run(options) -> int:
    from bears_tl.judging.predictions import probabilities_of
    from bears_tl.pipeline.run import Run
    from bears_tl.serving.predictor import Predictor, find_photos

    run, photos = Run.open(options.run), find_photos(options.photos)
    predictor, status = Predictor.load(run, options.model), 0
    if predictor.body and run.notice():
        print(f"bears: {run.notice()}", file=sys.stderr)
    for row in predictor.predict(photos):
        if "error" in row:
            print(f"bears: {row['path']!r} is not a readable photo ({row['error']}); it was skipped", file=sys.stderr)
            status = InputError.exit_status
            if options.json:
                print(json.dumps(row), flush=True)
            continue
        shares = probabilities_of([row], predictor.class_names)[0].astype(float).tolist()
        named = dict(zip(predictor.class_names, shares, strict=True))
        if options.json:
            answer = {"path": row["path"], "predicted": row["predicted"], "probabilities": named}
            print(json.dumps(answer), flush=True)
        else:
            best, second = sorted(named, key=named.get, reverse=True)[:2]
            print(f"{row['path']}: {best} {_percent(named[best])} ({second} {_percent(named[second])})", flush=True)
    return status


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
