"""The trainer of the two stages of the single-shot network."""
