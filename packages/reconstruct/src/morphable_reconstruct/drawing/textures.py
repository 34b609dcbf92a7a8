"""Textures of a face: its albedo, and the photograph where the photograph shows the face."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import distance_transform_edt

from morphable import MorphableModel
from morphable.eyes import EYE_PARTS
from morphable_reconstruct.drawing.colors import lit_vertex_colors
from morphable_reconstruct.drawing.filters import largest_around, mean_around
from morphable_reconstruct.drawing.layers import render_depth
from morphable_reconstruct.drawing.parsing import ShownFace, parse_face
from morphable_reconstruct.drawing.tone import SKIN_PART, Seen, Tone, head_tone, strangeness
from morphable_reconstruct.drawing.unwrapping import face_triangles, texture_mesh
from morphable_reconstruct.faces.rows import Face, SceneRows
from morphable_reconstruct.photographs.window import window
from morphable_render import sample_image, uv_layout
from morphable_render.texture import surface_visibility
from morphable_render.uv import UvLayout, mirrored_uv, uv_map_from_vertices, vertices_from_uv_map

SMALLEST_PX, LARGEST_PX = 256, 2048
"""Sides of the textures that are chosen by themselves."""
SMALLEST_TEXTURED_PX, FULLY_TEXTURED_PX = 48.0, 80.0
"""Smaller faces show their lit albedo in the photograph's tone, which is more reliable than their pixels; from the
second size on, the photograph counts in full."""
TONE_PX = 256
"""Side of the map from which the tone of the whole head is taken."""
SURE_WEIGHT = 0.35
"""Visibility below this does not count: near the outline a pixel is smeared over much skin, or shows what is behind."""
SHOWN_FROM, SHOWN_IN_FULL = 0.4, 0.8
"""Probability of face at which the photograph starts to count and at which it counts in full."""
EDGE_PX, NEAR_PX = 4, 14
"""What hides the face is widened by the first number of pixels of the parsed crop; within the second number, skin
counts only where it has about the color of its surroundings: strands of hair are thinner than the network can see."""
BESIDE, NEARER_M = 0.03, 0.012
"""Skin counts as hidden where something this much nearer lies within this share of the face's size: the nose before a
cheek is never drawn to the pixel, and would leave its color there."""
FEATHER = 0.012
"""Width over which the photograph fades out beside what is hidden, over the texture's side."""
EYE_SPREAD, EYE_TRUST = 0.008, 4.0
"""How far the seen part of an eye is continued, over the texture's side, and from which share of seen surroundings, as
its inverse, in full."""
MIN_DETAIL, MAX_DETAIL = 0.5, 1.25
"""The other side's detail darkens and lightens the tone by at most these factors."""
NOT_MIRRORED = (*EYE_PARTS, "inner_mouth")
"""Parts that the other side can't complete: a mirrored gaze crosses the eyes."""
_KEPT_MAPS = 4
_POINTS_AT_ONCE = 1 << 17


@dataclass(frozen=True, kw_only=True, eq=False)
class FaceTexture:
    """A face unwrapped by `texture_mesh`."""

    rgb: Float[np.ndarray, "size size 3"]
    """sRGB in [0, 1]; texels outside every triangle repeat the nearest one inside."""
    visible: Float[np.ndarray, "size size"]
    """How much of each texel comes straight from the photograph, 0 to 1."""
    mask: Bool[np.ndarray, "size size"]
    """Texels inside a triangle."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _TexelMap:
    """The surface point of each texel."""

    layout: UvLayout
    outside: Bool[np.ndarray, "size size"]
    nearest: Int[np.ndarray, "2 _"]
    """Row and column of the nearest texel inside, for each one outside."""
    shown: Bool[torch.Tensor, "size size"]
    """Texels of parts that take the photograph's colors as they are."""
    mirrored: Bool[torch.Tensor, "size size"]
    """Texels that may take detail from the other side."""
    skin: Bool[torch.Tensor, "size size"]
    eyes: Bool[torch.Tensor, "size size"]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Read:
    """The photograph at every texel."""

    rgb: Float[torch.Tensor, "size size 3"]
    in_view: Float[torch.Tensor, "size size"]
    """How well the camera sees the texel, 0 to 1."""
    shown: Float[torch.Tensor, "size size"]
    """Whether the photograph shows the face there, 0 to 1."""
    doubt: Float[torch.Tensor, "size size"]
    """Whether something that hides the face is near, 0 to 1; only on skin."""


def albedo_texture(face: Face, *, size_px: int = 512) -> FaceTexture:
    """Unwrap the reconstructed reflectance, free of light.

    >>> albedo_texture(scene[0], size_px=64).rgb.shape
    (64, 64, 3)
    """
    texels = _texel_map(face.model, size_px)
    rgb = uv_map_from_vertices(face.scene.albedo_rgb[face.index], texels.layout)
    return _finished(rgb, torch.zeros(size_px, size_px), texels)


