"""Configurations of runs: frozen, keyword-only, checked where they are made; presets."""
