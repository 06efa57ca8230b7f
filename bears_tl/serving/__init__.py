"""Use a run: predict photos, and correct labels."""
