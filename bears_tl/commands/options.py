"""Options shared by several verbs, and the command line that reports quote."""

import argparse
import os
import shlex
import sys


def path(word: str) -> str:
    """Read a path from the command line; a shell leaves the ~ in `--to=~/x` to the program."""
    return os.path.expanduser(word)


def add_run(parser: argparse.ArgumentParser, required: bool = True, help: str = "") -> None:
    """Add the run directory."""
    help = help or "run directory, for example runs/sample"
    parser.add_argument("--run", type=path, required=required, metavar="RUN", help=help)


def add_set(parser: argparse.ArgumentParser, help: str = "settings; `bears settings` lists them") -> None:
    """Add changed settings."""
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help=help)


def add_budget(parser: argparse.ArgumentParser) -> None:
    """Add the training budget of a network from scratch: seconds or epochs."""
    budget = parser.add_mutually_exclusive_group()
    time = "training time of a network from scratch (default: the time of the transfer run)"
    budget.add_argument("--seconds", type=float, metavar="S", help=time)
    budget.add_argument(
        "--epochs", type=int, metavar="N", help="train for N epochs instead; the result is reproducible"
    )


def command_line() -> str:
    """Give the command line of this process, quoted for a shell."""
    return shlex.join(["bears", *sys.argv[1:]])
