"""The parameters of faces, and how cells of the network's output encode them."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from .layout import (
    DEPTH_OFFSET_ORIGIN_M,
    LOG_DEPTH_CENTER,
    LOG_DEPTH_HALF_RANGE,
    MAX_LOG_DEPTH_CHANNEL,
    NUM_COLORS,
    NUM_SH_BANDS,
    ParameterLayout,
)

GLOBAL_FOCAL_PX = 1015.0
"""Focal length of the shared camera in pixels of the network's input, whatever its size (equation 4)."""


@dataclass(frozen=True)
class FaceParameters:
    """Everything that draws one face: morphable-model coefficients, pose in the shared camera, light."""

    identity: Float[Tensor, "*batch id"]
    """Standard normal a priori."""
    expression: Float[Tensor, "*batch expr"]
    """Activations, 0 neutral, 1 full (open model); standard normal for models with an expression PCA."""
    albedo: Float[Tensor, "*batch alb"]
    """Standard normal a priori."""
    rotation: Float[Tensor, "*batch 3 3"]
    """`R_head`: `x_cam = diag(1, -1, -1) @ rotation @ x_model + translation`."""
    translation: Float[Tensor, "*batch 3"]
    """Position of the model's origin in the camera, metres, +x right, +y down, +z forward."""
    illumination: Float[Tensor, "*batch 9 3"]
    """Spherical-harmonics bands by red, green, blue, before the renderer's offset of the constant band."""

    def map(self, function: Callable[[Tensor], Tensor]) -> "FaceParameters":
        """Apply a function to every tensor, e.g. `lambda x: x.to(device)`."""
        return type(self)(**{field.name: function(getattr(self, field.name)) for field in fields(self)})

    def __getitem__(self, index: Tensor | int | slice | tuple[Tensor | int | slice, ...]) -> "FaceParameters":
        """Index the leading axes, e.g. with a boolean mask of valid faces."""
        return self.map(lambda tensor: tensor[index])

    @classmethod
    def from_cells(
        cls,
        channels: Float[Tensor, "*batch channels"],
        cell_px: Float[Tensor, "*batch 2"],
        size_hw: tuple[int | torch.SymInt, int | torch.SymInt],
        layout: ParameterLayout,
    ) -> "FaceParameters":
        """Read the parameter head's output at some cells.

        Args:
            channels: Raw output of the parameter head.
            cell_px: Centres of the cells in input pixels.
            size_hw: Height and width of the network's input, pixels (symbolic while a graph is exported).
            layout: Meaning of the channels.

        Returns:
            Parameters with the same leading axes; differentiable in `channels`.

        Raises:
            ValueError: The number of channels is not the layout's.
        """
        _check_channels(channels, layout)
        from_principal_px = _relative_to_principal(cell_px, size_hw)
        parts = channels.split(list(layout.sizes), dim=-1)
        identity, expression, albedo, rotation, translation, illumination = parts
        if layout.rotation == "rotation_vector":
            head = roma.rotvec_to_rotmat(rotation)
        else:
            head = _rotation_from_euler_xyz(rotation)
        if layout.rotation_frame == "ray":
            head = _head_ray_rotation(from_principal_px) @ head
        depth_m = _depth_from_channel(translation[..., 2:], layout)
        xy_m = depth_m * (translation[..., :2] * layout.offset_unit_px + from_principal_px) / GLOBAL_FOCAL_PX
        return cls(
            identity=identity,
            expression=expression,
            albedo=albedo,
            rotation=head,
            translation=torch.cat([xy_m, depth_m], dim=-1),
            illumination=illumination.unflatten(-1, (NUM_SH_BANDS, NUM_COLORS)),
        )

    def to_cells(
        self, cell_px: Float[Tensor, "*batch 2"], size_hw: tuple[int, int], layout: ParameterLayout
    ) -> Float[Tensor, "*batch channels"]:
        """Encode the parameters as the parameter head would give them at the cells: inverse of `from_cells`.

        Depths outside the range that `layout.depth="log"` can express are clamped to its ends.

        Args:
            cell_px: Centres of the cells in input pixels.
            size_hw: Height and width of the network's input, pixels.
            layout: Meaning of the channels.
        """
        from_principal_px = _relative_to_principal(cell_px, size_hw)
        head = self.rotation
        if layout.rotation_frame == "ray":
            head = _head_ray_rotation(from_principal_px).mT @ head
        if layout.rotation == "rotation_vector":
            rotation = roma.rotmat_to_rotvec(head)
        else:
            rotation = _euler_xyz_from_rotation(head)
        depth_m = self.translation[..., 2:]
        origin_px = GLOBAL_FOCAL_PX * self.translation[..., :2] / depth_m
        offset = (origin_px - from_principal_px) / layout.offset_unit_px
        depth = _channel_from_depth(depth_m, layout)
        illumination = self.illumination.flatten(-2)
        return torch.cat([self.identity, self.expression, self.albedo, rotation, offset, depth, illumination], dim=-1)


