"""What the three channels of PRNet's position map mean."""

import torch
from jaxtyping import Float
from torch import Tensor

MIDDLE = 0.5
"""Third channel at the depth of the model origin, as a share of the crop's side."""
DEPTH_SHARE = 0.5
"""Change of the third channel per pixel of depth, in pixels. At one, noses of large faces would leave the range of the
network's sigmoid, which spans 1.1 sides."""


def map_of_points(points_px: Float[Tensor, "*batch 3"], side_px: int) -> Float[Tensor, "*batch 3"]:
    """Turn positions into values of the map: x right, y down, and nearness, which grows toward the viewer.

    Args:
        points_px: x and y in pixels of the crop, and depth into the scene in pixels, 0 at the model origin.
        side_px: Side of the crop, and of the map.
    """
    x, y, depth = points_px.unbind(-1)
    return torch.stack([x, y, MIDDLE * side_px - DEPTH_SHARE * depth], dim=-1)


def points_of_map(values: Float[Tensor, "*batch 3"], side_px: int) -> Float[Tensor, "*batch 3"]:
    """Undo `map_of_points`."""
    x, y, nearness = values.unbind(-1)
    return torch.stack([x, y, (MIDDLE * side_px - nearness) / DEPTH_SHARE], dim=-1)
