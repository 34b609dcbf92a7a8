"""The command `reconstruct`."""
