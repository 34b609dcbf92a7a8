"""The axes of every head over the photograph (WM3DR, Fig. 11): how the heads are turned."""

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from morphable_reconstruct.drawing.overlay import shrunk
from morphable_reconstruct.faces.rows import Face, SceneRows

AXIS_COLORS = ((235, 60, 50), (60, 200, 70), (60, 110, 255))
"""Red to the person's left, green to the top of the head, blue out of the face."""
_SHARE = 0.75
"""Length of an axis, as a share of the distance from the chin to the place between the brows."""
_CHIN, _BROWS = 8, (21, 22)
_WIDTH = 0.04
"""Width of a line, as a share of an axis that is seen from the side."""


def draw_axes(rows: SceneRows, *, max_side_px: int = 2048) -> UInt8[np.ndarray, "rows cols 3"]:
    """Draw the axes of every head from between its brows, nearer lines over farther ones.

    Args:
        rows: The faces.
        max_side_px: Larger photographs are shrunk to this.
    """
    pixels, ratio = shrunk(rows, max_side_px)
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    far_to_near = sorted(rows, key=lambda face: -float(face.cam_from_model[2, 3]))
    for face in far_to_near:
        ends_m = head_axes(face)
        ends_px = rows.camera.project(ends_m) * ratio
        length_px = np.linalg.norm(ends_m[1] - ends_m[0]) / ends_m[0, 2] * rows.camera.focal_px * ratio[0]
        width = max(2, round(_WIDTH * float(length_px)))
        for axis in sorted(range(3), key=lambda axis: -float(ends_m[axis + 1, 2])):
            line = (*ends_px[0].tolist(), *ends_px[axis + 1].tolist())
            draw.line(line, fill=AXIS_COLORS[axis], width=width)
    return np.asarray(picture)


def head_axes(face: Face) -> Float[np.ndarray, "4 3"]:
    """Return where the axes of a head start and where its x, y and z axis end, in camera space.

    They start between the brows.
    """
    points = face.landmarks68_cam_m
    start = points[list(_BROWS)].mean(0)
    length = _SHARE * float(np.linalg.norm(start - points[_CHIN]))
    return np.concatenate([start[None], start + length * face.cam_from_model[:3, :3].T])
