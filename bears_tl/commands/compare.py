"""Compare settings with a base over several seeds."""

from bears_tl.commands.options import add_set, command_line, path

EXAMPLE = "bears compare --try 'epochs=10 patience=10' --to epochs.csv"


def add(parser) -> None:
    config = "settings of the base (default: the built-in defaults)"
    parser.add_argument("--config", type=path, metavar="YAML", help=config)
    add_set(parser, "settings of the base")
    parser.add_argument(
        "--try", dest="trials", action="append", required=True, metavar="'KEY=VALUE ...'",
        help="a trial: the base with these settings changed; repeatable",
    )  # fmt: skip
    seeds = "number of seeds, counted from the base's seed (default: %(default)s)"
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help=seeds)
    to = "the table; NAME.md and NAME.png are written next to it"
    parser.add_argument("--to", type=path, required=True, metavar="NAME.csv", help=to)
    folder = "folder of the trained runs (default: runs/compare/NAME)"
    parser.add_argument("--run", type=path, metavar="FOLDER", help=folder)


def run(options) -> None:
    from pathlib import Path

    from bears_tl import config as settings
    from bears_tl.studies import comparison

    config = settings.load(options.config) if options.config else settings.RunConfig()
    config = config.replace(**settings.parse_settings(options.set))
    comparison.compare(config, options.trials, options.seeds, options.to, options.run, command_line())
    print(Path(options.to).with_suffix(".md").read_text(encoding="utf-8"), end="")
