"""Mesh layout of file formats: one vertex per (position, texture coordinate) pair."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from morphable import MorphableModel
from morphable_reconstruct.drawing.unwrapping import face_triangles, texture_mesh

MeshKind = Literal["head", "face"]


@dataclass(frozen=True, kw_only=True, eq=False)
class TexturedLayout:
    """Vertices split along the seams of the texture, as GLB needs them."""

    source: Int[np.ndarray, " split"]
    """Vertex of the model behind each vertex of the file."""
    uv: Float[np.ndarray, "split 2"]
    """Texture coordinates, origin at the top left."""
    triangles: Int[np.ndarray, "tris 3"]


def mesh_triangles(model: MorphableModel, mesh: str) -> Bool[np.ndarray, " tris"]:
    """Return the triangles of the whole head, or of the face that a photograph can show, mouth included.

    Raises:
        ValueError: `mesh` is none of `MeshKind`.
    """
    if mesh not in get_args(MeshKind):
        raise ValueError(f"mesh must be one of {', '.join(get_args(MeshKind))}, got {mesh!r}")
    if mesh == "head":
        return np.ones(len(model.triangles), dtype=np.bool_)
    inner = [index for index, name in enumerate(model.part_names) if name == "inner_mouth"]
    return face_triangles(model).cpu().numpy() | np.isin(model.part_labels.cpu().numpy(), inner)


def textured_layout(model: MorphableModel, mesh: str = "head") -> TexturedLayout:
    """Split the vertices of the head or the face where texture coordinates differ."""
    kept, unwrapped = mesh_triangles(model, mesh), texture_mesh(model)
    vertex = unwrapped.triangles.cpu().numpy()[kept].reshape(-1).astype(np.int64)
    coordinate = unwrapped.uv_triangles.cpu().numpy()[kept].reshape(-1).astype(np.int64)
    uv = unwrapped.uv.cpu().numpy()
    pairs, index = np.unique(vertex * len(uv) + coordinate, return_inverse=True)
    return TexturedLayout(
        source=pairs // len(uv),
        uv=uv[pairs % len(uv)].astype(np.float32),
        triangles=index.reshape(-1, 3).astype(np.int64),
    )
