"""Weights files and model cards."""
