"""The command line: its verbs; a user's mistake is one line on stderr and an exit status."""

import argparse
import importlib
import os
import sys

from bears_tl.errors import InputError

VERBS = (  # in the order of `bears --help`; bears_tl/commands has a file of each
    "fetch", "open-images", "intake", "split", "features", "prune", "train", "compare", "as-2019", "evaluate", "ladder",
    "scratch", "learning-curves", "predict", "benchmark",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run a command line.

    Returns:
        Exit status: 0, 2 for bad input, 3 for something not reachable, 130 when interrupted.
    """
    for stream in (sys.stdout, sys.stderr):  # names of files may hold bytes that are no text
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up notes say nothing to a user
    try:
        return options.run_verb(options) or 0
    except InputError as error:
        print(f"bears: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("bears: interrupted; what was finished is kept, run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    from bears_tl import __doc__ as summary

    parser = argparse.ArgumentParser("bears", description=summary)
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    for name in VERBS:
        command = importlib.import_module(f"bears_tl.commands.{name.replace('-', '_')}")
        about = command.__doc__
        verb = verbs.add_parser(name, help=f"{about[0].lower()}{about[1:].removesuffix('.')}", description=about)
        verb.set_defaults(run_verb=command.run)
        command.add(verb)
    return parser
