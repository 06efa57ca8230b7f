"""Recompute a run; name the first thing that differs."""

from bears_tl.commands.options import path

EXAMPLE = "bears verify runs/sample"


def add(parser) -> None:
    parser.add_argument("run", type=path, metavar="RUN", help="run directory, for example runs/sample")
    parser.add_argument("--all", action="store_true", help="compute all features again (default: 64 views)")
    again = "train again in a temporary folder, with an empty cache, and compare"
    parser.add_argument("--rerun", action="store_true", help=again)


def run(options) -> None:
    from bears_tl.pipeline.run import Run
    from bears_tl.pipeline.verification import rerun, verify

    opened = Run.open(options.run)
    verify(opened, options.all)
    if options.rerun:
        rerun(opened)
