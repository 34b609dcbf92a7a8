"""How cells of the network's output encode faces."""

import torch
from jaxtyping import Float
from torch import Tensor

from morphable import FaceParameters
from morphable.geometry import (
    GLOBAL_FOCAL_PX,
    Pinhole,
    euler_xyz_from_rotation,
    ray_rotation,
    rotation_from_euler_xyz,
    rotation_from_vector,
    vector_from_rotation,
)

from .layout import (
    DEPTH_OFFSET_ORIGIN_M,
    LOG_DEPTH_CENTER,
    LOG_DEPTH_HALF_RANGE,
    MAX_LOG_DEPTH_CHANNEL,
    NUM_COLORS,
    NUM_SH_BANDS,
    ParameterLayout,
)


def parameters_from_cells(
    channels: Float[Tensor, "*batch channels"],
    cell_px: Float[Tensor, "*batch 2"],
    size_hw: tuple[int | torch.SymInt, int | torch.SymInt],
    layout: ParameterLayout,
) -> FaceParameters:
    """Read the parameter head's output at some cells.

    Args:
        channels: Raw output of the parameter head.
        cell_px: Centers of the cells in input pixels.
        size_hw: Height and width of the network's input, pixels (symbolic while a graph is exported).
        layout: Meaning of the channels.

    Returns:
        Parameters with the same leading axes; differentiable in `channels`.

    Raises:
        ValueError: The number of channels is not the layout's.
    """
    if channels.shape[-1] != layout.num_channels:
        raise ValueError(
            f"channels must be {layout.num_channels} for this layout, got {channels.shape[-1]}; "
            "use the layout of the detector's configuration"
        )
    camera = Pinhole(size_hw)
    identity, expression, albedo, rotation, translation, light = channels.split(list(layout.sizes), dim=-1)
    head = rotation_from_vector(rotation) if layout.rotation == "rotation_vector" else rotation_from_euler_xyz(rotation)
    if layout.rotation_frame == "ray":
        head = ray_rotation(camera.from_principal_px(cell_px) / GLOBAL_FOCAL_PX) @ head
    depth_m = _depth_from_channel(translation[..., 2:], layout)
    delta = torch.cat([translation[..., :2] * layout.offset_unit_px, depth_m], dim=-1)
    return FaceParameters(
        identity=identity,
        expression=expression,
        albedo=albedo,
        rotation_head=head,
        translation_m=camera.translation(delta, cell_px),
        illumination=light.unflatten(-1, (NUM_SH_BANDS, NUM_COLORS)),
    )


def cells_from_parameters(
    faces: FaceParameters, cell_px: Float[Tensor, "*batch 2"], size_hw: tuple[int, int], layout: ParameterLayout
) -> Float[Tensor, "*batch channels"]:
    """Encode faces as the parameter head would give them at the cells; undoes `parameters_from_cells`.

    Depths outside the range that `layout.depth="log"` can express are clamped to its ends.

    Args:
        faces: One face per cell.
        cell_px: Centers of the cells in input pixels.
        size_hw: Height and width of the network's input, pixels.
        layout: Meaning of the channels.
    """
    camera = Pinhole(size_hw)
    head = faces.rotation_head
    if layout.rotation_frame == "ray":
        head = ray_rotation(camera.from_principal_px(cell_px) / GLOBAL_FOCAL_PX).mT @ head
    rotation = vector_from_rotation(head) if layout.rotation == "rotation_vector" else euler_xyz_from_rotation(head)
    delta = camera.delta(faces.translation_m, cell_px)
    offset, depth = delta[..., :2] / layout.offset_unit_px, _channel_from_depth(delta[..., 2:], layout)
    light = faces.illumination.flatten(-2)
    return torch.cat([faces.identity, faces.expression, faces.albedo, rotation, offset, depth, light], dim=-1)


def _depth_from_channel(channel: Tensor, layout: ParameterLayout) -> Tensor:
    """Depth in meters from its channel."""
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
