"""One camera for all faces of a picture: eq. 4-6 of Zhang et al., "Weakly-Supervised Multi-Face 3D Reconstruction".

Camera frame: +x right, +y down, +z into the scene, metres. Model frame: +x to the viewer's right,
+y up, +z toward the viewer, for a face that looks at the camera. Pixel corner at (0, 0).
"""

import torch
from jaxtyping import Float
from torch import Tensor

GLOBAL_FOCAL_PX = 1015.0
"""Focal length of eq. 4, in pixels of the network's input whatever its size."""

MIN_DEPTH_M = 1e-3
"""Points nearer than this (or behind the camera) are projected from this depth, so that values stay finite."""


def axes_flip(like: Float[Tensor, "..."]) -> Float[Tensor, " 3"]:
    """Return the diagonal (1, -1, -1) between the y-up, z-toward-the-viewer and the camera axes."""
    return torch.tensor([1.0, -1.0, -1.0], dtype=like.dtype, device=like.device)


def camera_from_model(
    vertices_model: Float[Tensor, "*#batch verts 3"],
    rotation_head: Float[Tensor, "*#batch 3 3"],
    translation_m: Float[Tensor, "*#batch 3"],
) -> Float[Tensor, "*batch verts 3"]:
    """Place model-frame points in the camera frame: `x_cam = diag(1,-1,-1) @ R_head @ x_model + t`.

    Args:
        vertices_model: Points of the face in its model frame, metres.
        rotation_head: Head rotation; the identity looks straight at the camera.
        translation_m: Camera-frame position of the model origin.
    """
    cam_from_model = axes_flip(rotation_head)[:, None] * rotation_head
    return vertices_model @ cam_from_model.transpose(-1, -2) + translation_m[..., None, :]


def model_from_camera(
    vertices_cam: Float[Tensor, "*#batch verts 3"],
    rotation_head: Float[Tensor, "*#batch 3 3"],
    translation_m: Float[Tensor, "*#batch 3"],
) -> Float[Tensor, "*batch verts 3"]:
    """Undo `camera_from_model`; the rotation must be orthonormal."""
    cam_from_model = axes_flip(rotation_head)[:, None] * rotation_head
    return (vertices_cam - translation_m[..., None, :]) @ cam_from_model


def principal_point(size_hw: tuple[int, int], like: Float[Tensor, "..."]) -> Float[Tensor, " 2"]:
    """Return the image centre (w/2, h/2) in pixels, the principal point of eq. 4."""
    height, width = size_hw
    return torch.tensor([width / 2, height / 2], dtype=like.dtype, device=like.device)


def intrinsic_matrix(
    focal_px: Float[Tensor, "*batch"] | float | int, size_hw: tuple[int, int]
) -> Float[Tensor, "*batch 3 3"]:
    """Return K of eq. 4 for a focal length in pixels, principal point at the image centre."""
    focal = torch.as_tensor(focal_px, dtype=torch.get_default_dtype()) if not isinstance(focal_px, Tensor) else focal_px
    matrix = torch.zeros(*focal.shape, 3, 3, dtype=focal.dtype, device=focal.device)
    matrix[..., 0, 0] = focal
    matrix[..., 1, 1] = focal
    matrix[..., :2, 2] = principal_point(size_hw, matrix)
    matrix[..., 2, 2] = 1.0
    return matrix


def project(
    points_cam: Float[Tensor, "*batch points 3"],
    focal_px: Float[Tensor, "*#batch"] | float | int,
    size_hw: tuple[int, int],
) -> Float[Tensor, "*batch points 2"]:
    """Project camera-frame points to pixels (eq. 6).

    Args:
        points_cam: Points in metres. Those nearer than `MIN_DEPTH_M` are projected from that depth:
            finite values and gradients, but no longer a picture of the point.
        focal_px: Focal length in pixels of this image.
        size_hw: Height and width of the image; its centre is the principal point.

    Returns:
        (x, y) in pixels, origin at the corner of the first pixel; may lie outside the image.
    """
    rays = points_cam[..., :2] / points_cam[..., 2:].clamp(min=MIN_DEPTH_M)
    focal = focal_px[..., None, None] if isinstance(focal_px, Tensor) else focal_px
    return rays * focal + principal_point(size_hw, points_cam)


def unproject(
    points_px: Float[Tensor, "*batch points 2"],
    depth_m: Float[Tensor, "*batch points"],
    *,
    focal_px: Float[Tensor, "*#batch"] | float | int,
    size_hw: tuple[int, int],
) -> Float[Tensor, "*batch points 3"]:
    """Lift pixels with known depth (camera z, metres) to camera-frame points; undoes `project`."""
    focal = focal_px[..., None, None] if isinstance(focal_px, Tensor) else focal_px
    rays = (points_px - principal_point(size_hw, points_px)) / focal
    return torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1) * depth_m[..., None]


def decode_translation(
    delta: Float[Tensor, "*batch 3"],
    center_px: Float[Tensor, "*#batch 2"],
    *,
    focal_px: Float[Tensor, "*#batch"] | float | int = GLOBAL_FOCAL_PX,
    size_hw: tuple[int, int],
) -> Float[Tensor, "*batch 3"]:
    """Turn a predicted translation vector into metres (eq. 5).

    Args:
        delta: (d_x, d_y) in pixels from the heatmap cell's centre, and d_z in metres.
        center_px: Centre (c_x, c_y) of the heatmap cell in pixels, `(col + 0.5) * stride`.
        focal_px: Focal length in pixels of the network's input.
        size_hw: Height and width of the network's input.
    """
    focal = focal_px[..., None] if isinstance(focal_px, Tensor) else focal_px
    depth_m = delta[..., 2:]
    lateral = depth_m * (delta[..., :2] + center_px - principal_point(size_hw, delta)) / focal
    return torch.cat([lateral, depth_m], dim=-1)


def encode_translation(
    translation_m: Float[Tensor, "*batch 3"],
    center_px: Float[Tensor, "*#batch 2"],
    *,
    focal_px: Float[Tensor, "*#batch"] | float | int = GLOBAL_FOCAL_PX,
    size_hw: tuple[int, int],
) -> Float[Tensor, "*batch 3"]:
    """Undo `decode_translation`: the (d_x, d_y, d_z) that a network should predict at a cell centre.

    The depth must be positive; behind the camera eq. 5 has no inverse that a picture could show.
    """
    focal = focal_px[..., None] if isinstance(focal_px, Tensor) else focal_px
    depth_m = translation_m[..., 2:]
    offset_px = translation_m[..., :2] / depth_m * focal + principal_point(size_hw, translation_m) - center_px
    return torch.cat([offset_px, depth_m], dim=-1)
