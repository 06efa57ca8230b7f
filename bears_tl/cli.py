"""The command line. A user's mistake is reported as one line on stderr and an exit status."""

import argparse
import importlib
import os
import platform
import sys
import traceback
from typing import NoReturn

from bears_tl.config import did_you_mean
from bears_tl.errors import InputError, reason_of
from bears_tl.hardware import versions_of

GROUPS = {  # title to verbs, in the order of `bears --help`; each verb has a file in bears_tl/commands
    "Walk, from photos to predictions": (
        "fetch", "open-images", "intake", "split", "features", "train", "evaluate", "report", "predict", "sort", "app",
        "export",
    ),
    "Studies": (
        "compare", "ladder", "scratch", "learning-curves", "as-2019", "benchmark",
    ),
    "Upkeep": ("runs", "verify", "settings", "prune", "doctor"),
}  # fmt: skip
VERBS = tuple(verb for verbs in GROUPS.values() for verb in verbs)
_EXAMPLE_VERBS = ("train", "compare", "verify")  # the example shown below each group


def main(arguments: list[str] | None = None) -> int:
    """Run a command line.

    Returns:
        Exit status: 0, 2 for bad input, 3 for something not reachable, 4 for a limit that is not met, 130 when
        interrupted.
    """
    if arguments is None:
        restart_in_utf8()
        arguments = sys.argv[1:]
    for stream in (sys.stdout, sys.stderr):  # file names may contain bytes that are not valid text
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hide TensorFlow's start-up messages
    try:
        _check_verb(arguments)
        options = make_parser().parse_args(arguments)
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
    except Exception as error:
        if not (package := _failed_import(error)):
            raise
        print(f"bears: {package} ({reason_of(error)}): `bears doctor` says how to mend it", file=sys.stderr)
        return 2


def _failed_import(error: Exception) -> str:
    """Say which package could not be imported; "" if the error is of another kind.

    Broken packages raise more than ImportError while they are imported: AttributeError, TypeError, RuntimeError.
    """
    if isinstance(error, ImportError):
        return f"{(error.name or 'a package').partition('.')[0]} cannot be imported"
    for frame, _ in traceback.walk_tb(error.__traceback__):
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if frame.f_code.co_name == "<module>" and package != "bears_tl":  # a module's own code runs when it is imported
            return f"{package} cannot be imported"
    return ""


def restart_in_utf8() -> None:
    """Restart this process in UTF-8 mode if file names are not read as UTF-8 (LC_ALL=C, an old locale).

    The tables of a run are UTF-8. In another encoding, a name from a table would not be the name of the file.
    """
    if sys.getfilesystemencoding() != "utf-8":
        os.environ["PYTHONUTF8"] = "1"  # for the kernels of notebooks
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


class _Parser(argparse.ArgumentParser):
    """A parser that reports a mistake in one line, as everything else here does."""

    def error(self, message: str) -> NoReturn:
        """Raise the mistake.

        Raises:
            InputError: always.
        """
        words = message.partition("unrecognized arguments: ")[2].split()
        is_setting = words and "=" in words[0] and words[0][0] != "-"
        hint = f"; settings follow --set: --set {words[0]}" if is_setting else ""
        raise InputError(f"{message} (`{self.prog} --help` lists the options{hint})")


def _check_verb(arguments: list[str]) -> None:
    """Refuse an unknown verb; argparse would only list all of them."""
    verb = next((word for word in arguments if not word.startswith("-")), VERBS[0])
    if verb not in VERBS:
        raise InputError(f"unknown verb {verb!r}: {did_you_mean(verb, VERBS)}")


def make_parser() -> argparse.ArgumentParser:
    """Build the parser of all verbs."""
    from bears_tl import __doc__ as summary

    commands = {verb: importlib.import_module(f"bears_tl.commands.{verb.replace('-', '_')}") for verb in VERBS}
    lines = [summary]
    for (title, verbs), shown in zip(GROUPS.items(), _EXAMPLE_VERBS, strict=True):
        lines += ["", f"{title}:", *(f"  {verb:<17}{commands[verb].__doc__}" for verb in verbs)]
        lines += [f"  Example: {commands[shown].EXAMPLE}"]
    parser = _Parser(
        "bears",
        usage="bears [-h] [--version] VERB ...",
        description="\n".join(lines),
        epilog="`bears VERB --help` lists the options of a verb and shows an example.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    versions = versions_of("bears_tl") | {"Python": platform.python_version()} | versions_of("tensorflow")
    version = ", ".join(" ".join(pair) for pair in versions.items())
    parser.add_argument("--version", action="version", version=version, help="show the versions and exit")
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
