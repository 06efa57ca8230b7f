"""Split the photos into train, val and test: splits.csv."""

from bears_tl.commands.options import add_run as add  # noqa: F401

EXAMPLE = "bears split --run runs/sample"


def run(options) -> None:
    from bears_tl.pipeline import artifacts, stages
    from bears_tl.pipeline.run import Run

    run = Run.open(options.run)
    stages.split(run)
    counts = ", ".join(f"{len(rows)} {name}" for name, rows in artifacts.split_rows(run).items())
    print(f"{counts}: {run.path('splits.csv')}")
