"""Layers: the textured meshes a person is made of, before they are lit."""

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Int

from morphable_synth.assets.patches import compacted
from morphable_synth.kernels.rasterization import accumulate_normals, reaching

SKIN_WRAP = (0.30, 0.14, 0.08)
"""How far light creeps past the terminator under the skin: red, green, blue."""
NO_WRAP = (0.0, 0.0, 0.0)
_KEEP_WHOLE = 0.8
"""Share of visible triangles above which cutting is not worth its time."""
HAIR_WRAP = (0.25, 0.25, 0.25)


@dataclass(frozen=True)
class Material:
    """How a layer looks; see `morphable_synth.kernels.arrays.Soup` for the meaning of the numbers."""

    texture: int = -1
    detail_texture: int = -1
    detail_mix: float = 0.0
    lut: Float[np.ndarray, "256 3"] | None = None
    specular: tuple[float, float] = (0.0, 2.0)
    alpha_gain: float = 1.0
    depth_bias_m: float = 0.0


@dataclass(frozen=True)
class Layer:
    """One textured mesh in the camera frame."""

    name: str
    xyz_cam: Float[np.ndarray, "verts 3"]
    triangles: Int[np.ndarray, "tris 3"]
    corner_uv: Float[np.ndarray, "tris 3 2"] | None
    part: int | Int[np.ndarray, " tris"]
    material: Material = field(default_factory=Material)
    tint: tuple[float, float, float] | Float[np.ndarray, "verts 3"] = (1.0, 1.0, 1.0)
    normal: Float[np.ndarray, "verts 3"] | None = None
    """Given where it is not the mesh's own (eyeballs, hair)."""
    transparent: bool = False
    casts_shadow: bool = True
    wrap: tuple[float, float, float] = NO_WRAP
    keep_whole: bool = False
    """Never cut at the border of the picture (labels count its triangles)."""
    shade: float = 1.0
    """Factor on the light, for what lies in a cavity."""


def in_view(layer: Layer, size_px: int, focal_px: float) -> Layer:
    """Return the layer without the triangles that lie outside the picture, and without their vertices."""
    if layer.keep_whole:
        return layer
    seen = reaching(layer.xyz_cam, layer.triangles, focal_px, size_px)
    if seen.mean() > _KEEP_WHOLE:
        return layer
    used, triangles = compacted(layer.triangles[seen])
    return replace(
        layer,
        xyz_cam=layer.xyz_cam[used],
        triangles=triangles,
        corner_uv=None if layer.corner_uv is None else layer.corner_uv[seen],
        part=layer.part[seen] if isinstance(layer.part, np.ndarray) else layer.part,
        tint=layer.tint[used] if isinstance(layer.tint, np.ndarray) else layer.tint,
        normal=vertex_normals(layer.xyz_cam, layer.triangles)[used] if layer.normal is None else layer.normal[used],
    )


def vertex_normals(
    xyz: Float[np.ndarray, "verts 3"], triangles: Int[np.ndarray, "tris 3"]
) -> Float[np.ndarray, "verts 3"]:
    """Return area-weighted unit normals; they point out of counter-clockwise triangles seen from outside."""
    return accumulate_normals(np.ascontiguousarray(xyz, np.float32), np.ascontiguousarray(triangles, np.int32))


def soft_normals(
    xyz: Float[np.ndarray, "verts 3"],
    triangles: Int[np.ndarray, "tris 3"],
    center: Float[np.ndarray, "3"],
    radial: float,
) -> Float[np.ndarray, "verts 3"]:
    """Return normals of thin sheets around a center: the mesh's own, turned outward and mixed with the radial ones."""
    outward = xyz - center
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
    own = vertex_normals(xyz, triangles)
    own *= np.where((own * outward).sum(1, keepdims=True) < 0, -1.0, 1.0)
    mixed = (1 - radial) * own + radial * outward
    return np.asarray(mixed / np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-9), np.float32)
