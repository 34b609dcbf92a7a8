"""Face parsing: a part label for every pixel."""
