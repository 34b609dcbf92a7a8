"""Faces in a camera, and everything that follows from their parameters."""
