"""Predicted meshes measured against 3D scans."""
