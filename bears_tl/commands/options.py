"""Options that several verbs have, and how a verb's command line is quoted in what it writes."""

import argparse
import shlex
import sys


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the run directory."""
    parser.add_argument("--run", required=True, metavar="RUN", help="run directory, for example runs/sample")


def add_budget(parser: argparse.ArgumentParser) -> None:
    """Add how long a network from scratch is trained: a time or a number of epochs."""
    budget = parser.add_mutually_exclusive_group()
    time = "time for a network from scratch; default: what the transfer run takes"
    budget.add_argument("--seconds", type=float, metavar="S", help=time)
    budget.add_argument("--epochs", type=int, metavar="N", help="so many in place of a time; the same bits each time")


def command_line() -> str:
    """Quote the command line of this process."""
    return shlex.join(["bears", *sys.argv[1:]])
