"""Readers of other projects' face models; each returns `ModelData` in our frame and units."""
