"""What a photograph shows at points of faces: colors, visibility, normals."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from morphable.geometry import Pinhole, axes_flip, camera_from_model
from morphable_detector_head.resizing import reduced
from morphable_reconstruct.colors.lids import between_lids
from morphable_reconstruct.colors.points import ColorPoints
from morphable_reconstruct.drawing.colors import EYE_POINTS
from morphable_render import sample_image

FACE_PX = 112
"""Faces are read from a picture in which they are about this wide, so that a point is the mean of its surroundings."""
GRAZING_COSINE, FACING_COSINE = 0.1, 0.4
"""Cosine between normal and viewing ray at which a point starts to count and at which it counts in full."""
CELLS = 14
"""Points are sorted into this many cells across the face to find those behind others."""
HIDDEN_BEHIND_M = 0.018
"""A point farther than this behind the nearest one of its cell is hidden."""
_MARGIN = 0.1


@dataclass(frozen=True, eq=False)
class Observed:
    """Points of the faces of one photograph."""

    rgb: Float[Tensor, "faces points 3"]
    """sRGB-encoded in [0, 1]."""
    visible: Float[Tensor, "faces points"]
    """0 where the photograph doesn't show the point, 1 where it faces the camera."""
    normals: Float[Tensor, "faces points 3"]
    """Unit vectors in the frame of the light: y up, z toward the viewer."""
    px: Float[Tensor, "faces points 2"]


def observe(
    image: UInt8[np.ndarray, "rows cols 3"],
    points: ColorPoints,
    *,
    identity: Float[Tensor, "faces id"],
    expression: Float[Tensor, "faces expr"],
    rotation_head: Float[Tensor, "faces 3 3"],
    translation_m: Float[Tensor, "faces 3"],
    focal_px: float,
    principal_px: tuple[float, float],
) -> Observed:
    """Look up the points of all faces of a photograph."""
    placed, normals_model = points.place(identity, expression)
    position = camera_from_model(placed, rotation_head, translation_m)
    normals = normals_model @ rotation_head.mT
    camera = Pinhole(image.shape[:2], focal_px, principal_px)
    px = camera.project(position)
    toward = F.normalize(-position, dim=-1)
    cosine = (toward * normals * axes_flip(position)).sum(-1)
    ramp = ((cosine - GRAZING_COSINE) / (FACING_COSINE - GRAZING_COSINE)).clamp(0, 1)
    rows, cols = image.shape[:2]
    inside = ((px > 0) & (px < px.new_tensor([cols, rows]))).all(-1)
    visible = ramp * inside * ~_hidden(px, position[..., 2])
    if points.landmarks is not None:
        placed = points.landmarks.decode_shape(identity, expression)
        lids_px = camera.project(camera_from_model(placed, rotation_head, translation_m))
        for name, on_eye in points.on_eye.items():
            visible = visible * (~on_eye | between_lids(px, lids_px[:, EYE_POINTS[name]]))
    rgb = torch.stack([_read(image, face_px) for face_px in px]) if len(px) else px.new_zeros(0, px.shape[1], 3)
    return Observed(rgb, visible, normals, px)


def _hidden(px: Tensor, depth_m: Tensor) -> Tensor:
    """Find points behind nearer ones of the same face: the nose before a cheek, seen from the side."""
    low, high = px.amin(1, keepdim=True), px.amax(1, keepdim=True)
    size = (high - low).amax(-1, keepdim=True).clamp(min=1e-6)
    col, row = ((px - low) / size * CELLS).long().clamp(0, CELLS - 1).unbind(-1)
    cell = row * CELLS + col
    nearest = depth_m.new_full((len(px), CELLS * CELLS), torch.inf).scatter_reduce(1, cell, depth_m, "amin")
    return depth_m > nearest.gather(1, cell) + HIDDEN_BEHIND_M


def _read(image: np.ndarray, px: Float[Tensor, "points 2"]) -> Float[Tensor, "points 3"]:
    """Read colors at points of one face from the picture, made small first."""
    rows, cols = image.shape[:2]
    at = px.detach().numpy()
    extent = float(np.ptp(at, axis=0).max())
    low = np.floor(at.min(0) - _MARGIN * extent).clip(0, [cols - 1, rows - 1]).astype(int)
    high = np.ceil(at.max(0) + _MARGIN * extent).clip(low + 1, [cols, rows]).astype(int)
    part = image[low[1] : high[1], low[0] : high[0]]
    factor = max(1, round(extent / FACE_PX))
    if factor > 1:
        part = reduced(part, (factor, factor))
    small = torch.from_numpy(np.array(part, dtype=np.float32) / 255.0)
    size = px.new_tensor([part.shape[1] * factor, part.shape[0] * factor])
    return sample_image(small, (px - px.new_tensor(low)) / size)
