"""Pictures in: reading, EXIF, sources, the network's input."""
