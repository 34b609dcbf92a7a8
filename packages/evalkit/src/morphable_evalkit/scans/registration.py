"""Bring a predicted mesh onto a scan: similarity from landmarks, then from the surfaces themselves."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from morphable_evalkit.scans.surface import TriangleSurface

_MIRRORED_RATIO = 0.5
"""A mirrored fit that leaves less than this part of the residual means swapped sides, not noise."""

_START_DAMPING = 1e-3
_MAX_DAMPING = 1e6


@dataclass(frozen=True)
class Similarity:
    """`x -> scale * rotation @ x + translation`."""

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, "3"]

    def apply(self, points: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
        """Move points."""
        return self.scale * points @ self.rotation.T + self.translation

    def apply_inverse(self, points: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
        """Move points back."""
        return (points - self.translation) @ self.rotation / self.scale


def align_points(
    source: Float[np.ndarray, "points 3"], target: Float[np.ndarray, "points 3"], *, with_scale: bool = True
) -> Similarity:
    """Return the least-squares similarity (or rigid motion) of corresponding points (Umeyama 1991).

    Args:
        source: Points to be moved.
        target: Where they should lie.
        with_scale: Whether the size may change.

    Raises:
        ValueError: Too few points, not finite, without extent, or given in mirrored order.
    """
    if len(source) != len(target) or len(source) < 3:
        raise ValueError(f"landmarks must be 3 or more corresponding points, got {len(source)} and {len(target)}")
    a, b = source.astype(np.float64), target.astype(np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("landmarks must be finite, got NaN or infinity")
    a0, b0 = a.mean(axis=0), b.mean(axis=0)
    spread = ((a - a0) ** 2).sum()
    if not (spread > 0 and ((b - b0) ** 2).sum() > 0):
        raise ValueError("landmarks must have an extent, got all points in one place")
    U, S, Vt = np.linalg.svd((b - b0).T @ (a - a0))
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(U @ Vt))])
    _refuse_mirrored(S, sign, spread, ((b - b0) ** 2).sum())
    rotation = U @ np.diag(sign) @ Vt
    scale = float((S * sign).sum() / spread) if with_scale else 1.0
    return Similarity(scale, rotation, b0 - scale * rotation @ a0)


def refine_on_surface(
    surface: TriangleSurface,
    points: Float[np.ndarray, "points 3"],
    start: Similarity,
    *,
    with_scale: bool = True,
    max_iterations: int = 60,
    tolerance: float = 1e-7,
) -> Similarity:
    """Move a surface onto points by least squares of exact point-to-surface distances (Levenberg-Marquardt).

    Args:
        surface: The predicted mesh, in its own frame.
        points: Scan vertices.
        start: Mesh-to-scan similarity to begin with; its scale is kept where `with_scale` is false.
        with_scale: Whether the mesh may change its size.
        max_iterations: Largest number of steps of the solver; each measures all points.
        tolerance: Stop when the mean squared distance falls by less than this part.

    Returns:
        Mesh-to-scan similarity.
    """
    current, damping = start, _START_DAMPING
    residual, jacobian = _linearize(surface, points, current, with_scale)
    cost = float((residual**2).mean())
    for _ in range(max_iterations):
        if cost == 0.0 or damping > _MAX_DAMPING:
            break
        normal = jacobian.T @ jacobian
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12), jacobian.T @ residual)
        trial = _moved(current, step, points.mean(axis=0))
        trial_residual, trial_jacobian = _linearize(surface, points, trial, with_scale)
        trial_cost = float((trial_residual**2).mean())
        if trial_cost >= cost:
            damping *= 10.0
            continue
        gain = (cost - trial_cost) / cost
        current, residual, jacobian, cost = trial, trial_residual, trial_jacobian, trial_cost
        damping = max(damping / 10.0, 1e-9)
        if gain < tolerance:
            break
    return current


def _linearize(
    surface: TriangleSurface, points: Float[np.ndarray, "points 3"], pose: Similarity, with_scale: bool
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, "points params"]]:
    """Return distances, and how they fall with turning, moving and growing the mesh about the points' mean."""
    closest = surface.closest(pose.apply_inverse(points))
    on_mesh = pose.apply(closest.point)
    offset = points - on_mesh
    distance = np.linalg.norm(offset, axis=-1)
    touching = distance < 1e-9 * np.ptp(points, axis=0).max()
    direction = offset / np.where(touching, 1.0, distance)[:, None]
    if touching.any():
        direction[touching] = surface.normals()[closest.triangle[touching]] @ pose.rotation.T
    arm = on_mesh - points.mean(axis=0)
    columns = [np.cross(arm, direction), direction]
    if with_scale:
        columns.append((arm * direction).sum(axis=-1, keepdims=True))
    return (offset * direction).sum(axis=-1), np.concatenate(columns, axis=1)


def _moved(pose: Similarity, step: Float[np.ndarray, " params"], pivot: Float[np.ndarray, "3"]) -> Similarity:
    """Apply a small turn, shift and growth about a pivot after a pose."""
    turn = _rotation(step[:3])
    growth = float(np.exp(step[6])) if len(step) > 6 else 1.0
    translation = growth * turn @ (pose.translation - pivot) + pivot + step[3:6]
    return Similarity(pose.scale * growth, turn @ pose.rotation, translation)


def _rotation(vector: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Rotation matrix of a rotation vector (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    x, y, z = vector
    K = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    # sin(a) / a and (1 - cos(a)) / a^2 without loss near zero
    return np.eye(3) + np.sinc(angle / np.pi) * K + 0.5 * np.sinc(angle / (2 * np.pi)) ** 2 * K @ K


def _refuse_mirrored(
    singular: Float[np.ndarray, "3"], sign: Float[np.ndarray, "3"], spread: float, target_spread: float
) -> None:
    """Refuse landmarks that fit well only as a mirror image: left and right swapped, or another handedness."""
    if sign[2] > 0:
        return
    proper = target_spread - (singular * sign).sum() ** 2 / spread
    mirrored = target_spread - singular.sum() ** 2 / spread
    if mirrored < _MIRRORED_RATIO * proper:
        raise ValueError(
            "landmarks must correspond, got points that fit only as a mirror image; are left and right swapped, or is "
            "an axis of the mesh flipped?"
        )
