"""Train a small network from scratch on a run's photos."""

from bears_tl.commands.options import add_budget, add_run

EXAMPLE = "bears scratch --run runs/sample"


def add(parser) -> None:
    add_run(parser)
    add_budget(parser)


def run(options) -> None:
    from bears_tl.judging.metrics import sentence
    from bears_tl.pipeline.run import Run
    from bears_tl.studies import scratch

    result = scratch.train(Run.open(options.run), options.seconds, options.epochs)
    planned = result["planned_epochs"]
    print(f"{result['parameters']:,} parameters, {result['epochs']} of {planned} planned epochs", end="")
    print(f" in {result['seconds']:.1f} s; to repeat it exactly: --epochs {planned}")
    print(f"test: {sentence(result['test'])}")
