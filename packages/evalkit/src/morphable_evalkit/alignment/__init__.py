"""Prediction files scored against ground truth: landmarks, several faces, head pose."""
