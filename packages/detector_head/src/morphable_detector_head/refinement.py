"""A second look at found faces: features sampled over the face that was estimated, and a correction from them.

The paper reads a face from the features around its centre. However large the face, that is a patch of three cells. Here
the estimate's pose places a grid of points on the face, the fused features are sampled there, and a small network
corrects the estimate (mesh-aligned features: Zhang et al., PyMAF, ICCV 2021). It is part of the one forward pass and
costs next to nothing, because it runs at the found faces only.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .decode import STRIDE_PX
from .face_parameters import GLOBAL_FOCAL_PX, FaceParameters

GRID = 7
"""Points across and down the face."""
HALF_WIDTH_M, TOP_M, BOTTOM_M = 0.072, 0.066, -0.084
"""The grid's sides in the model frame: ear to ear, forehead to chin."""
FRONT_M, WIDTH_FALL_M, HEIGHT_FALL_M = 0.052, 0.085, 0.012
"""Depth of the grid's middle, and how far it falls back at 75 mm to the side and 75 mm up or down."""
_FALL_UNIT_M = 0.075
_NEAREST_M = 0.05
"""Nearer points are projected as if they were here, so that nothing is divided by zero."""


def face_grid() -> Float[Tensor, "points 3"]:
    """Return points on the front of a face as a paraboloid, model frame, metres, row by row."""
    y, x = torch.meshgrid(
        torch.linspace(TOP_M, BOTTOM_M, GRID), torch.linspace(-HALF_WIDTH_M, HALF_WIDTH_M, GRID), indexing="ij"
    )
    z = FRONT_M - WIDTH_FALL_M * (x / _FALL_UNIT_M).square() - HEIGHT_FALL_M * (y / _FALL_UNIT_M).square()
    return torch.stack([x, y, z], -1).flatten(0, 1)


class Refinement(nn.Module):
    """Corrects the parameter head's output from features sampled over the face."""

    grid: Tensor

    def __init__(self, channels: int, width: int, num_parameters: int) -> None:
        super().__init__()
        self.register_buffer("grid", face_grid(), persistent=False)
        self.hidden = nn.Sequential(
            nn.Linear(GRID * GRID * channels + num_parameters, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
        )
        self.output = nn.Linear(width, num_parameters)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(
        self,
        features: Float[Tensor, "batch c rows cols"],
        channels: Float[Tensor, "batch top params"],
        estimate: FaceParameters,
    ) -> Float[Tensor, "batch top params"]:
        """Correct an estimate; before training it is returned as it is.

        Args:
            features: The aggregated features.
            channels: The parameter head's output, detached.
            estimate: The same, decoded.
        """
        sampled = sample_features(features, self.place(estimate))
        correction = self.output(self.hidden(torch.cat([sampled.to(channels.dtype), channels], -1)))
        return channels.float() + correction.float()

    def place(self, estimate: FaceParameters) -> Float[Tensor, "batch top points 2"]:
        """Project the grid with a face's pose: pixels relative to the middle of the picture."""
        turned = self.grid @ estimate.rotation.mT
        shift = estimate.translation[..., None, :]
        depth = (shift[..., 2:] - turned[..., 2:]).clamp(min=_NEAREST_M)
        across = torch.cat([turned[..., :1], -turned[..., 1:2]], -1) + shift[..., :2]
        return GLOBAL_FOCAL_PX * across / depth


def sample_features(
    features: Float[Tensor, "batch c rows cols"], from_principal_px: Float[Tensor, "batch top points 2"]
) -> Float[Tensor, "batch top point_channels"]:
    """Interpolate features at pixels relative to the middle of the picture; zeros outside.

    Returns:
        Point by point, the channels of a point together.
    """
    rows, cols = features.shape[2:]
    x, y = from_principal_px.unbind(-1)
    place = torch.stack([x * (2 / STRIDE_PX) / cols, y * (2 / STRIDE_PX) / rows], -1)
    sampled = F.grid_sample(features.float(), place, "bilinear", "zeros", align_corners=False)
    return sampled.permute(0, 2, 3, 1).flatten(2)
