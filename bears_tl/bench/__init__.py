"""The benchmark: this body and other roads to the same features, each measured in a process of its own."""
