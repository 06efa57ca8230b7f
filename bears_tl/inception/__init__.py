"""Inception v3: its checkpoint, and the frozen body that turns pixels into features."""
