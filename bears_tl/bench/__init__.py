"""The benchmark: bears_tl and its alternatives, each measured in a separate process."""
