"""Paint the photos of the sample: the bear, its surroundings, and the tools for both."""
