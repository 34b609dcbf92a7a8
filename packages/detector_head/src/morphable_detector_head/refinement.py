"""A second look at found faces: features sampled over the face that was estimated, and a correction from them.

The paper reads a face from the features around its center. However large the face, that is a patch of three cells. Here
the estimate's pose places a grid of points on the face, the fused features are sampled there, and a small network
corrects the estimate (mesh-aligned features: Zhang et al., PyMAF, ICCV 2021). It is part of the one forward pass and
costs next to nothing, because it runs at the found faces only.

A second refinement may follow. It places its points by the corrected pose, closer together, and also samples the
encoder's features at stride 4, which show edges of lips and lids that stride 8 loses, and the picture itself: an
ImageNet encoder is nearly invariant to light and loses the color cues that albedo and light need.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from morphable import FaceParameters
from morphable.geometry import GLOBAL_FOCAL_PX, camera_from_model

from .decode import STRIDE_PX
from .layout import ParameterLayout

GRID, FINE_GRID = 7, 14
"""Points across and down the face."""
HALF_WIDTH_M, TOP_M, BOTTOM_M = 0.072, 0.066, -0.084
"""The grid's sides in the model frame: ear to ear, forehead to chin."""
FRONT_M, WIDTH_FALL_M, HEIGHT_FALL_M = 0.052, 0.085, 0.012
"""Depth of the grid's middle, and how far it falls back at 75 mm to the side and 75 mm up or down."""
_FALL_UNIT_M = 0.075
_NEAREST_M = 0.05
"""Nearer points are projected as if they were here, so that nothing is divided by zero."""
FINE_STRIDE_PX = 4
"""Input pixels per cell of the encoder's finest features."""
_NUM_COLORS = 3
_FUSED_SHARE, _FINE_SHARE = 24, 12
"""Channels that are left of a point's features in the second refinement."""


def face_grid(points: int = GRID) -> Float[Tensor, "points 3"]:
    """Return a square grid of points on the front of a face as a paraboloid, model frame, meters, row by row."""
    y, x = torch.meshgrid(
        torch.linspace(TOP_M, BOTTOM_M, points), torch.linspace(-HALF_WIDTH_M, HALF_WIDTH_M, points), indexing="ij"
    )
    z = FRONT_M - WIDTH_FALL_M * (x / _FALL_UNIT_M).square() - HEIGHT_FALL_M * (y / _FALL_UNIT_M).square()
    return torch.stack([x, y, z], -1).flatten(0, 1)


class _Correction(nn.Module):
    """What refinements and color head end in; before training it is zero."""

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Linear(inputs, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
        )
        self.output = nn.Linear(width, outputs)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def correction(self, channels: Tensor, *sampled: Tensor) -> Tensor:
        """Read a correction from an estimate and what was sampled by it."""
        inputs = torch.cat([part.to(channels.dtype) for part in (*sampled, channels.detach())], -1)
        return self.output(self.hidden(inputs)).float()


class Refinement(_Correction):
    """Corrects the parameter head's output from features sampled over the face."""

    grid: Tensor

    def __init__(self, channels: int, width: int, num_parameters: int) -> None:
        super().__init__(GRID * GRID * channels + num_parameters, width, num_parameters)
        self.register_buffer("grid", face_grid(), persistent=False)

    def forward(
        self,
        features: Float[Tensor, "batch c rows cols"],
        channels: Float[Tensor, "batch top params"],
        estimate: FaceParameters,
    ) -> Float[Tensor, "batch top params"]:
        """Correct an estimate; before training it is returned as it is.

        Args:
            features: The aggregated features.
            channels: The parameter head's output.
            estimate: The same, decoded.
        """
        sampled = sample_features(features, place_on_face(self.grid, estimate)).flatten(2)
        return channels.float() + self.correction(channels, sampled)


