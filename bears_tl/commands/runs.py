"""List runs with their results, the newest first."""

from bears_tl.commands.options import path

EXAMPLE = "bears runs runs"


def add(parser) -> None:
    help = "folder that holds runs (default: runs)"
    parser.add_argument("folder", type=path, nargs="?", default="runs", metavar="FOLDER", help=help)


def run(options) -> None:
    from bears_tl.pipeline.listing import list_runs

    rows = list_runs(options.folder)
    width = max(len(row["run"]) for row in rows)
    for row in rows:
        print(f"{row['ended']}  {row['run']:<{width}}  {'; '.join(filter(None, (row['result'], row['fault'])))}")
