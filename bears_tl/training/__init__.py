"""Training: the head on features, blocks of the body below it, and a network from scratch."""
