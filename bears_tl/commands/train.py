"""Run every stage, from photos to evaluated predictions."""

EXAMPLE = "bears train --set photos=my_photos --set epochs=50 --run runs/mine"


def add(parser) -> None:
    parser.add_argument(
        "--config", metavar="YAML", help="settings file (default: an existing run's settings, else built-in)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one setting; repeatable; bears_tl/config.py lists them",
    )
    parser.add_argument("--run", metavar="RUN", help="run directory; short for --set run=RUN")


def run(options) -> None:
    from bears_tl.pipeline import stages
    from bears_tl.pipeline.run import Run, settings_from

    stages.run_all(Run(settings_from(options.config, options.set, options.run)))
