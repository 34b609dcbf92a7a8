"""From meshes and light to a picture with exact labels."""
