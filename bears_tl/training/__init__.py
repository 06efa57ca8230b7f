"""What is trained: the head on features, blocks of the body below it, a network from scratch."""
