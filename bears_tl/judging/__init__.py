"""Evaluate predictions: metrics, paired comparisons, figures. Imports no TensorFlow."""
