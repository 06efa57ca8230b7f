"""Write a run as files for other programs, with a proof."""

from bears_tl.commands.options import add_run, path

EXAMPLE = "bears export --run runs/sample --to exported"


def add(parser) -> None:
    add_run(parser)
    parser.add_argument("--to", type=path, required=True, metavar="FOLDER", help="a new or empty folder")


def run(options) -> None:
    from bears_tl.export.export import export
    from bears_tl.pipeline.run import Run

    print(export(Run.open(options.run), options.to))
