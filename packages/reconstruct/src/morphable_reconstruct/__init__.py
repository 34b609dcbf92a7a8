"""Photographs or video in; every face of them out in 3D: meshes, texture, landmarks, pose, one camera."""

__version__ = "0.1.0"
