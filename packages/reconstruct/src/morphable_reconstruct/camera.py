"""The photograph's camera, and faces moved from one camera to another without moving their pixels."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

MODEL_TO_CAMERA = np.diag([1.0, -1.0, -1.0])
"""R_cam_from_model of a face that looks straight at the camera (y up, z out of the face to y down, z forward)."""
NETWORK_FOCAL_PX = 1015.0
"""Focal length in pixels of the network's input, whatever its size (WM3DR, eq. 4)."""
_MIN_DEPTH_M = 1e-3
_MAX_STEPS = 30
_FIRST_DAMPING = 1e-4
_MIN_GAIN = 1e-10


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Pinhole camera: +x right, +y down, +z into the scene; pixel corner at (0, 0)."""

    focal_px: float
    size_hw: tuple[int, int]
    center_px: tuple[float, float] | None = None
    """Principal point (x, y); the centre of the picture by default."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.focal_px) and self.focal_px > 0.0):
            raise ValueError(f"focal_px must be a positive number of pixels, got {self.focal_px}")

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
        """Project camera-space points in metres to pixels; points behind the camera from a depth of 1 mm."""
        depth_m = np.maximum(points_cam_m[..., 2:], _MIN_DEPTH_M)
        return (points_cam_m[..., :2] / depth_m * self.focal_px + self.principal_px).astype(points_cam_m.dtype)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pose:
    """Head poses in a camera, and how well they keep the pixels they were solved from."""

    rotation_head: Float[np.ndarray, "faces 3 3"]
    translation_m: Float[np.ndarray, "faces 3"]
    residual_px: Float[np.ndarray, " faces"]
    """Root mean square distance of the solved points from the predicted pixels."""


def change_camera(
    points_model_m: Float[np.ndarray, "faces points 3"],
    rotation_head: Float[np.ndarray, "faces 3 3"],
    translation_m: Float[np.ndarray, "faces 3"],
    *,
    source: Camera,
    target: Camera,
) -> Pose:
    """Re-solve head poses so that the same rigid points keep their pixels in another camera.

    Starts from the depth scaled by the ratio of focal lengths, the origin on the same pixel and the rotation
    turned with its viewing ray, then minimises the squared pixel distance by Levenberg-Marquardt. Off the
    optical axis the start alone is wrong by tens of pixels. Both cameras count the pixels of one picture.
    """
    points = points_model_m.astype(np.float64)
    turn = MODEL_TO_CAMERA @ rotation_head.astype(np.float64)
    moved = np.einsum("fij,fpj->fpi", turn, points) + translation_m[:, None].astype(np.float64)
    pixels = source.project(moved)
    turn, shift = _first_guess(turn, translation_m.astype(np.float64), source, target)
    turn, shift, cost = _solve(points, pixels, turn, shift, target)
    return Pose(
        rotation_head=(MODEL_TO_CAMERA @ turn).astype(np.float32),
        translation_m=shift.astype(np.float32),
        residual_px=np.sqrt(cost / points.shape[1]).astype(np.float32),
    )


def _first_guess(turn: np.ndarray, shift: np.ndarray, source: Camera, target: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Keep the origin's pixel, scale its depth, turn the rotation with the viewing ray."""
    origin_px = source.project(shift)
    old_ray = np.concatenate([shift[:, :2] / shift[:, 2:], np.ones((len(shift), 1))], axis=1)
    new_ray = np.concatenate([(origin_px - target.principal_px) / target.focal_px, np.ones((len(shift), 1))], axis=1)
    depth_m = shift[:, 2:] * (target.focal_px / source.focal_px)
    return _turn_between(old_ray, new_ray) @ turn, new_ray * depth_m


def _turn_between(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Smallest rotations that take directions to directions less than 180 degrees away."""
    start = start / np.linalg.norm(start, axis=1, keepdims=True)
    end = end / np.linalg.norm(end, axis=1, keepdims=True)
    cross = _cross_matrix(np.cross(start, end))
    cosine = (start * end).sum(1)[:, None, None]
    return np.eye(3) + cross + cross @ cross / (1.0 + cosine)


def _solve(
    points: np.ndarray, pixels: np.ndarray, turn: np.ndarray, shift: np.ndarray, camera: Camera
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Levenberg-Marquardt over a left rotation vector and a translation, all faces at once."""
    error, jacobian = _residual(points, pixels, turn, shift, camera)
    cost = (error**2).sum(1)
    damping = np.full(len(points), _FIRST_DAMPING)
    for _ in range(_MAX_STEPS):
        hessian = np.einsum("fri,frj->fij", jacobian, jacobian)
        scale = np.einsum("fii->fi", hessian)
        hessian = hessian + np.eye(6) * (scale * damping[:, None])[:, None]
        step = -np.linalg.solve(hessian, np.einsum("fri,fr->fi", jacobian, error)[..., None])[..., 0]
        new_turn, new_shift = _rotation(step[:, :3]) @ turn, shift + step[:, 3:]
        new_error, new_jacobian = _residual(points, pixels, new_turn, new_shift, camera)
        new_cost = (new_error**2).sum(1)
        better = (new_cost < cost) & (new_shift[:, 2] > _MIN_DEPTH_M)
        gain = np.where(better, cost - new_cost, 0.0)
        turn = np.where(better[:, None, None], new_turn, turn)
        shift = np.where(better[:, None], new_shift, shift)
        error = np.where(better[:, None], new_error, error)
        jacobian = np.where(better[:, None, None], new_jacobian, jacobian)
        cost = np.where(better, new_cost, cost)
        damping = np.where(better, damping / 10.0, damping * 10.0)
        if np.all(better & (gain <= _MIN_GAIN * (cost + 1.0)) | (damping > 1e6)):
            break
    return turn, shift, cost


def _residual(
    points: np.ndarray, pixels: np.ndarray, turn: np.ndarray, shift: np.ndarray, camera: Camera
) -> tuple[np.ndarray, np.ndarray]:
    """Pixel errors (faces, 2 points) and their derivative by (rotation vector, translation)."""
    turned = np.einsum("fij,fpj->fpi", turn, points)
    moved = turned + shift[:, None]
    error = camera.project(moved) - pixels
    x, y = moved[..., 0], moved[..., 1]
    inverse_m = 1.0 / np.maximum(moved[..., 2], _MIN_DEPTH_M)
    zero = np.zeros_like(x)
    by_point = camera.focal_px * np.stack(
        [
            np.stack([inverse_m, zero, -x * inverse_m**2], axis=-1),
            np.stack([zero, inverse_m, -y * inverse_m**2], axis=-1),
        ],
        axis=-2,
    )
    by_turn = by_point @ -_cross_matrix(turned)
    jacobian = np.concatenate([by_turn, by_point], axis=-1)
    faces = len(points)
    return error.reshape(faces, -1), jacobian.reshape(faces, -1, 6)


def _cross_matrix(vector: np.ndarray) -> np.ndarray:
    """Matrices [v]x with [v]x w = v x w."""
    x, y, z = np.moveaxis(vector, -1, 0)
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*vector.shape[:-1], 3, 3)


def _rotation(vector: np.ndarray) -> np.ndarray:
    """Rodrigues' formula."""
    angle = np.linalg.norm(vector, axis=-1)[..., None, None]
    cross = _cross_matrix(vector)
    return np.eye(3) + np.sinc(angle / np.pi) * cross + 0.5 * np.sinc(angle / (2 * np.pi)) ** 2 * cross @ cross
