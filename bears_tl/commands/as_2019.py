"""Run the 2019 procedure, with each choice replaced in turn."""

from bears_tl.commands.options import add_run, command_line, path

EXAMPLE = "bears as-2019 --run runs/sample --seeds 1 --switches batch_norm mean"


def add(parser) -> None:
    add_run(parser)
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="use seeds 0 to N - 1 (default: %(default)s)")
    parser.add_argument(
        "--switches", nargs="+", metavar="SWITCH",
        help="the choices to replace with current practice, one at a time: batch_norm, dropout, train_views, "
        "test_views, split, drawing, mean; or all, for all of them at once (default: each, then all)",
    )  # fmt: skip
    to = "also writes NAME.md and NAME.png (default: RUN/as_2019/as_2019.csv)"
    parser.add_argument("--to", type=path, metavar="NAME.csv", help=to)


def run(options) -> None:
    from bears_tl.article import reproduction
    from bears_tl.pipeline.run import Run

    run = Run.open(options.run)
    to = options.to or run.path("as_2019") / "as_2019.csv"
    print(reproduction.write(run, options.seeds, options.switches, to, command_line()), end="")
