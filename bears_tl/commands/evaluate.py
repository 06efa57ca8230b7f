"""Evaluate a run: metrics.json and figures."""

from bears_tl.commands.options import add_run as add  # noqa: F401

EXAMPLE = "bears evaluate --run runs/sample"


def run(options) -> None:
    from bears_tl.judging.metrics import sentence
    from bears_tl.pipeline import stages
    from bears_tl.pipeline.run import Run

    run = Run.open(options.run)
    result = stages.evaluate(run)
    print(f"test: {sentence(result['test'])}")
    for warning in result["warnings"]:
        print(f"warning: {warning}")
    if run.notice():
        print(run.notice())
