"""Run every stage, from the photos to judged predictions."""


def add(parser) -> None:
    parser.epilog = "Settings and their meanings: bears_tl/config.py. For example: --set epochs=50 --set photos=birds"
    parser.add_argument("--config", metavar="YAML", help="settings; without it, those of the run, or the defaults")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting; may be repeated")
    parser.add_argument("--run", metavar="RUN", help="run directory; short for --set run=RUN")


def run(options) -> None:
    from bears_tl.pipeline import stages
    from bears_tl.pipeline.run import Run, settings_from

    stages.run_all(Run(settings_from(options.config, options.set, options.run)))
