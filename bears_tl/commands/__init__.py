"""The verbs of the command line: a file each, its docstring the summary, `add` its options, `run` a thin call."""
