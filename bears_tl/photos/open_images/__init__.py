"""Build a photo folder from Open Images V7, with the author and licence of each photo."""
