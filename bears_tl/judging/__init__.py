"""From probabilities to a verdict: metrics, paired comparisons, figures. Imports no TensorFlow."""
