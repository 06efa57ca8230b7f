"""The benchmark: this body and its alternatives, each measured in a process of its own."""
