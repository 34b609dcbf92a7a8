"""Textures of a face: its albedo, and the photograph where the photograph sees it."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import distance_transform_edt

from morphable import MorphableModel
from morphable_reconstruct.drawing.colors import lit_vertex_colors
from morphable_reconstruct.drawing.layers import render_layers
from morphable_reconstruct.faces.rows import Face
from morphable_render import UvLayout, bake_texture, uv_layout, uv_map_from_vertices, uv_mesh

_KEPT_MAPS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class FaceTexture:
    """A face unwrapped by its model's texture coordinates."""

    rgb: Float[np.ndarray, "size size 3"]
    """sRGB in [0, 1]; texels outside every triangle repeat the nearest one inside."""
    visible: Float[np.ndarray, "size size"]
    """How much of each texel comes straight from the photograph, 0 to 1."""
    mask: Bool[np.ndarray, "size size"]
    """Texels inside a triangle."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _TexelMap:
    """The surface point of each texel, and the nearest texel inside for those outside."""

    layout: UvLayout
    nearest: Int[np.ndarray, "2 size size"]


def albedo_texture(face: Face, *, size_px: int = 512) -> FaceTexture:
    """Unwrap the reconstructed reflectance, free of light.

    >>> import numpy as np, torch, morphable, morphable_reconstruct as mr
    >>> model = morphable.load_model("open")
    >>> scene = mr.Scene(
    ...     photo=mr.load_photograph(np.zeros((480, 640, 3), np.uint8), name="a.jpg"),
    ...     camera=mr.Camera(focal_px=800.0, size_hw=(480, 640)),
    ...     model=model,
    ...     faces=model.sample(2, torch.Generator().manual_seed(0)),
    ...     score=np.float32([0.9, 0.8]),
    ...     center_px=np.zeros((2, 2), np.float32),
    ... )
    >>> albedo_texture(scene[0], size_px=64).rgb.shape
    (64, 64, 3)
    """
    texels = _texel_map(face.model, size_px)
    rgb = uv_map_from_vertices(face.scene.albedo_rgb[face.index], texels.layout)
    return _finished(rgb, torch.zeros(size_px, size_px), texels)


def photo_texture(
    face: Face, *, size_px: int = 1024, depth_m: Float[np.ndarray, "rows cols"] | None = None
) -> FaceTexture:
    """Unwrap the photograph where it sees the face; elsewhere its mirror image, then the lit albedo.

    Texels count as seen inside the picture, in front of everything else that was reconstructed, and not
    at a grazing angle, so that nothing is smeared over the far side; glasses, hair and hands are not known of.

    Args:
        face: The face, with the photograph it was found in.
        size_px: Side of the texture.
        depth_m: Depth of all faces of the photograph (`scene.depth_m`); rendered where it is not given.

    >>> import numpy as np, torch, morphable, morphable_reconstruct as mr
    >>> model = morphable.load_model("open")
    >>> scene = mr.Scene(
    ...     photo=mr.load_photograph(np.zeros((480, 640, 3), np.uint8), name="a.jpg"),
    ...     camera=mr.Camera(focal_px=800.0, size_hw=(480, 640)),
    ...     model=model,
    ...     faces=model.sample(2, torch.Generator().manual_seed(0)),
    ...     score=np.float32([0.9, 0.8]),
    ...     center_px=np.zeros((2, 2), np.float32),
    ... )
    >>> texture = photo_texture(scene[0], size_px=64)
    >>> bool(texture.visible.max() > 0.9), texture.rgb.shape
    (True, (64, 64, 3))
    """
    scene = face.scene
    texels = _texel_map(face.model, size_px)
    depth = render_layers(scene).depth_m if depth_m is None else depth_m
    baked = bake_texture(
        torch.from_numpy(scene.photo.pixels).float() / 255,
        scene.vertices_cam_m[face.index],
        texels.layout,
        focal_px=scene.camera.focal_px,
        depth_m=torch.from_numpy(depth),
        fallback=lit_vertex_colors(scene.take(np.array([face.index])))[0],
    )
    return _finished(baked.rgb, baked.weight, texels)


def _finished(rgb: torch.Tensor, visible: torch.Tensor, texels: _TexelMap) -> FaceTexture:
    """Repeat the nearest inside texel outside, so that filtering at seams mixes in no foreign color."""
    rows, cols = texels.nearest
    return FaceTexture(
        rgb=np.clip(rgb.numpy()[rows, cols], 0.0, 1.0).astype(np.float32),
        visible=visible.numpy().astype(np.float32),
        mask=texels.layout.mask.numpy(),
    )


@lru_cache(maxsize=_KEPT_MAPS)
def _texel_map(model: MorphableModel, size_px: int) -> _TexelMap:
    """Lay out a model's texture; kept for the last few."""
    layout = uv_layout(uv_mesh(model), size_px)
    nearest = distance_transform_edt(~layout.mask.numpy(), return_distances=False, return_indices=True)
    return _TexelMap(layout=layout, nearest=nearest.astype(np.int64))
