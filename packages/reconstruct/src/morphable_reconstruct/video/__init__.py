"""Faces through time: reading and writing videos, tracking, smoothing."""
