"""UV textures from photographs: only what the camera saw, the unseen side filled from the seen one."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from morphable.geometry import Pinhole
from morphable_render.lighting import irradiance_sh, lighting_normals
from morphable_render.normals import vertex_normals
from morphable_render.rasterization import rasterize
from morphable_render.uv import UvLayout, mirrored_uv, sample_image, uv_map_from_vertices

DEPTH_SLACK_M = 0.001
"""A texel is hidden if something is nearer by more than this (an eyelid lies 2 mm before the eye), ..."""

SLACK_PIXELS = 2.0
"""... plus how much the texel's own surface recedes within this many pixels."""

GRAZING_COSINE, FACING_COSINE = 0.15, 0.5
"""Cosine between normal and viewing ray at which a texel starts to count and at which it counts in full."""

DARKEST_LIGHT = 0.05
"""Light weaker than this is not divided out: it would turn a shadow's noise into color."""


@dataclass(frozen=True)
class BakedTexture:
    """A texture in the UV plane and how far it can be trusted."""

    rgb: Float[Tensor, "size size 3"]
    """sRGB-encoded, zero where nothing is known."""
    weight: Float[Tensor, "size size"]
    """How well the photograph shows each texel: 0 not at all, 1 facing the camera."""
    mirrored: Float[Tensor, "size size"]
    """Share of each texel's color that comes from the other side of the face."""
    filled: Float[Tensor, "size size"]
    """Share that comes from the fallback colors; where no share is left, nothing is known."""


@dataclass(frozen=True)
class _Texels:
    """Camera-frame position, unit normal and pixel of each texel."""

    position: Float[Tensor, "rows size 3"]
    normal: Float[Tensor, "rows size 3"]
    px: Float[Tensor, "rows size 2"]


def _texels(
    vertices_cam: Tensor, normals: Tensor, layout: UvLayout, focal_px: Tensor | float | int, size_hw: tuple[int, int]
) -> _Texels:
    """Place every texel in the camera."""
    both = torch.cat([vertices_cam, normals], dim=-1)
    position, normal = uv_map_from_vertices(both, layout).split(3, dim=-1)
    px = Pinhole(size_hw, focal_px).project(position.reshape(-1, 3)).unflatten(0, position.shape[:2])
    return _Texels(position, F.normalize(normal, dim=-1), px)


def _visibility(texels: _Texels, layout: UvLayout, depth_m: Tensor, focal_px: Tensor | float | int) -> Tensor:
    """Weigh each texel: 0 if hidden, outside or grazing, 1 if it faces the camera."""
    rows, cols = depth_m.shape
    cosine = -(F.normalize(texels.position, dim=-1) * texels.normal).sum(-1)
    inside = layout.mask & (texels.px > 0).all(-1) & (texels.px < texels.px.new_tensor([cols, rows])).all(-1)
    # The nearest depth around the pixel, 0 beside the background: colors that mix with another surface do not count.
    col, row = (at.long().clamp(0, last - 1) for at, last in zip(texels.px.unbind(-1), (cols, rows), strict=True))
    top, bottom, left, right = _bounds(row[inside], rows) + _bounds(col[inside], cols)
    nearest = -F.max_pool2d(-depth_m[None, None, top:bottom, left:right], 3, stride=1, padding=1)[0, 0]
    in_front = nearest[(row - top).clamp(0, bottom - top - 1), (col - left).clamp(0, right - left - 1)]
    slope = (1 - cosine * cosine).clamp(min=0).sqrt() / cosine.clamp(min=GRAZING_COSINE)
    slack_m = DEPTH_SLACK_M + SLACK_PIXELS * slope * texels.position[..., 2] / focal_px
    seen = inside & (texels.position[..., 2] < in_front + slack_m)
    ramp = ((cosine - GRAZING_COSINE) / (FACING_COSINE - GRAZING_COSINE)).clamp(0, 1)
    return torch.where(seen, ramp * ramp * (3 - 2 * ramp), 0.0)


def _bounds(index: Tensor, size: int) -> tuple[int, int]:
    """Return a range that holds all indices and one more on each side, inside a picture."""
    if not len(index):
        return 0, 1
    return max(int(index.min()) - 1, 0), min(int(index.max()) + 2, size)


def surface_visibility(
    vertices_cam: Float[Tensor, "verts 3"],
    layout: UvLayout,
    *,
    focal_px: Float[Tensor, ""] | float | int,
    size_hw: tuple[int, int],
    depth_m: Float[Tensor, "rows cols"] | None = None,
) -> Float[Tensor, "size size"]:
    """Weigh each texel by how well a camera sees it: 0 if hidden, outside or grazing, 1 if it faces the camera.

    Args:
        vertices_cam: Camera-frame vertices, meters.
        layout: Of the UV map.
        focal_px: Focal length in pixels.
        size_hw: Height and width of the photograph.
        depth_m: Rendered depth of everything in the picture, 0 where there is nothing; by default of this mesh alone.
    """
    if depth_m is None:
        depth_m = rasterize(vertices_cam, layout.mesh.triangles, focal_px=focal_px, size_hw=size_hw).depth_m
    depth_m, normals = depth_m.to(vertices_cam), vertex_normals(vertices_cam, layout.mesh.triangles)
    bands = ((band, _texels(vertices_cam, normals, band, focal_px, size_hw)) for band in layout.bands())
    return torch.cat([_visibility(texels, band, depth_m, focal_px) for band, texels in bands])


