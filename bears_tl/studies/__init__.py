"""Comparisons on a trained run: what settings, depth and data bring."""
