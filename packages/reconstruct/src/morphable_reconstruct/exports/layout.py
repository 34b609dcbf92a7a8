"""Mesh layout of file formats: one vertex per (position, texture coordinate) pair."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from morphable import MorphableModel


@dataclass(frozen=True, kw_only=True, eq=False)
class TexturedLayout:
    """Vertices split along the seams of the texture, as GLB needs them."""

    source: Int[np.ndarray, " split"]
    """Vertex of the model behind each vertex of the file."""
    uv: Float[np.ndarray, "split 2"]
    """Texture coordinates, origin at the top left."""
    triangles: Int[np.ndarray, "tris 3"]


def textured_layout(model: MorphableModel) -> TexturedLayout:
    """Split the model's vertices where texture coordinates differ."""
    vertex = model.triangles.cpu().numpy().reshape(-1).astype(np.int64)
    coordinate = model.uv_triangles.cpu().numpy().reshape(-1).astype(np.int64)
    uv = model.uv.cpu().numpy()
    pairs, index = np.unique(vertex * len(uv) + coordinate, return_inverse=True)
    return TexturedLayout(
        source=pairs // len(uv),
        uv=uv[pairs % len(uv)].astype(np.float32),
        triangles=index.reshape(-1, 3).astype(np.int64),
    )
