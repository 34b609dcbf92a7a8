"""Errors on faces and pictures that are not trained on."""
