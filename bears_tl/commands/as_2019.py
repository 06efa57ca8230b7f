"""Run the article's procedure, and what each of its faults costs."""

from bears_tl.commands.options import add_run, command_line


def add(parser) -> None:
    add_run(parser)
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="from 0 on; default: %(default)s")
    parser.add_argument(
        "--turns", nargs="+", metavar="SWITCH",
        help="changed to good practice one at a time: batch_norm, dropout, train_views, test_views, split, drawing, "
        "mean, or all together: all; default: each",
    )  # fmt: skip
    parser.add_argument("--to", metavar="NAME.csv", help="NAME.md and NAME.png, too; default: RUN/as_2019/as_2019.csv")


def run(options) -> None:
    from bears_tl.article import reproduction
    from bears_tl.pipeline.run import Run

    run = Run.open(options.run)
    to = options.to or run.path("as_2019") / "as_2019.csv"
    print(reproduction.write(run, options.seeds, options.turns, to, command_line()), end="")
