"""Sort photos into class folders, and set doubtful ones aside."""

import collections
import os
import sys

from bears_tl.commands.options import add_run, path
from bears_tl.errors import InputError

EXAMPLE = "bears sort my_photos --run runs/sample --to sorted"
_SHOWN = 10  # unsure photos that are listed


def add(parser) -> None:
    parser.add_argument("folder", type=path, metavar="FOLDER", help="photos to sort; they are only read")
    add_run(parser)
    out = "new or empty folder; or one of an earlier call, which is continued"
    parser.add_argument("--to", type=path, required=True, metavar="OUT", help=out)
    parser.add_argument("--link", action="store_true", help="make symbolic links instead of copies")
    review = "list the unsure photos, the most useful ones first, and say how to correct them"
    parser.add_argument("--review", action="store_true", help=review)


def run(options) -> int:
    from bears_tl.judging.names import visible
    from bears_tl.pipeline.run import Run
    from bears_tl.serving import sorting
    from bears_tl.serving.predictor import Predictor

    run, status = Run.open(options.run), 0
    predictor = Predictor.load(run)
    if run.notice():
        print(f"bears: {run.notice()}", file=sys.stderr)
    for row in sorting.sort(run, predictor, options.folder, options.to, options.link):
        if "error" in row or "taken" in row:
            why = f"is not a readable photo ({row['error']})" if "error" in row else f"would replace {row['taken']!r}"
            print(f"bears: {row['path']!r} {why}; it was not sorted", file=sys.stderr)
            status = InputError.exit_status
    places = (row[sorting.PLACE] for row in sorting.sorted_rows(predictor, options.to))
    counts = collections.Counter(place.split(os.sep)[0] for place in places if place)
    for name, count in sorted(counts.items()):
        print(f"{visible(name)}: {count}")
    print(f"{sum(counts.values())} photos in {options.to}; an answer is sure from {sorting.sure_from(run):.1%} on")
    if options.review:
        _review(run, sorting.unsure_first(predictor, options.to), options.to)
    return status


def _review(run, rows: list[dict], out: str) -> None:
    from bears_tl.judging.names import visible

    if not rows:
        print("No photo is unsure.")
        return
    for row in rows[:_SHOWN]:
        print(f"{visible(row['path'])}: {row['doubt']}")
    if len(rows) > _SHOWN:
        print(f"and {len(rows) - _SHOWN} more")
    print(f"to correct them: run `make lab`, open 10_loop, set run = {str(run.folder)!r} and mine = {out!r}")
