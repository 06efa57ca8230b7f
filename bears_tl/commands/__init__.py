"""The verbs, one file each: docstring for the help, `EXAMPLE` command, `add` for options, `run` for a thin call."""
