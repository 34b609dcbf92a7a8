"""PRNet: a position map of one face."""
