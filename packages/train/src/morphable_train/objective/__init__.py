"""The losses of the two stages: which terms count where, and how much."""
