"""Studies: the effect of settings, of unfrozen layers and of the number of photos."""