def photo_texture(
    face: Face, *, size_px: int | None = None, depth_m: Float[np.ndarray, "rows cols"] | None = None
) -> FaceTexture:
    """Unwrap the photograph where it shows the face; elsewhere continue its tone and the other side's detail.

    Texels count as seen inside the picture, in front of everything else that was reconstructed, away from the
    outline, and where the parsing network finds face and not hair, hands or glasses before it. The rest is the lit
    albedo, brought to the tone of the seen part (`head_tone`), on skin with the detail of the other side.

    Args:
        face: The face, with the photograph it was found in.
        size_px: Side of the texture; by default `fitting_side`.
        depth_m: Depth of all faces of the photograph (`scene.depth_m`), of any size; rendered where it is not given.

    >>> texture = photo_texture(scene[0], size_px=64)
    >>> texture.rgb.shape, texture.visible.shape
    ((64, 64, 3), (64, 64))
    """
    return _photo_texture(face, size_px, depth_m)[0]


def delit_texture(
    face: Face, *, size_px: int | None = None, depth_m: Float[np.ndarray, "rows cols"] | None = None
) -> FaceTexture:
    """Divide `photo_texture` by the estimated light, so that the face can be lit anew."""
    texture, tone, texels = _photo_texture(face, size_px, depth_m)
    light = uv_map_from_vertices(tone.light, texels.layout)
    rgb = np.clip(texture.rgb / _continued(light.numpy(), texels).clip(0.05, None), 0.0, 1.0).astype(np.float32)
    return FaceTexture(rgb=rgb, visible=texture.visible, mask=texture.mask)


def scene_textures(
    rows: SceneRows, *, largest_px: int = 1024, depth_m: Float[np.ndarray, "rows cols"] | None = None
) -> list[Float[torch.Tensor, "_ _ 3"]]:
    """Unwrap every face for pictures of the scene: small faces by their lit albedo alone."""
    if not len(rows):
        return []
    depth = render_depth(rows) if depth_m is None else depth_m
    lit = lit_vertex_colors(rows)
    textures = []
    for face in rows:
        if _extent_px(face) >= SMALLEST_TEXTURED_PX:
            made = photo_texture(face, size_px=min(fitting_side(face), largest_px), depth_m=depth)
        else:
            texels = _texel_map(rows.model, SMALLEST_PX)
            rgb = uv_map_from_vertices(lit[face.index], texels.layout)
            made = _finished(rgb, torch.zeros(SMALLEST_PX, SMALLEST_PX), texels)
        textures.append(torch.from_numpy(made.rgb))
    return textures


def fitting_side(face: Face) -> int:
    """Side of a texture that holds all pixels of the photograph's face: a power of two."""
    wanted = 2 ** int(np.ceil(np.log2(max(1.4 * _extent_px(face), 1.0))))
    return int(np.clip(wanted, SMALLEST_PX, LARGEST_PX))


def _extent_px(face: Face) -> float:
    """Longer side of the box of the 68 points."""
    return float(np.ptp(face.box_xyxy_px.reshape(2, 2), axis=0).max())


def _photo_texture(
    face: Face, size_px: int | None, depth_m: Float[np.ndarray, "rows cols"] | None
) -> tuple[FaceTexture, Tone, _TexelMap]:
    """The texture, the tone of the head, and the texels."""
    if face.scene.photographed is not None:
        face, depth_m = face.photographed, None
    shown = parse_face(face)
    depth = torch.from_numpy(render_depth(face.scene) if depth_m is None else depth_m)
    coarse = _texel_map(face.model, TONE_PX)
    tone = head_tone(face, _seen_by_vertices(_read(face, depth, coarse, shown), coarse))
    texels = _texel_map(face.model, size_px or fitting_side(face))
    read = _read(face, depth, texels, shown)
    toned = uv_map_from_vertices(tone.rgb, texels.layout)
    agreed = read.shown * (1 - read.doubt * strangeness(read.rgb, toned))
    weight = read.in_view * texels.shown * _feathered(agreed, texels)
    weight = weight * _ramp(torch.tensor(_extent_px(face)), SMALLEST_TEXTURED_PX, FULLY_TEXTURED_PX)
    filled = _eyes_continued(_with_detail(toned, read.rgb, weight, texels), read.rgb, weight, texels)
    rgb = filled.mul_(1 - weight[..., None]).add_(weight[..., None] * read.rgb)
    return _finished(rgb, weight, texels), tone, texels


