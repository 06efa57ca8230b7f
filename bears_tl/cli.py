"""The command line. A user's mistake is reported as one line on stderr and an exit status."""

import argparse
import importlib
import os
import sys

from bears_tl.errors import InputError

GROUPS = {  # title to verbs, in the order of `bears --help`; each verb has a file in bears_tl/commands
    "Walk, from photos to predictions": (
        "fetch", "open-images", "intake", "split", "features", "train", "evaluate", "predict",
    ),
    "Studies": (
        "compare", "ladder", "scratch", "learning-curves", "as-2019", "benchmark",
    ),
    "Upkeep": ("prune",),
}  # fmt: skip
VERBS = tuple(verb for verbs in GROUPS.values() for verb in verbs)
_EXAMPLE_VERBS = ("train", "compare", "prune")  # the example shown below each group


def main(arguments: list[str] | None = None) -> int:
    """Run a command line.

    Returns:
        Exit status: 0, 2 for bad input, 3 for something not reachable, 130 when interrupted.
    """
    for stream in (sys.stdout, sys.stderr):  # file names may contain bytes that are not valid text
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    options = make_parser().parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hide TensorFlow's start-up messages
    try:
        return options.run_verb(options) or 0
    except InputError as error:
        print(f"bears: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("bears: interrupted; finished work is kept, run the same command again to continue", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def make_parser() -> argparse.ArgumentParser:
    """Build the parser of all verbs."""
    from bears_tl import __doc__ as summary

    commands = {verb: importlib.import_module(f"bears_tl.commands.{verb.replace('-', '_')}") for verb in VERBS}
    lines = [summary]
    for (title, verbs), shown in zip(GROUPS.items(), _EXAMPLE_VERBS, strict=True):
        lines += ["", f"{title}:", *(f"  {verb:<17}{commands[verb].__doc__}" for verb in verbs)]
        lines += [f"  Example: {commands[shown].EXAMPLE}"]
    parser = argparse.ArgumentParser(
        "bears",
        usage="bears [-h] VERB ...",
        description="\n".join(lines),
        epilog="`bears VERB --help` lists the options of a verb and shows an example.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(prog="bears", required=True, metavar="VERB", help=argparse.SUPPRESS)
    for verb, command in commands.items():
        subparser = subparsers.add_parser(
            verb,
            description=command.__doc__,
            epilog=f"Example: {command.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        subparser.set_defaults(run_verb=command.run)
        command.add(subparser)
    return parser
