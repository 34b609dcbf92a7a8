"""Description of a scene and how one is drawn at random."""
