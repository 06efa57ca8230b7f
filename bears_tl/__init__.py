"""Transfer learning with a frozen Inception v3, on bears or on your own photos."""
