"""Weakly-supervised training in two stages, from any folder of photographs."""

__version__ = "0.1.0"
