"""The photograph's camera."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from morphable.geometry import AXES_FLIP, Pinhole

MODEL_TO_CAMERA = np.diag(AXES_FLIP)
"""R_cam_from_model of a face that looks straight at the camera (y up, z out of the face to y down, z forward)."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Pinhole camera: +x right, +y down, +z into the scene; pixel corner at (0, 0).

    >>> import numpy as np
    >>> camera = Camera(focal_px=500.0, size_hw=(480, 640))
    >>> camera.project(np.array([[0.2, -0.1, 2.0]])).tolist()
    [[370.0, 215.0]]
    """

    focal_px: float
    size_hw: tuple[int, int]
    center_px: tuple[float, float] | None = None
    """Principal point (x, y); the center of the picture by default."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.focal_px) and self.focal_px > 0.0):
            raise ValueError(f"focal_px must be a positive number of pixels, got {self.focal_px}")

    @property
    def pinhole(self) -> Pinhole:
        """The same camera for tensors."""
        return Pinhole(self.size_hw, self.focal_px, self.center_px)

    @property
    def principal_px(self) -> Float[np.ndarray, "2"]:
        """Principal point (x, y) in pixels."""
        height, width = self.size_hw
        return np.array(self.center_px if self.center_px is not None else (width / 2, height / 2))

    @property
    def matrix(self) -> Float[np.ndarray, "3 3"]:
        """Intrinsic matrix K."""
        x, y = self.principal_px
        return np.array([[self.focal_px, 0.0, x], [0.0, self.focal_px, y], [0.0, 0.0, 1.0]])

    @property
    def vertical_fov_rad(self) -> float:
        """Vertical field of view."""
        return 2.0 * math.atan2(self.size_hw[0] / 2.0, self.focal_px)

    def project(self, points_cam_m: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 2"]:
        """Project camera-space points in meters to pixels; points behind the camera from a depth of 1 mm."""
        flat = torch.from_numpy(points_cam_m.reshape(-1, 3))
        return self.pinhole.project(flat).numpy().reshape(*points_cam_m.shape[:-1], 2)