def _read(face: Face, depth_m: torch.Tensor, texels: _TexelMap, shown: ShownFace | None) -> _Read:
    """Look up every texel in the photograph."""
    camera = face.camera
    rows, cols = depth_m.shape
    vertices = face.scene.vertices_cam_m[face.index]
    in_view = surface_visibility(
        vertices,
        texels.layout,
        focal_px=camera.focal_px * cols / camera.size_hw[1],
        size_hw=(rows, cols),
        depth_m=depth_m,
    )
    position = uv_map_from_vertices(vertices, texels.layout)
    px = position[..., :2] / position[..., 2:].clamp(min=1e-3) * camera.focal_px
    px = (px + torch.tensor(camera.principal_px).float()).reshape(-1, 2)
    rgb = _colors_at(face.scene.photo.pixels, px)
    of_face, near = torch.ones(2, len(px))
    if shown is not None:
        of_face, near = (
            _ramp(shown.face_at(px, margin_px=margin), SHOWN_FROM, SHOWN_IN_FULL) for margin in (EDGE_PX, NEAR_PX)
        )
    size = in_view.shape[0]
    apart = _apart_from_nearer(px, position[..., 2].reshape(-1), depth_m, face)
    return _Read(
        rgb=rgb.reshape(size, size, 3),
        in_view=_ramp(in_view, SURE_WEIGHT, 1.0),
        shown=torch.where(texels.skin, apart.reshape(size, size), 1.0) * of_face.reshape(size, size),
        doubt=(1 - near).reshape(size, size) * texels.skin,
    )


def _apart_from_nearer(
    px: Float[torch.Tensor, "points 2"],
    z_m: Float[torch.Tensor, " points"],
    depth_m: Float[torch.Tensor, "rows cols"],
    face: Face,
) -> Float[torch.Tensor, " points"]:
    """Return 1 for points with nothing much nearer beside them in the photograph, 0 for the others."""
    rows, cols = depth_m.shape
    scale = cols / face.camera.size_hw[1]
    radius = max(1, round(BESIDE * _extent_px(face) * scale))
    nearness = 1 / depth_m.clamp(min=1e-6) * (depth_m > 0)
    nearness = largest_around(nearness, radius)
    col, row = (px * scale).long().clamp(min=0).minimum(torch.tensor([cols - 1, rows - 1])).unbind(-1)
    return (z_m < 1 / nearness[row, col].clamp(min=1e-6) + NEARER_M).float()


def _colors_at(pixels: UInt8[np.ndarray, "rows cols 3"], px: Float[torch.Tensor, "points 2"]) -> torch.Tensor:
    """Read the photograph at points of one face; only the part around them becomes numbers."""
    extent = px.detach().double().numpy()
    part = window(pixels, extent.min(0) - 1, extent.max(0) + 1)
    at = (px - torch.from_numpy(part.corner_px).to(px)) / part.factor - 0.5
    picture = torch.from_numpy(part.pixels.copy())
    colors = torch.empty(len(at), 3)
    for some, read in zip(at.split(_POINTS_AT_ONCE), colors.split(_POINTS_AT_ONCE), strict=True):
        read.copy_(_bilinear(picture, some))
    return colors


def _bilinear(picture: UInt8[torch.Tensor, "rows cols 3"], at: Float[torch.Tensor, "points 2"]) -> torch.Tensor:
    """Read bytes at positions counted from the middle of the first pixel; beyond the edge the last pixel counts."""
    limit = torch.tensor([picture.shape[1] - 1, picture.shape[0] - 1])
    at = at.clamp(min=0).minimum(limit)
    low = at.floor().long()
    (left, top), (right, bottom) = low.unbind(-1), (low + 1).minimum(limit).unbind(-1)
    share_x, share_y = (at - low)[..., None].unbind(-2)
    upper = torch.lerp(picture[top, left].float(), picture[top, right].float(), share_x)
    lower = torch.lerp(picture[bottom, left].float(), picture[bottom, right].float(), share_x)
    return torch.lerp(upper, lower, share_y) / 255.0


def _seen_by_vertices(read: _Read, texels: _TexelMap) -> Seen:
    """The photograph at the vertices, by way of the texels."""
    face = read.in_view * read.shown * texels.shown
    other = read.in_view * (1 - read.shown) * ~texels.shown
    stacked = torch.cat([read.rgb, torch.stack([face, other, read.doubt], dim=-1)], dim=-1)
    values = vertices_from_uv_map(stacked, texels.layout).double().numpy()
    face_weight, hair, doubt = values[:, 3:].clip(0.0, 1.0).T
    return Seen(rgb=values[:, :3], face=face_weight, hair=hair, doubt=doubt)


