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
    parser.add_argument("--json", action="store_true", help="print one JSON object per photo")


def run(options) -> int:
    from bears_tl.judging.predictions import probabilities_of
    from bears_tl.pipeline.run import Run
    from bears_tl.serving.predictor import Predictor, find_photos

    run, photos = Run.open(options.run), find_photos(options.photos)
    predictor = Predictor.load(run, options.model)
    rows, unreadable = predictor.predict(photos)
    if predictor.body and run.notice():
        print(f"bears: {run.notice()}", file=sys.stderr)
    for row, shares in zip(rows, probabilities_of(rows, predictor.class_names).astype(float), strict=True):
        if options.json:
            named = dict(zip(predictor.class_names, shares.tolist(), strict=True))
            print(json.dumps({"path": row["path"], "predicted": row["predicted"], "probabilities": named}))
        else:
            print(f"{row['path']}: {row['predicted']} {shares.max():.1%}")
    for row in unreadable:
        print(f"bears: {row['path']!r} is not a readable photo ({row['detail']}); it was skipped", file=sys.stderr)
    return InputError.exit_status if unreadable else 0
