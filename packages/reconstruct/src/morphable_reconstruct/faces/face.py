"""One reconstructed face: its parameters, and everything that follows from them, computed when asked for."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float

from morphable import MorphableModel
from morphable_reconstruct.faces.camera import MODEL_TO_CAMERA, Camera
from morphable_reconstruct.faces.landmarks import landmark_basis
from morphable_render import head_angles


@dataclass(frozen=True, kw_only=True)
class HeadAngles:
    """Head pose in radians, 3DDFA's convention; zero looks straight at the camera."""

    pitch: float
    yaw: float
    roll: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Face:
    """A face of a photograph. Lengths in metres, pixels of the photograph, left and right are the person's own."""

    score: float
    """Probability of the centre heatmap."""
    center_px: Float[np.ndarray, "2"]
    """Centre of the heatmap cell the face was read from."""
    identity: Float[np.ndarray, " id"]
    """Shape coefficients, standard normal a priori."""
    expression: Float[np.ndarray, " expr"]
    """Expression activations, 0 neutral, 1 full; by name in `expressions`."""
    albedo: Float[np.ndarray, " alb"]
    """Albedo coefficients, standard normal a priori."""
    rotation_head: Float[np.ndarray, "3 3"]
    """Identity for a face that looks straight at the camera."""
    translation_m: Float[np.ndarray, "3"]
    """Model origin in camera space."""
    illumination: Float[np.ndarray, "9 3"]
    """Spherical harmonics coefficients of nine bands and three colours."""
    camera: Camera
    model: MorphableModel
    camera_residual_px: float | None = None
    """How far the points moved when the pose was re-solved for another camera; None where it was not."""
    track_id: int | None = None
    """The same number for the same person throughout a video; None in photographs."""

    @property
    def expressions(self) -> dict[str, float]:
        """Expression activations by name, e.g. `jawOpen`."""
        return dict(zip(self.model.expression_names, self.expression.tolist(), strict=True))

    @property
    def angles(self) -> HeadAngles:
        """Pitch, yaw and roll of the head."""
        pitch, yaw, roll = head_angles(torch.from_numpy(self.rotation_head)).unbind(-1)
        return HeadAngles(pitch=float(pitch), yaw=float(yaw), roll=float(roll))

    @cached_property
    def vertices_model_m(self) -> Float[np.ndarray, "verts 3"]:
        """Vertices in the model frame, expression applied."""
        with torch.no_grad():
            return self.model.decode_shape(_tensor(self.identity), _tensor(self.expression)).numpy()

    @property
    def vertices_cam_m(self) -> Float[np.ndarray, "verts 3"]:
        """Vertices in camera space."""
        return self._to_camera(self.vertices_model_m)

    @property
    def vertices_px(self) -> Float[np.ndarray, "verts 2"]:
        """Vertices projected into the photograph."""
        return self.camera.project(self.vertices_cam_m)

    @cached_property
    def albedo_rgb(self) -> Float[np.ndarray, "verts 3"]:
        """sRGB-encoded reflectance of the vertices, clamped to [0, 1]."""
        with torch.no_grad():
            return self.model.decode_albedo(_tensor(self.albedo)).clamp(0.0, 1.0).numpy()

    @cached_property
    def landmarks68_cam_m(self) -> Float[np.ndarray, "68 3"]:
        """The 68 static surface points (`ibug68_3d`), hidden jaw included, in camera space."""
        basis = landmark_basis(self.model)
        return self._to_camera(basis.decode(self.identity, self.expression))

    @property
    def landmarks68_px(self) -> Float[np.ndarray, "68 2"]:
        """The 68 static surface points in the photograph."""
        return self.camera.project(self.landmarks68_cam_m)

    @cached_property
    def landmarks68_contour_px(self) -> Float[np.ndarray, "68 2"]:
        """The 68 points with the jaw on the visible silhouette (`ibug68_contour`), in the photograph."""
        with torch.no_grad():
            points = self.model.contour_landmarks(torch.from_numpy(self.vertices_cam_m)).numpy()
        return self.camera.project(points)

    @property
    def box_xyxy_px(self) -> Float[np.ndarray, "4"]:
        """Tight box of the 68 static points: left, top, right, bottom."""
        points = self.landmarks68_px
        return np.concatenate([points.min(0), points.max(0)])

    def landmarks(self, scheme: str) -> Float[np.ndarray, "lmk 3"]:
        """Points of one of the model's schemes, in the model frame."""
        with torch.no_grad():
            return self.model.landmarks(torch.from_numpy(self.vertices_model_m), scheme).numpy()

    def _to_camera(self, points_model_m: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
        """Model frame to camera space."""
        turn = MODEL_TO_CAMERA @ self.rotation_head.astype(np.float64)
        return (points_model_m @ turn.T + self.translation_m).astype(np.float32)


def _tensor(values: np.ndarray) -> torch.Tensor:
    """A float32 tensor of the same numbers."""
    return torch.as_tensor(values, dtype=torch.float32)
