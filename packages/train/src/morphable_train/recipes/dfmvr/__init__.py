"""DF-MVR: one face from three views."""
