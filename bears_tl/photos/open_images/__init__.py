"""Open Images V7 as a photo folder that says of each photo whose it is and under which licence."""
