"""Options shared by several verbs, and the command line that reports quote."""

import argparse
import shlex
import sys


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the run directory."""
    parser.add_argument("--run", required=True, metavar="RUN", help="run directory, for example runs/sample")


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
