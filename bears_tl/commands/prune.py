"""Delete cached features that the runs you keep do not use."""

from bears_tl.commands.options import path

EXAMPLE = "bears prune --keep runs/*"


def add(parser) -> None:
    which = "run directories, or folders that contain them; what they use stays in the cache"
    parser.add_argument("--keep", type=path, nargs="+", required=True, metavar="RUN", help=which)


def run(options) -> None:
    from bears_tl.pipeline.pruning import prune
    from bears_tl.pipeline.run import Run

    for row in prune(Run.open_all(options.keep)):
        print(f"{row['name']}: {row['removed']:,} removed, {row['kept']:,} kept")
