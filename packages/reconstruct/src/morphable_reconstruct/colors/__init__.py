"""Albedo and light of faces, estimated from the photograph."""
