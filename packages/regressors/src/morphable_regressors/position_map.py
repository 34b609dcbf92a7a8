"""What the three channels of PRNet's position map mean."""

import torch
from jaxtyping import Float
from torch import Tensor

MIDDLE = 0.5
"""Of the crop's side: the map's third channel at the depth of the model origin."""


def exchange_depth(positions: Float[Tensor, "*batch 3"], side_px: int) -> Float[Tensor, "*batch 3"]:
    """Turn pixel positions with depth into values of the map, or values of the map into positions.

    Both are the same formula. A value of the map is x right, y down, and nearness: half the side at the depth of the
    model origin, more toward the viewer, so that all three are positive for a face inside its crop.

    Args:
        positions: x and y in pixels of the crop and depth into the scene in pixels, 0 at the model origin; or values
            of the map.
        side_px: Side of the crop, and of the map.
    """
    x, y, depth = positions.unbind(-1)
    return torch.stack([x, y, MIDDLE * side_px - depth], dim=-1)
