"""A local page on which photographs are looked at in 3D."""
