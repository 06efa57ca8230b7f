"""From an archive to checked, split, viewable photos. Imports no TensorFlow."""
