"""From probabilities to a verdict. Imports no TensorFlow."""