class FineRefinement(_Correction):
    """Corrects a refined estimate from closer points, finer features and colors."""

    grid: Tensor
    fine_grid: Tensor

    def __init__(self, channels: int, fine_channels: int, width: int, num_parameters: int) -> None:
        inputs = GRID * GRID * (_FUSED_SHARE + _NUM_COLORS) + FINE_GRID * FINE_GRID * _FINE_SHARE + num_parameters
        super().__init__(inputs, width, num_parameters)
        self.fused_share = nn.Sequential(nn.Linear(channels, _FUSED_SHARE), nn.ReLU(inplace=True))
        self.fine_share = nn.Sequential(nn.Linear(fine_channels, _FINE_SHARE), nn.ReLU(inplace=True))
        self.register_buffer("grid", face_grid(), persistent=False)
        self.register_buffer("fine_grid", face_grid(FINE_GRID), persistent=False)

    def forward(
        self,
        features: Float[Tensor, "batch c rows cols"],
        fine: Float[Tensor, "batch c2 rows2 cols2"],
        color: Float[Tensor, "batch 3 rows2 cols2"],
        channels: Float[Tensor, "batch top params"],
        estimate: FaceParameters,
    ) -> Float[Tensor, "batch top params"]:
        """Correct an estimate; before training it is returned as it is.

        Args:
            features: The aggregated features.
            fine: The encoder's features at stride 4.
            color: The picture at stride 4.
            channels: The estimate so far.
            estimate: The same, decoded.
        """
        points = place_on_face(self.grid, estimate)
        coarse, seen = sample_features(features, points), sample_features(color, points, stride_px=FINE_STRIDE_PX)
        close = sample_features(fine, place_on_face(self.fine_grid, estimate), stride_px=FINE_STRIDE_PX)
        shares = self.fused_share(coarse.to(channels.dtype)), self.fine_share(close.to(channels.dtype))
        return channels.float() + self.correction(channels, *(sampled.flatten(2) for sampled in (*shares, seen)))


class ColorHead(_Correction):
    """Reads albedo and light from the colors that the picture shows on a face whose shape and pose are found.

    Its weights are its own: in the layers of a refinement, what is learned for shape and pose drowns the colors.
    """

    grid: Tensor
    where: Tensor

    def __init__(self, width: int, layout: ParameterLayout) -> None:
        colors = [channel for channel, is_color in enumerate(layout.are_colors) if is_color]
        super().__init__(GRID * GRID * _NUM_COLORS + layout.num_channels, width, len(colors))
        self.register_buffer("grid", face_grid(), persistent=False)
        self.register_buffer("where", torch.eye(layout.num_channels)[colors], persistent=False)

    def forward(
        self,
        color: Float[Tensor, "batch 3 rows2 cols2"],
        channels: Float[Tensor, "batch top params"],
        estimate: FaceParameters,
    ) -> Float[Tensor, "batch top params"]:
        """Correct the channels of albedo and light; before training they are returned as they are.

        Args:
            color: The picture at stride 4.
            channels: The estimate so far.
            estimate: The same, decoded.
        """
        seen = sample_features(color, place_on_face(self.grid, estimate), stride_px=FINE_STRIDE_PX).flatten(2)
        return channels + self.correction(channels, seen) @ self.where


def place_on_face(grid: Float[Tensor, "points 3"], estimate: FaceParameters) -> Float[Tensor, "batch top points 2"]:
    """Project points of the model frame with a face's pose: pixels relative to the middle of the picture."""
    placed = camera_from_model(grid, estimate.rotation_head, estimate.translation_m)
    return GLOBAL_FOCAL_PX * placed[..., :2] / placed[..., 2:].clamp(min=_NEAREST_M)


def sample_features(
    features: Float[Tensor, "batch c rows cols"],
    from_principal_px: Float[Tensor, "batch top points 2"],
    *,
    stride_px: int = STRIDE_PX,
) -> Float[Tensor, "batch top points c"]:
    """Interpolate features at pixels relative to the middle of the picture; zeros outside."""
    rows, cols = features.shape[2:]
    x, y = from_principal_px.unbind(-1)
    place = torch.stack([x * (2 / stride_px) / cols, y * (2 / stride_px) / rows], -1)
    sampled = F.grid_sample(features.float(), place, "bilinear", "zeros", align_corners=False)
    return sampled.permute(0, 2, 3, 1)
