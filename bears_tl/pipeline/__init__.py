"""A run: its directory and receipt, its stages in order, and their outputs."""
