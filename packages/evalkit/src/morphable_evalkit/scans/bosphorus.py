"""Bosphorus-like files: range images (.bnt) and named 3D landmarks (.lm3)."""

import struct
from pathlib import Path

import numpy as np
from jaxtyping import Float

from morphable_evalkit.files import read_text, refusing
from morphable_evalkit.scans.mesh import Mesh

SEVEN_LANDMARKS = (
    "Outer right eye corner",
    "Inner right eye corner",
    "Inner left eye corner",
    "Outer left eye corner",
    "Nose tip",
    "Right mouth corner",
    "Left mouth corner",
)
"""The seven points in NoW's order, by Bosphorus's names (which has the nose tip instead of its bottom)."""

_NUM_COLUMNS = 5
"""x, y, z and two image coordinates."""


def read_bnt(path: Path, *, max_edge: float = 10.0) -> Mesh:
    """Read a range image and join neighboring pixels to triangles.

    Args:
        path: The .bnt file: rows, columns (uint16), background depth (float64), name of the picture (uint16
            length), count of values (uint32), then columns of x, y, z, a, b as float64.
        max_edge: Longest edge of a triangle in millimeters; longer ones span a depth step.

    Raises:
        ValueError: The file is damaged, or its header does not fit the data.
    """
    with refusing(path, "a Bosphorus .bnt file"):
        return _parse_bnt(path.read_bytes(), max_edge)


def _parse_bnt(data: bytes, max_edge: float) -> Mesh:
    """Read the header, and join the points that are no background."""
    rows, columns, background, name_length = struct.unpack_from("<HHdH", data)
    at = struct.calcsize("<HHdH") + name_length
    (count,) = struct.unpack_from("<I", data, at)
    if count != rows * columns * _NUM_COLUMNS or len(data) - at - 4 < 8 * count:
        raise ValueError(f"{count} values in {len(data)} bytes for {rows} x {columns} pixels")
    values = np.frombuffer(data, "<f8", count, at + 4).reshape(_NUM_COLUMNS, rows, columns)
    points = values[:3].transpose(1, 2, 0)
    valid = points[..., 2] != background
    index = np.where(valid, np.cumsum(valid).reshape(valid.shape) - 1, -1)
    quads = (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1])
    a, b, c, d = (quad.ravel() for quad in quads)
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    triangles = triangles[(triangles >= 0).all(axis=1)]
    vertices = points[valid]
    edges = vertices[triangles] - vertices[np.roll(triangles, -1, axis=1)]
    short = (np.linalg.norm(edges, axis=-1) <= max_edge).all(axis=1)
    return Mesh(vertices.astype(np.float64), triangles[short].astype(np.int64))


def read_lm3(path: Path) -> dict[str, Float[np.ndarray, "3"]]:
    """Read named landmarks: a line with a name, then one with x y z."""
    lines = [line.strip() for line in read_text(path).splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    starts = [i for i, line in enumerate(lines) if line.endswith("landmarks:")]
    body = lines[starts[0] + 1 :] if starts else lines
    return {
        name: np.array(values.split(), dtype=np.float64) for name, values in zip(body[::2], body[1::2], strict=False)
    }
