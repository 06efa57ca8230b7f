"""Run every stage, from photos to a report."""

import os
import shlex
import shutil
import sys

from bears_tl.commands.options import add_run, add_set, path

EXAMPLE = "bears train --set photos=my_photos epochs=50 --run runs/mine"


def add(parser) -> None:
    config = "settings file (default: an existing run's settings, else built-in)"
    parser.add_argument("--config", type=path, metavar="YAML", help=config)
    add_set(parser)
    add_run(parser, required=False, help="run directory; short for --set run=RUN")


def run(options) -> None:
    from bears_tl.pipeline import evaluation, stages
    from bears_tl.pipeline.run import Run, settings_from
    from bears_tl.report import page

    run = Run(settings_from(options.config, options.set, options.run))
    result = stages.run_all(run)
    page.write(run)
    is_path = os.path.basename(sys.argv[0]) == "bears" and not shutil.which("bears")  # .venv is not activated
    print("\n".join(evaluation.summary(run, shlex.quote(sys.argv[0]) if is_path else "bears")))
    evaluation.check_limits(result)
