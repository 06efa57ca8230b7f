"""List every setting: its value, what it may be, what it means."""

from bears_tl.commands.options import add_run

EXAMPLE = "bears settings --run runs/sample"


def add(parser) -> None:
    add_run(parser, required=False, help="show the values of this run, and mark those that differ from the defaults")


def run(options) -> None:
    from bears_tl.config import SUBJECTS, RunConfig, allowed, deciding
    from bears_tl.pipeline.run import Run

    defaults = RunConfig().as_dict()
    values = Run.open(options.run).config.as_dict() if options.run else defaults
    for subject, title in SUBJECTS.items():
        print(title)
        for name in deciding(subject):
            changed = values[name] != defaults[name]
            notes = [allowed(name)] + [f"default: {_shown(defaults[name])}"] * changed
            print(f"{'*' if changed else ' '} {name} = {_shown(values[name])}", end="")
            print(f" ({'; '.join(filter(None, notes))})" if any(notes) else "")
            print(f"      {RunConfig.__dataclass_fields__[name].metadata['help']}")
    if options.run:
        print("* differs from the default")


def _shown(value) -> str:
    """Write a value as in YAML."""
    return str(value).lower() if isinstance(value, bool) else str(value)
