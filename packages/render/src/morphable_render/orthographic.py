"""Drawing with the scaled-orthographic camera of 3DDFA, PRNet and Mobile-FRNet through the perspective rasterizer."""

import torch
from jaxtyping import Float
from torch import Tensor

from morphable.geometry import Pinhole

PARALLEL_DISTANCE = 1e3
"""Distance of the stand-in pinhole camera, in units of the points' largest coordinate."""


def stand_in_pinhole(
    points_px: Float[Tensor, "*batch points 3"], size_hw: tuple[int, int]
) -> tuple[Float[Tensor, "*batch points 3"], float]:
    """Return vertices and focal length with which the rasterizer draws a scaled-orthographic picture.

    Every point lies on its own pixel's ray, so positions are exact; rays through the inside of a triangle
    are parallel to 1 / `PARALLEL_DISTANCE`. The rasterized depth minus the focal length is the depth in pixels.

    Args:
        points_px: From `project_scaled_orthographic`.
        size_hw: Height and width of the picture.
    """
    center = Pinhole(size_hw).principal_px(points_px)
    far = PARALLEL_DISTANCE * max(float(points_px.detach().abs().max()), 1.0)
    depth = points_px[..., 2:] + far
    return torch.cat([(points_px[..., :2] - center) * depth / far, depth], dim=-1), far
