"""Textures of a face: its albedo, and the photograph where the photograph sees it."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from morphable import MorphableModel
from morphable_reconstruct.colors import lit_vertex_colors
from morphable_reconstruct.face import Face
from morphable_reconstruct.scene import Scene
from morphable_render import rasterize

DEPTH_TOLERANCE_M = 0.004
"""A texel this far behind the nearest surface still counts as seen: the z-buffer has pixels, the surface slopes."""
_GRAZING, _FULL = 0.1, 0.45
"""Cosines of the angle to the viewing ray between which the photograph fades in; at grazing angles it smears."""
_KEPT_MAPS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class FaceTexture:
    """A face unwrapped by its model's texture coordinates."""

    rgb: Float[np.ndarray, "size size 3"]
    """sRGB in [0, 1]; texels outside every triangle repeat the nearest one inside."""
    visible: Float[np.ndarray, "size size"]
    """How much of each texel comes from the photograph, 0 to 1."""
    mask: Bool[np.ndarray, "size size"]
    """Texels inside a triangle."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _TexelMap:
    """Which triangle and where on it each texel is, and the nearest texel inside for those outside."""

    triangle: Int[Tensor, "size size"]
    barycentric: Float[Tensor, "size size 3"]
    mask: Bool[Tensor, "size size"]
    nearest: Int[np.ndarray, "2 size size"]


def albedo_texture(face: Face, *, size_px: int = 512) -> FaceTexture:
    """Unwrap the reconstructed reflectance, free of light."""
    texels = _texel_map(face.model, size_px)
    rgb = _on_texels(torch.from_numpy(face.albedo_rgb), face.model, texels).numpy()
    return _finished(rgb, np.zeros(rgb.shape[:2], np.float32), texels)


def photo_texture(scene: Scene, face: Face, *, size_px: int = 1024) -> FaceTexture:
    """Unwrap the photograph where it sees the face, and the lit albedo elsewhere.

    Texels count as seen inside the picture, in front of everything else that was reconstructed, and not
    at a grazing angle, so that nothing is smeared over the far side; glasses, hair and hands are not known of.
    """
    texels = _texel_map(face.model, size_px)
    vertices = torch.from_numpy(face.vertices_cam_m)
    layers = torch.cat([vertices, face.model.normals(vertices), torch.from_numpy(lit_vertex_colors(face))], dim=-1)
    points, normals, filled = _on_texels(layers, face.model, texels).split(3, dim=-1)
    facing = -(F.normalize(normals, dim=-1) * F.normalize(points, dim=-1)).sum(-1)
    pixels = torch.from_numpy(scene.camera.project(points.numpy()))
    height, width = scene.camera.size_hw
    grid = (pixels / torch.tensor([width, height]) * 2 - 1)[None].float()
    photo = torch.from_numpy(scene.image).permute(2, 0, 1)[None].float() / 255
    seen = F.grid_sample(photo, grid, mode="bilinear", padding_mode="border", align_corners=False)
    layers_px = scene.rendered
    nearest_m = np.where(layers_px.mask, layers_px.depth_m, np.inf).astype(np.float32)
    depth = F.grid_sample(
        torch.from_numpy(nearest_m)[None, None], grid, mode="nearest", padding_mode="border", align_corners=False
    )
    inside = (grid[0].abs() < 1).all(-1) & (points[..., 2] < depth[0, 0] + DEPTH_TOLERANCE_M)
    fade = ((facing - _GRAZING) / (_FULL - _GRAZING)).clamp(0, 1)
    weight = (fade * fade * (3 - 2 * fade) * inside * texels.mask)[..., None]
    rgb = weight * seen[0].permute(1, 2, 0) + (1 - weight) * filled
    return _finished(rgb.numpy(), weight[..., 0].numpy(), texels)


def _finished(rgb: np.ndarray, visible: np.ndarray, texels: _TexelMap) -> FaceTexture:
    """Repeat the nearest inside texel outside, so that filtering at seams mixes in no foreign colour."""
    rows, cols = texels.nearest
    return FaceTexture(
        rgb=np.clip(rgb[rows, cols], 0.0, 1.0).astype(np.float32),
        visible=visible.astype(np.float32),
        mask=texels.mask.numpy(),
    )


@lru_cache(maxsize=_KEPT_MAPS)
def _texel_map(model: MorphableModel, size_px: int) -> _TexelMap:
    """Rasterise the texture coordinates: a plane at depth 1 seen with a focal length of the texture's size."""
    plane = torch.cat([model.uv - 0.5, torch.ones(len(model.uv), 1)], dim=-1)
    fragments = rasterize(plane, model.uv_triangles, focal_px=float(size_px), size_hw=(size_px, size_px))
    outside = ~fragments.mask.numpy()
    nearest = distance_transform_edt(outside, return_distances=False, return_indices=True)
    return _TexelMap(
        triangle=fragments.triangle,
        barycentric=fragments.barycentric,
        mask=fragments.mask,
        nearest=nearest.astype(np.int64),
    )


def _on_texels(
    values: Float[Tensor, "verts channels"], model: MorphableModel, texels: _TexelMap
) -> Float[Tensor, "size size channels"]:
    """Interpolate values of vertices at texels."""
    corners = values[model.triangles[texels.triangle]]
    return (corners * texels.barycentric[..., None]).sum(-2)
