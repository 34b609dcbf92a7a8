"""The scaled-orthographic camera of 3DDFA, PRNet and Mobile-FRNet: `V = f * Pr * R * S + t`, in our pixels."""

import torch
from jaxtyping import Float
from torch import Tensor

from morphable.geometry.camera import Pinhole
from morphable.geometry.rotation import axes_flip


def project_scaled_orthographic(
    points_model: Float[Tensor, "*#batch points 3"],
    rotation_head: Float[Tensor, "*#batch 3 3"],
    *,
    scale_px_per_m: Float[Tensor, "*#batch"],
    offset_px: Float[Tensor, "*#batch 2"],
) -> Float[Tensor, "*batch points 3"]:
    """Project model-frame points along parallel rays.

    Args:
        points_model: Points of the face in its model frame, meters.
        rotation_head: Head rotation; the identity looks straight at the camera.
        scale_px_per_m: The camera's f.
        offset_px: Pixel of the model origin.

    Returns:
        x right and y down in pixels, and depth into the scene in pixels of the same scale, 0 at the model origin.
    """
    turned = points_model @ (axes_flip(rotation_head)[:, None] * rotation_head).transpose(-1, -2)
    return turned * scale_px_per_m[..., None, None] + torch.nn.functional.pad(offset_px, (0, 1))[..., None, :]


def scaled_orthographic_from_pinhole(
    translation_m: Float[Tensor, "*batch 3"],
    *,
    focal_px: Float[Tensor, "*#batch"] | float | int,
    size_hw: tuple[int, int],
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch 2"]]:
    """Return the scale (px per meter) and offset (px) that agree with a pinhole camera at the face's distance."""
    offset_px = Pinhole(size_hw, focal_px).project(translation_m[..., None, :])[..., 0, :]
    return focal_px / translation_m[..., 2], offset_px


def pinhole_from_scaled_orthographic(
    scale_px_per_m: Float[Tensor, "*batch"],
    offset_px: Float[Tensor, "*batch 2"],
    *,
    focal_px: Float[Tensor, "*#batch"] | float | int,
    size_hw: tuple[int, int],
) -> Float[Tensor, "*batch 3"]:
    """Return the translation in meters at which a pinhole camera sees the model origin alike; undoes the above."""
    depth_m = focal_px / scale_px_per_m
    lateral = Pinhole(size_hw).from_principal_px(offset_px) / scale_px_per_m[..., None]
    return torch.cat([lateral, depth_m[..., None]], dim=-1)
