"""What scenes are drawn from: files, meshes, textures, light."""
