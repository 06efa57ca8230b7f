"""Transfer learning with a frozen Inception v3, done properly."""
