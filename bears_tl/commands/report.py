"""Write one HTML page about a run, finished or not."""

from bears_tl.commands.options import add_run

EXAMPLE = "bears report --run runs/sample"


def add(parser) -> None:
    add_run(parser)


def run(options) -> None:
    from bears_tl.pipeline.run import Run
    from bears_tl.report.page import write

    print(write(Run.open(options.run)))
