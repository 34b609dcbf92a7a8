"""Compiled kernels: rasterization, shading, shadows."""
