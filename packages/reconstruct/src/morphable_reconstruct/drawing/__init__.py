"""Pictures and textures of faces."""
