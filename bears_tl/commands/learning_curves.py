"""Compare transfer and scratch as training photos increase."""

from bears_tl.commands.options import add_budget, add_run

EXAMPLE = "bears learning-curves --run runs/sample --sizes 5 10 --seeds 1"


def add(parser) -> None:
    add_run(parser)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[5, 10, 20, 50], metavar="N",
        help="training photos per class; all photos always come last (default: 5 10 20 50)",
    )  # fmt: skip
    seeds = "number of seeds, counted from the run's seed (default: %(default)s)"
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help=seeds)
    add_budget(parser)


def run(options) -> None:
    from bears_tl.pipeline.run import Run
    from bears_tl.studies import learning_curves

    run = Run.open(options.run)
    learning_curves.measure(run, options.sizes, options.seeds, options.seconds, options.epochs)
    print(f"{run.path('learning_curves.csv')}, {run.path('what_transfer_buys.png')}")
    if run.notice():
        print(run.notice())
