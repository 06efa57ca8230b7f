"""A run as files that answer without this project, and the proof that they answer alike."""
