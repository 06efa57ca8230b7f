"""Evaluate a run: metrics.json, figures and report.html."""

from bears_tl.commands.options import add_run, path

EXAMPLE = "bears evaluate --run runs/sample"


def add(parser) -> None:
    add_run(parser)
    other = "another run: say which is better on the test photos that both have"
    parser.add_argument("--compare", type=path, metavar="RUN", help=other)
    folds = "also judge all photos, each by a head trained on the other N - 1 parts of them"
    parser.add_argument("--folds", type=int, metavar="N", help=folds)


def run(options) -> None:
    from bears_tl.errors import InputError
    from bears_tl.judging.metrics import sentence
    from bears_tl.pipeline import evaluation
    from bears_tl.pipeline.run import Run
    from bears_tl.report import page

    if options.folds is not None and not 2 <= options.folds <= 100:
        raise InputError(f"--folds {options.folds} is out of range, expected 2 to 100")
    run, other = Run.open(options.run), options.compare and Run.open(options.compare)
    result = evaluation.evaluate(run)
    page.write(run)
    print(f"test: {sentence(result['test'])}")
    if options.folds:
        print(f"{options.folds} folds: {sentence(evaluation.cross_validate(run, options.folds))}")
    if other:
        print(evaluation.compare(run, other))
    for warning in result["warnings"]:
        print(f"warning: {warning}")
    if run.notice():
        print(run.notice())
    evaluation.check_limits(result)
