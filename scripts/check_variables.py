"""Refuse variables on make's command line that its targets do not take; make itself would ignore a misspelt one.

The Makefile calls it before it installs anything, so it uses only the standard library and bears_tl.config.
"""

import argparse
import difflib
import os
import sys

from bears_tl.config import RunConfig

TAKEN = {  # target to its variables; PYTHON serves every target that sets up .venv
    "train": ("CONFIG", "PHOTOS", "CHECKPOINT", "RUN", "SET"),
    "beyond": ("CONFIG", "RUN", "SET"),
    "bench": ("PHOTOS", "CHECKPOINT"),
}


def fault_of(name: str, value: str, targets: list[str]) -> str:
    """Return why a variable is refused and what to write instead; "" if one of the targets takes it."""
    taken = [variable for target in targets for variable in TAKEN.get(target, ())]
    taken = list(dict.fromkeys([*taken, "PYTHON"]))
    if name in taken:
        return ""
    if any(name in variables for variables in TAKEN.values()):
        return f"{name} is not used here: expected {', '.join(taken)}"
    variable = difflib.get_close_matches(name.upper(), taken, 1)
    setting = difflib.get_close_matches(name.lower(), RunConfig().as_dict(), 1, cutoff=0.8) if "SET" in taken else []
    if setting == [name.lower()] and name.upper() not in taken:
        return f'{name} is a setting: use SET="{setting[0]}={value}"'
    if variable:
        return f"unknown variable {name}: did you mean {variable[0]}?"
    if setting:
        return f'unknown variable {name}: did you mean SET="{setting[0]}={value}"?'
    return f"unknown variable {name}: expected {', '.join(taken)}"


def main() -> int:
    """Check the variables; exit status 2 if one is refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", help="the targets of this make, separated by spaces")
    parser.add_argument("variables", nargs="*", help="names of the variables; make exports their values")
    options = parser.parse_args()
    for name in options.variables:
        if fault := fault_of(name, os.environ.get(name, "..."), options.targets.split()):
            print(f"make {options.targets}: {fault}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
