"""Inception v3: its checkpoint, and the frozen body that computes features from pixels."""
