"""Head pose as angles, and its error (AFLW2000-3D's convention: pitch, yaw, roll of `Pose_Para`)."""

import numpy as np
from jaxtyping import Bool, Float

MAX_ANGLE_DEG = 99.0
"""Images with an angle beyond this are left out of the benchmark (FSA-Net's rule, kept by all later work)."""

_FLIP_YZ = np.diag([1.0, -1.0, -1.0])
"""Camera from model axes: y down and z forward instead of y up and z toward the viewer."""


def angles_from_rotation(rotation_head: Float[np.ndarray, "*faces 3 3"]) -> Float[np.ndarray, "*faces 3"]:
    """Return pitch, yaw, roll in radians, for `R_head = Rx(-pitch) Ry(-yaw) Rz(-roll)`.

    Yaw lies in [-pi/2, pi/2]: a head turned farther comes out with the other two angles turned by pi.
    """
    R = rotation_head.astype(np.float64)
    pitch = np.arctan2(R[..., 1, 2], R[..., 2, 2])
    yaw = np.arcsin(np.clip(-R[..., 0, 2], -1.0, 1.0))
    roll = np.arctan2(R[..., 0, 1], R[..., 0, 0])
    return np.stack([pitch, yaw, roll], axis=-1)


def rotation_from_angles(angles: Float[np.ndarray, "*faces 3"]) -> Float[np.ndarray, "*faces 3 3"]:
    """Return `R_head` from pitch, yaw, roll in radians; inverse of `angles_from_rotation` for |yaw| < pi/2."""
    c, s = np.cos(-angles), np.sin(-angles)
    zero, one = np.zeros_like(c[..., 0]), np.ones_like(c[..., 0])
    Rx = _matrix([[one, zero, zero], [zero, c[..., 0], -s[..., 0]], [zero, s[..., 0], c[..., 0]]])
    Ry = _matrix([[c[..., 1], zero, s[..., 1]], [zero, one, zero], [-s[..., 1], zero, c[..., 1]]])
    Rz = _matrix([[c[..., 2], -s[..., 2], zero], [s[..., 2], c[..., 2], zero], [zero, zero, one]])
    return Rx @ Ry @ Rz


def look_at_rotation(
    rotation_head: Float[np.ndarray, "faces 3 3"], translation_m: Float[np.ndarray, "faces 3"]
) -> Float[np.ndarray, "faces 3 3"]:
    """Return the head rotation as a camera would see it that is turned to look straight at the face.

    Labels made on crops mean this pose. A perspective system's `R_head` differs from it by the angle of the
    viewing ray, up to 14 degrees at the border of a picture with a field of view of 28 degrees.

    Args:
        rotation_head: Predicted `R_head`.
        translation_m: Predicted position in the camera frame, in front of the camera.

    Raises:
        ValueError: A face is at the camera's origin or straight above or below it.
    """
    forward = translation_m.astype(np.float64)
    distance = np.linalg.norm(forward, axis=-1, keepdims=True)
    down = np.array([0.0, 1.0, 0.0])
    right = np.cross(down, forward)
    width = np.linalg.norm(right, axis=-1, keepdims=True)
    if not ((distance > 0).all() and (width > 0).all()):
        raise ValueError("translation_m must lie in front of the camera, got a face at or straight above its origin")
    forward, right = forward / distance, right / width
    turned_from_cam = np.stack([right, np.cross(forward, right), forward], axis=-2)
    return _FLIP_YZ @ turned_from_cam @ _FLIP_YZ @ rotation_head.astype(np.float64)


def angle_errors(
    predicted_deg: Float[np.ndarray, "faces 3"], target_deg: Float[np.ndarray, "faces 3"], *, wrap: bool
) -> Float[np.ndarray, "faces 3"]:
    """Return absolute differences of pitch, yaw, roll in degrees.

    Args:
        predicted_deg: Predicted angles; NaN stays NaN.
        target_deg: Ground truth.
        wrap: Whether 359 and 1 degree differ by 2 (VGGHeads, opentrack) or by 358 (SynergyNet, img2pose).
    """
    difference = np.abs(predicted_deg - target_deg)
    if not wrap:
        return difference
    difference = difference % 360.0
    return np.minimum(difference, 360.0 - difference)


def within_benchmark(target_deg: Float[np.ndarray, "faces 3"]) -> Bool[np.ndarray, " faces"]:
    """Mark faces that the benchmark scores: no angle beyond 99 degrees."""
    return np.asarray((np.abs(target_deg) <= MAX_ANGLE_DEG).all(axis=-1))


def _matrix(rows: list[list[Float[np.ndarray, "*faces"]]]) -> Float[np.ndarray, "*faces 3 3"]:
    """Stack nine arrays into matrices."""
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
