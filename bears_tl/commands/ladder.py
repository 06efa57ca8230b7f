"""Fine-tune a trained run block by block: ladder.csv, figure."""

from bears_tl.commands.options import add_run

EXAMPLE = "bears ladder --run runs/sample --rungs head mixed_7c"


def add(parser) -> None:
    add_run(parser)
    parser.add_argument(
        "--rungs", nargs="+", metavar="RUNG", help="head, mixed_7c ... mixed_5b, all (default: every rung)"
    )


def run(options) -> None:
    from bears_tl.pipeline.run import Run
    from bears_tl.studies.ladder import climb

    run = Run.open(options.run)
    climb(run, options.rungs)
    print(f"{run.path('ladder.csv')}, {run.path('ladder.png')}")
    if run.notice():
        print(run.notice())