def _with_detail(toned: torch.Tensor, own: torch.Tensor, weight: torch.Tensor, texels: _TexelMap) -> torch.Tensor:
    """Multiply the tone by what the other side shows over its own."""
    filled = toned.clone()
    if texels.layout.mesh.mirror_vertices is None:
        return filled
    at, known = mirrored_uv(texels.layout)
    taken = known & texels.mirrored
    at = at[taken]
    if len(at):
        for base, seen, tone in zip(filled.unbind(-1), own.unbind(-1), toned.unbind(-1), strict=True):  # saves memory
            ratio = (seen / tone.clamp(min=0.05)).clamp_(MIN_DETAIL, MAX_DETAIL)
            weighted = ratio.sub_(1).mul_(weight)[..., None]
            base[taken] *= 1 + sample_image(weighted, at, texels.layout.mask)[:, 0]
    return filled


def _eyes_continued(filled: torch.Tensor, own: torch.Tensor, weight: torch.Tensor, texels: _TexelMap) -> torch.Tensor:
    """Continue what the photograph shows of the eyes over their unseen parts nearby."""
    if not texels.eyes.any():
        return filled
    radius = max(1, round(EYE_SPREAD * len(weight)))
    rows, cols = (torch.nonzero(texels.eyes.any(axis))[:, 0] for axis in (1, 0))
    part = (slice(int(rows.min()), int(rows.max()) + 1), slice(int(cols.min()), int(cols.max()) + 1))
    seen = (weight * texels.eyes)[part]
    spread = torch.cat([own[part] * seen[..., None], seen[..., None]], dim=-1).permute(2, 0, 1)
    for _ in range(3):
        spread = mean_around(spread, 2 * radius + 1)
    total = spread[3, ..., None]
    share = (EYE_TRUST * total).clamp(max=1.0) * texels.eyes[part][..., None]
    continued = filled.clone()
    continued[part] += share * (spread[:3].permute(1, 2, 0) / total.clamp(min=1e-6) - filled[part])
    return continued


def _feathered(share: torch.Tensor, texels: _TexelMap) -> torch.Tensor:
    """Let the photograph fade out on the skin beside what is hidden, so that no edge shows."""
    radius = max(1, round(FEATHER * len(share)))
    hidden = largest_around((1 - share) * texels.skin, radius)
    for _ in range(2):
        hidden = mean_around(hidden, radius | 1)
    return torch.where(texels.skin, torch.minimum(share, 1 - hidden), share)


def _ramp(values: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """0 up to `low`, 1 from `high`, smooth between."""
    share = ((values - low) / (high - low)).clamp(0, 1)
    return share * share * (3 - 2 * share)


def _finished(rgb: torch.Tensor, visible: torch.Tensor, texels: _TexelMap) -> FaceTexture:
    """Repeat the nearest inside texel outside, so that filtering at seams mixes in no foreign color."""
    return FaceTexture(
        rgb=_continued(rgb.numpy(), texels).clip(0.0, 1.0).astype(np.float32, copy=False),
        visible=visible.numpy().astype(np.float32),
        mask=texels.layout.mask.numpy(),
    )


def _continued(values: Float[np.ndarray, "size size 3"], texels: _TexelMap) -> Float[np.ndarray, "size size 3"]:
    """Give texels outside the value of the nearest one inside."""
    rows, cols = texels.nearest
    continued = values.copy()
    continued[texels.outside] = values[rows, cols]
    return continued


@lru_cache(maxsize=_KEPT_MAPS)
def _texel_map(model: MorphableModel, size_px: int) -> _TexelMap:
    """Lay out a model's texture; kept for the last few."""
    layout = uv_layout(texture_mesh(model), size_px)
    outside = ~layout.mask.numpy()
    nearest = distance_transform_edt(outside, return_distances=False, return_indices=True)[:, outside]
    inner = model.part_names.index("inner_mouth") if "inner_mouth" in model.part_names else -1
    shown = (face_triangles(model) | (model.part_labels == inner))[layout.triangle] & layout.mask
    mirrored = shown & ~_of_parts(model, NOT_MIRRORED)[layout.triangle]
    skin = shown & _of_parts(model, (SKIN_PART,))[layout.triangle]
    eyes = layout.mask & _of_parts(model, EYE_PARTS)[layout.triangle]
    return _TexelMap(
        layout=layout,
        outside=outside,
        nearest=nearest.astype(np.int64),
        shown=shown,
        mirrored=mirrored,
        skin=skin,
        eyes=eyes,
    )


def _of_parts(model: MorphableModel, names: tuple[str, ...]) -> Bool[torch.Tensor, " tris"]:
    """Triangles of some parts."""
    labels = torch.tensor([i for i, name in enumerate(model.part_names) if name in names], dtype=torch.int64)
    return torch.isin(model.part_labels, labels)