def bake_texture(
    photograph: Float[Tensor, "rows cols 3"],
    vertices_cam: Float[Tensor, "verts 3"],
    layout: UvLayout,
    *,
    focal_px: Float[Tensor, ""] | float | int,
    depth_m: Float[Tensor, "rows cols"] | None = None,
    usable: Bool[Tensor, "rows cols"] | None = None,
    illumination: Float[Tensor, "9 3"] | None = None,
    fallback: Float[Tensor, "verts 3"] | None = None,
) -> BakedTexture:
    """Carry a photograph over to the UV plane of a fitted mesh.

    Each texel blends, in this order: what the photograph shows there, weighted by visibility and angle;
    what it shows at the mirrored point of the face; the fallback colors, brought to the seen skin's tone.

    Args:
        photograph: sRGB-encoded in [0, 1].
        vertices_cam: Camera-frame vertices that fit the photograph, meters.
        layout: Of the texture; without `mirror_vertices` nothing is mirrored.
        focal_px: Focal length in pixels of the photograph.
        depth_m: Rendered depth of all faces of the photograph, for faces that hide each other.
        usable: False where something else is in front of the face (hair, hands).
        illumination: Light to divide out, so that the texture is albedo and can be lit anew.
        fallback: Vertex colors, such as the model's albedo, for what neither side shows.

    >>> from morphable_render import uv_layout, uv_mesh
    >>> layout = uv_layout(uv_mesh(model), 64)
    >>> baked = bake_texture(torch.full((64, 64, 3), 0.5), vertices_cam[0], layout, focal_px=200.0)
    >>> baked.rgb.shape
    torch.Size([64, 64, 3])
    """
    size_hw = (photograph.shape[0], photograph.shape[1])
    extent = photograph.new_tensor([size_hw[1], size_hw[0]])
    normals = vertex_normals(vertices_cam, layout.mesh.triangles)
    texels = _texels(vertices_cam, normals, layout, focal_px, size_hw)
    at = (texels.px / extent).reshape(-1, 2)
    weight = surface_visibility(vertices_cam, layout, focal_px=focal_px, size_hw=size_hw, depth_m=depth_m)
    if usable is not None:
        weight = weight * sample_image(usable.to(photograph)[..., None], at).reshape(weight.shape)
    own = sample_image(photograph, at).reshape(*weight.shape, 3)
    if illumination is not None:
        light = irradiance_sh(lighting_normals(texels.normal).reshape(-1, 3), illumination)
        own = own / light.clamp(min=DARKEST_LIGHT).reshape(own.shape)
    if layout.mesh.mirror_vertices is None:
        other, mirrored = own, torch.zeros_like(weight)
    else:
        other, mirrored = _mirror(own, weight, layout)
    mirrored = (1 - weight) * mirrored
    filled = (1 - weight - mirrored) * layout.mask if fallback is not None else torch.zeros_like(weight)
    tone = torch.zeros_like(own) if fallback is None else _toned(uv_map_from_vertices(fallback, layout), own, weight)
    shares = torch.stack([weight, mirrored, filled])
    total = shares.sum(0)
    shares = shares / torch.where(total > 0, total, 1.0)
    rgb = (shares[..., None] * torch.stack([own, other, tone])).sum(0)
    return BakedTexture(rgb, weight, shares[1], shares[2])


def _mirror(own: Tensor, weight: Tensor, layout: UvLayout) -> tuple[Tensor, Tensor]:
    """Read colors and weights at the mirrored points."""
    at, known = mirrored_uv(layout)
    both = torch.cat([own * weight[..., None], weight[..., None]], dim=-1)
    read = sample_image(both, at.reshape(-1, 2), layout.mask).reshape(both.shape)
    mirrored = torch.where(known, read[..., 3], 0.0)
    return read[..., :3] / torch.where(mirrored > 0, mirrored, 1.0)[..., None], mirrored


def _toned(fallback: Tensor, own: Tensor, weight: Tensor) -> Tensor:
    """Scale the fallback colors, per channel, to the mean of the seen ones."""
    seen, base = ((weight[..., None] * color).sum((0, 1)) for color in (own, fallback))
    return fallback * torch.where(base > 0, seen / torch.where(base > 0, base, 1.0), 1.0)
