"""Errors and summaries as functions of arrays; one value per face, nothing averaged away."""
