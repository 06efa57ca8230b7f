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
    from bears_tl.pipeline import artifacts
    from bears_tl.pipeline.run import Run
    from bears_tl.serving.predictor import Predictor, find_photos

    run, photos = Run.open(options.run), find_photos(options.photos)
    predictor, status, answered, unknown = Predictor.load(run, options.model), 0, 0, 0
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
        answered, unknown = answered + 1, unknown + (row.get("known") == "false")
        if options.json:
            answer = {"path": row["path"], "predicted": row["predicted"], "probabilities": named}
            if "known" in row:
                answer |= {"known": row["known"] == "true", "strangeness": float(row["strangeness"])}
            print(json.dumps(answer), flush=True)
        else:
            best, second = sorted(named, key=named.get, reverse=True)[:2]
            shown = f"{best} {_percent(named[best])} ({second} {_percent(named[second])})"
            is_stranger = row.get("known") == "false"
            shown = f"not like the training photos, otherwise {shown}" if is_stranger else shown
            print(f"{row['path']}: {shown}", flush=True)
    if answered > 1 and unknown:
        usual = artifacts.share_of_unknown(run, "val")
        print(
            f"bears: {unknown / answered:.0%} of {answered} photos are not like the training photos; in validation it "
            f"was {usual:.0%}",
            file=sys.stderr,
        )
    return status


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
