"""A face mask: a smooth cloth stretched over mouth and nose, in cylinder coordinates around the head."""

import numpy as np
from jaxtyping import Float

from morphable_synth.assets.catalog import picture_named
from morphable_synth.assets.library import Library
from morphable_synth.assets.parts import part
from morphable_synth.assets.recoloring import plain_table
from morphable_synth.people.figure import Figure
from morphable_synth.people.layers import Layer, Material, vertex_normals

_COLUMNS, _ROWS = 33, 17
_HALF_WIDTH_RAD = 1.2
_GAP_M = 0.004
_REACH = (0.10, 0.006)
"""Spread of the envelope: angle (radians) and height (meters)."""


def mask_layer(library: Library, figure: Figure) -> Layer:
    """Return the mask of a person, opaque, colored or with a picture of a mask."""
    wearing, person = figure.person.wearing, figure.person
    landmarks = _landmarks(library, figure)
    grid = _surface(figure.decoded, landmarks)
    placed = figure.pose(grid.reshape(-1, 3), 1.0)
    triangles, uv = _grid_mesh()
    rng = np.random.default_rng(int(abs(person.identity[0]) * 1e6))
    tint = np.array(wearing.mask_color or (1.0, 1.0, 1.0), np.float32)
    material = Material(specular=(0.01, 2.0))
    if wearing.mask_picture and library.catalog is not None:
        path = picture_named(library.catalog.masks, wearing.mask_picture)
        material = Material(library.texture(path), lut=plain_table(), specular=(0.01, 2.0), depth_bias_m=0.002)
        tint = np.ones(3, np.float32)
    pleats = 1.0 + 0.12 * np.sin(np.linspace(0, np.pi * rng.integers(2, 8), _ROWS))[:, None] * np.ones(_COLUMNS)
    colors = np.asarray(tint * pleats.reshape(-1, 1), np.float32)
    normal = vertex_normals(placed, triangles)
    return Layer(
        "mask", placed, triangles, uv, part("mask"), material, colors, normal=normal, transparent=material.texture >= 0
    )


def _landmarks(library: Library, figure: Figure) -> np.ndarray:
    import torch

    return np.asarray(library.model.landmarks(torch.from_numpy(figure.decoded)[None])[0].numpy())


def _surface(decoded: np.ndarray, landmarks: np.ndarray) -> Float[np.ndarray, "rows cols 3"]:
    """Envelope of the lower face over a grid of angle and height."""
    axis = np.array([0.0, 0.0, landmarks[[0, 16], 2].mean()])
    angle = np.linspace(-_HALF_WIDTH_RAD, _HALF_WIDTH_RAD, _COLUMNS)
    bend = (angle / _HALF_WIDTH_RAD) ** 2
    top = landmarks[28, 1] * (1 - bend) + (landmarks[[1, 15], 1].mean() - 0.005) * bend
    bottom = (landmarks[8, 1] - 0.008) * (1 - bend) + landmarks[[4, 12], 1].mean() * bend
    share = np.linspace(0, 1, _ROWS)[:, None]
    height = top * (1 - share) + bottom * share
    offset = decoded - axis
    radius = np.hypot(offset[:, 0], offset[:, 2])
    around = np.arctan2(offset[:, 0], offset[:, 2])
    near = (
        (np.abs(around) < _HALF_WIDTH_RAD + 0.3)
        & (offset[:, 1] < top.max() + 0.02)
        & (offset[:, 1] > bottom.min() - 0.02)
        & (radius > 0.045)
    )
    radius, around, level = radius[near], around[near], decoded[near, 1]
    envelope = np.empty((_ROWS, _COLUMNS))
    for k in range(_COLUMNS):
        turn = ((angle[k] - around) / _REACH[0]) ** 2
        close = turn < 2.0
        rise = ((height[:, k, None] - level[close]) / _REACH[1]) ** 2
        reach = radius[close] * (turn[close] + rise < 2.0)
        envelope[:, k] = np.partition(reach, -3)[:, -3]  # the third largest: one stray vertex does not lift the cloth
    envelope = np.where(envelope > 0, envelope, np.median(radius))
    for _ in range(3):
        padded = np.pad(envelope, 1, mode="edge")
        envelope = (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] + 4 * envelope) / 8
    envelope = envelope + _GAP_M
    x, z = envelope * np.sin(angle), envelope * np.cos(angle) + axis[2]
    return np.asarray(np.stack([x, height, z], -1), np.float32)


def _grid_mesh() -> tuple[np.ndarray, np.ndarray]:
    index = np.arange(_ROWS * _COLUMNS).reshape(_ROWS, _COLUMNS)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    triangles = np.stack([np.stack([a, d, c], -1), np.stack([a, c, b], -1)], 2).reshape(-1, 3)
    u, v = np.meshgrid(np.linspace(0, 1, _COLUMNS), np.linspace(0, 1, _ROWS))
    uv = np.stack([u, v], -1).reshape(-1, 2)[triangles]
    return triangles.astype(np.int32), np.asarray(uv, np.float32)
