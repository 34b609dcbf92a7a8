"""The geometry of `morphable.geometry` for NumPy arrays and square pictures, as scenes hold them."""

import numpy as np
import torch
from jaxtyping import Float

from morphable.geometry import AXES_FLIP, Pinhole, rotation_from_angles

CAM_FROM_UP = np.diag(AXES_FLIP)
"""Rotation from axes with y up and z toward the viewer, as heads and environments have them, to the camera's."""


def head_rotation(pitch_rad: float, yaw_rad: float, roll_rad: float) -> Float[np.ndarray, "3 3"]:
    """Return a head rotation (`morphable.geometry.rotation_from_angles`)."""
    angles_rad = torch.tensor([pitch_rad, yaw_rad, roll_rad], dtype=torch.float64)
    return rotation_from_angles(angles_rad).float().numpy()


def project(points_cam: Float[np.ndarray, "*shape 3"], size_px: int, focal_px: float) -> Float[np.ndarray, "*shape 2"]:
    """Return the pixels of camera-frame points in a square picture."""
    points = torch.from_numpy(np.ascontiguousarray(points_cam)).reshape(-1, 3)
    pixels = Pinhole((size_px, size_px), focal_px).project(points)
    return pixels.float().numpy().reshape(*points_cam.shape[:-1], 2)


def unproject(
    points_px: Float[np.ndarray, "2"], depth_m: float, size_px: int, focal_px: float
) -> Float[np.ndarray, "3"]:
    """Return the camera-frame point of a known depth that a square picture shows at a pixel."""
    pixels, depth = torch.as_tensor(points_px, dtype=torch.float64), torch.tensor([depth_m], dtype=torch.float64)
    return Pinhole((size_px, size_px), focal_px).unproject(pixels[None], depth)[0].numpy()