def _check_channels(channels: Tensor, layout: ParameterLayout) -> None:
    if channels.shape[-1] != layout.num_channels:
        raise ValueError(
            f"channels must be {layout.num_channels} for this layout, got {channels.shape[-1]}; "
            "use the layout of the detector's configuration"
        )


def _relative_to_principal(cell_px: Tensor, size_hw: tuple[int | torch.SymInt, int | torch.SymInt]) -> Tensor:
    """Pixel positions relative to the centre of a picture."""
    height, width = size_hw
    return torch.stack([cell_px[..., 0] - width / 2, cell_px[..., 1] - height / 2], dim=-1)


def _depth_from_channel(channel: Tensor, layout: ParameterLayout) -> Tensor:
    """Depth in metres from its channel."""
    if layout.depth == "offset":
        return channel + DEPTH_OFFSET_ORIGIN_M
    bounded = channel.clamp(-MAX_LOG_DEPTH_CHANNEL, MAX_LOG_DEPTH_CHANNEL)
    return torch.exp(bounded * LOG_DEPTH_HALF_RANGE + LOG_DEPTH_CENTER)


def _channel_from_depth(depth_m: Tensor, layout: ParameterLayout) -> Tensor:
    """Inverse of `_depth_from_channel`."""
    if layout.depth == "offset":
        return depth_m - DEPTH_OFFSET_ORIGIN_M
    channel = (depth_m.log() - LOG_DEPTH_CENTER) / LOG_DEPTH_HALF_RANGE
    return channel.clamp(-MAX_LOG_DEPTH_CHANNEL, MAX_LOG_DEPTH_CHANNEL)


def _head_ray_rotation(from_principal_px: Tensor) -> Tensor:
    """Rotation, in the head's axes, that turns the optical axis onto the ray through a pixel.

    With the unit ray d and K the cross-product matrix of z x d, it is I + K + K K / (1 + d_z) in camera axes;
    `diag(1, -1, -1)` on both sides changes the signs of the entries xy, xz and their mirrors.
    """
    x, y = (from_principal_px / GLOBAL_FOCAL_PX).unbind(-1)
    length = torch.sqrt(x * x + y * y + 1)
    x, y, z = x / length, y / length, 1 / length
    xx, xy, yy = x * x / (1 + z), x * y / (1 + z), y * y / (1 + z)
    rows = [[1 - xx, xy, -x], [xy, 1 - yy, y], [x, -y, z]]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def _rotation_from_euler_xyz(angles: Tensor) -> Tensor:
    """`Rz Ry Rx` from the angles about x, y, z."""
    cx, cy, cz = angles.cos().unbind(-1)
    sx, sy, sz = angles.sin().unbind(-1)
    rows = [
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
        [-sy, cy * sx, cy * cx],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def _euler_xyz_from_rotation(rotation: Tensor) -> Tensor:
    """Angles about x, y, z with `R = Rz Ry Rx`; the angle about y lies in [-pi/2, pi/2]."""
    x = torch.atan2(rotation[..., 2, 1], rotation[..., 2, 2])
    y = torch.asin(-rotation[..., 2, 0].clamp(-1, 1))
    z = torch.atan2(rotation[..., 1, 0], rotation[..., 0, 0])
    return torch.stack([x, y, z], dim=-1)
