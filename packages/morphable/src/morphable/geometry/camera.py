"""One pinhole camera for all faces of a picture: eq. 4-6 of WM3DR.

WM3DR is Zhang et al., "Weakly-Supervised Multi-Face 3D Reconstruction".

Camera frame: +x right, +y down, +z into the scene, meters. Model frame: +x to the viewer's right, +y up, +z toward the
viewer, for a face that looks at the camera. The corner of the first pixel is at (0, 0).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from morphable.geometry.rotation import axes_flip

GLOBAL_FOCAL_PX = 1015.0
"""Focal length of eq. 4, in pixels of the network's input whatever its size."""

MIN_DEPTH_M = 1e-3
"""Points nearer than this depth (or behind the camera) are projected from this depth, so that values stay finite."""

Size = tuple[int | torch.SymInt, int | torch.SymInt]
"""Height and width in pixels; symbolic while a graph is exported."""


@dataclass(frozen=True, eq=False)
class Pinhole:
    """A pinhole camera with square pixels, or a batch of them for pictures of one size."""

    size_hw: Size
    """Height and width of the picture."""
    focal_px: Float[Tensor, "*batch"] | float | int = GLOBAL_FOCAL_PX
    """Focal length in pixels of the picture."""
    center_px: Float[Tensor, "*batch 2"] | tuple[float, float] | None = None
    """Principal point (x, y); the middle of the picture if None."""

    def principal_px(self, like: Float[Tensor, "..."]) -> Float[Tensor, "*batch 2"]:
        """Return the principal point (x, y) in the type and on the device of another tensor."""
        if isinstance(self.center_px, Tensor):
            return self.center_px.to(like)
        height, width = self.size_hw
        center = (width / 2, height / 2) if self.center_px is None else self.center_px
        return torch.tensor(center, dtype=like.dtype, device=like.device)

    def from_principal_px(self, points_px: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
        """Return pixels relative to the principal point; sizes may be symbolic while a graph is exported."""
        if self.center_px is not None:
            return points_px - self.principal_px(points_px)
        height, width = self.size_hw
        return torch.stack([points_px[..., 0] - width / 2, points_px[..., 1] - height / 2], dim=-1)

    def matrix(self) -> Float[Tensor, "*batch 3 3"]:
        """Return K of eq. 4."""
        focal = self.focal_px
        if not isinstance(focal, Tensor):
            focal = torch.as_tensor(focal, dtype=torch.get_default_dtype())
        matrix = torch.zeros(*focal.shape, 3, 3, dtype=focal.dtype, device=focal.device)
        matrix[..., 0, 0] = focal
        matrix[..., 1, 1] = focal
        matrix[..., :2, 2] = self.principal_px(matrix)
        matrix[..., 2, 2] = 1.0
        return matrix

    def project(
        self, points_cam: Float[Tensor, "*batch points 3"], *, min_depth_m: float = MIN_DEPTH_M
    ) -> Float[Tensor, "*batch points 2"]:
        """Project camera-frame points to pixels (eq. 6).

        Args:
            points_cam: Points in meters.
            min_depth_m: Points nearer than this depth are projected from it: finite values and gradients, but no
                longer a picture of the point.

        Returns:
            (x, y) in pixels; positions may lie outside the picture.
        """
        rays = points_cam[..., :2] / points_cam[..., 2:].clamp(min=min_depth_m)
        return rays * self._focal(2) + self._principal(points_cam)

    def unproject(
        self, points_px: Float[Tensor, "*batch points 2"], depth_m: Float[Tensor, "*batch points"]
    ) -> Float[Tensor, "*batch points 3"]:
        """Lift pixels with known depth (camera z, meters) to camera-frame points; undoes `project`."""
        rays = (points_px - self._principal(points_px)) / self._focal(2)
        return torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1) * depth_m[..., None]

    def translation(
        self, delta: Float[Tensor, "*batch 3"], anchor_px: Float[Tensor, "*batch 2"]
    ) -> Float[Tensor, "*batch 3"]:
        """Turn a predicted translation vector into meters (eq. 5).

        Args:
            delta: (d_x, d_y) in pixels from the anchor, and d_z in meters.
            anchor_px: Where the face was found, the center of a heatmap cell: `(col + 0.5) * stride`.
        """
        depth_m = delta[..., 2:]
        lateral = depth_m * (delta[..., :2] + self.from_principal_px(anchor_px)) / self._focal(1)
        return torch.cat([lateral, depth_m], dim=-1)

    def delta(
        self, translation_m: Float[Tensor, "*batch 3"], anchor_px: Float[Tensor, "*batch 2"]
    ) -> Float[Tensor, "*batch 3"]:
        """Undo `translation`: the (d_x, d_y, d_z) that a network should predict at an anchor.

        The depth must be positive; behind the camera eq. 5 has no inverse that a picture could show.
        """
        depth_m = translation_m[..., 2:]
        origin_px = self._focal(1) * translation_m[..., :2] / depth_m
        return torch.cat([origin_px - self.from_principal_px(anchor_px), depth_m], dim=-1)

    def _focal(self, axes: int) -> Tensor | float | int:
        """Return the focal length with trailing axes to broadcast over."""
        return self.focal_px[(..., *[None] * axes)] if isinstance(self.focal_px, Tensor) else self.focal_px

    def _principal(self, points: Tensor) -> Tensor:
        """Return the principal point with an axis to broadcast over points."""
        return self.principal_px(points)[..., None, :]


def camera_from_model(
    points_model: Float[Tensor, "... points 3"],
    rotation_head: Float[Tensor, "... 3 3"],
    translation_m: Float[Tensor, "... 3"],
) -> Float[Tensor, "... points 3"]:
    """Place model-frame points in the camera frame: `x_cam = diag(1, -1, -1) @ R_head @ x_model + t`.

    Args:
        points_model: Points of the face in its model frame, meters.
        rotation_head: Head rotation; the identity looks straight at the camera.
        translation_m: Camera-frame position of the model origin.
    """
    cam_from_model = axes_flip(rotation_head)[:, None] * rotation_head
    return points_model @ cam_from_model.transpose(-1, -2) + translation_m[..., None, :]


def model_from_camera(
    points_cam: Float[Tensor, "... points 3"],
    rotation_head: Float[Tensor, "... 3 3"],
    translation_m: Float[Tensor, "... 3"],
) -> Float[Tensor, "... points 3"]:
    """Undo `camera_from_model`; the rotation must be orthonormal."""
    cam_from_model = axes_flip(rotation_head)[:, None] * rotation_head
    return (points_cam - translation_m[..., None, :]) @ cam_from_model
