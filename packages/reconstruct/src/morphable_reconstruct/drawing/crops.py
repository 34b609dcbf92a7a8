"""Upright, square cut-outs of faces."""

import math

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from morphable_reconstruct.faces.rows import Face
from morphable_reconstruct.photographs.window import window

_MARGIN = 1.6
"""Side of a crop, as a multiple of the longer side of the box of the 68 points."""
_MAX_OVERSAMPLING = 8
"""A crop is drawn at most this many times too large and then shrunk, so that large faces do not alias."""
_BORDER_PX = 2.0
"""Pixels that are read around a crop."""


def face_crop(face: Face, *, size_px: int = 256) -> UInt8[np.ndarray, "size size 3"]:
    """Cut a face out of its photograph, turned so that the head stands upright; black beyond the photograph's border.

    Args:
        face: The face, with the photograph it was found in.
        size_px: Side of the crop.

    Raises:
        ValueError: `size_px` is not positive.

    >>> face_crop(scene[0], size_px=112).shape
    (112, 112, 3)
    """
    if size_px < 1:
        raise ValueError(f"size_px must be at least 1, got {size_px}")
    corners = face.box_xyxy_px.reshape(2, 2).astype(np.float64)
    side_px = _MARGIN * float((corners[1] - corners[0]).max())
    up = face.cam_from_model[:2, 1].astype(np.float64)
    length = float(np.linalg.norm(up))
    up = up / length if length > 0.0 else np.array([0.0, -1.0])
    factor = min(_MAX_OVERSAMPLING, max(1, math.ceil(side_px / size_px)))
    drawn_px = size_px * factor
    right, down = np.array([-up[1], up[0]]) * side_px / drawn_px, -up * side_px / drawn_px
    origin = corners.mean(0) - (right + down) * drawn_px / 2
    shown = origin + np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) @ np.stack([right, down]) * drawn_px
    part = window(face.scene.photo.pixels, shown.min(0) - _BORDER_PX, shown.max(0) + _BORDER_PX)
    right, down, origin = right / part.factor, down / part.factor, (origin - part.corner_px) / part.factor
    coefficients = (right[0], down[0], origin[0], right[1], down[1], origin[1])
    picture = Image.fromarray(part.pixels).transform(
        (drawn_px, drawn_px), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
    )
    return np.asarray(picture.reduce(factor))
