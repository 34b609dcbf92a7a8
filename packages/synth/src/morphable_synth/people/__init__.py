"""From the description of a person to textured meshes."""
