"""What a trained run is used for: predictions, and the correction of labels."""
