"""Fetch, check, split and render photos. Does not import TensorFlow."""
