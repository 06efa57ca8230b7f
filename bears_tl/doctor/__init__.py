"""What is installed, what works, and the command that mends the rest; with the standard library alone."""
