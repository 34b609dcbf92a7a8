"""What moving a picture under its camera, or changing the camera, does to the poses of faces.

Neither is a rigid motion of the face: zooming by s brings the face nearer by s, and shifting the picture off the axis
turns the viewing ray, and with it the head as the camera sees it. `resolve_pose` starts from these two facts and then
solves for the pose whose projection of the known shape is nearest to the pixels.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from morphable.geometry.camera import MIN_DEPTH_M, Pinhole, camera_from_model
from morphable.geometry.linearization import derivative_by_step, linearize_projection
from morphable.geometry.rotation import axes_flip, rotation_between, skew

STEPS = 30
"""Most Levenberg-Marquardt steps; from the starting point below, ten mostly reach the floor of float64."""

FIRST_DAMPING = 1e-6
LEAST_DAMPING, MOST_DAMPING = 1e-9, 1e6
"""Relative to the diagonal; the least keeps the step finite for points on a line."""

SETTLED = 1e-12
"""A step that gains less than this part of the squared error was the last."""


@dataclass(frozen=True)
class ResolvedPose:
    """Poses that show the same points in another camera or in a moved picture."""

    rotation_head: Float[Tensor, "*batch 3 3"]
    translation_m: Float[Tensor, "*batch 3"]
    points_px: Float[Tensor, "*batch points 2"]
    """Where the target picture shows the points; no pose was fitted to them."""
    residual_px: Float[Tensor, "*batch"]
    """Root mean square distance of the posed points to `points_px`, in pixels: perspective that no pose of the fixed
    shape explains."""


def resolve_pose(
    points_model: Float[Tensor, "*batch points 3"],
    rotation_head: Float[Tensor, "*batch 3 3"],
    translation_m: Float[Tensor, "*batch 3"],
    *,
    source: Pinhole,
    target: Pinhole,
    target_from_source: Float[Tensor, "*#batch 3 3"] | None = None,
    steps: int = STEPS,
) -> ResolvedPose:
    """Solve for the poses in the target camera that keep the points on the pixels where the source camera saw them.

    The depth is scaled by the ratio of the focal lengths and by the zoom, the origin kept on its pixel, the rotation
    turned with its viewing ray, and all of it refined on the reprojection error in float64. Not differentiable.

    Args:
        points_model: Points of each face's own shape (landmarks, or vertices), model frame, meters.
        rotation_head: Head rotations in the source camera.
        translation_m: Translations in the source camera.
        source: Camera that the poses are in.
        target: Camera that the poses are wanted in.
        target_from_source: Similarity that moved the picture's pixels (no mirror: mirror the pose first); None where
            both cameras count the pixels of one picture.
        steps: Most refinement steps.
    """
    batch = translation_m.shape[:-1]
    points, rotation, translation = (
        x.detach().double().reshape(-1, *x.shape[len(batch) :]) for x in (points_model, rotation_head, translation_m)
    )
    before, after = (_per_item(camera.focal_px, batch, points) for camera in (source, target))
    if not bool((after > 0).all()):
        raise ValueError(f"target.focal_px must be positive, got {target.focal_px}")
    eye = torch.eye(3, dtype=points.dtype, device=points.device)
    move = (eye if target_from_source is None else target_from_source.to(points)).expand(*batch, 3, 3).reshape(-1, 3, 3)
    linear, scale = move[:, :2, :2], torch.linalg.det(move[:, :2, :2]).sqrt()
    first, second = (camera.principal_px(points).expand(*batch, 2).reshape(-1, 2) for camera in (source, target))
    moved_center = (linear @ first[..., None])[..., 0] + move[:, :2, 2]
    seen = Pinhole(source.size_hw, before, (0.0, 0.0))
    shift = (moved_center - second)[:, None]
    goal = seen.project(camera_from_model(points, rotation, translation)) @ linear.mT + shift
    origin = (seen.project(translation[:, None]) @ linear.mT + shift)[:, 0]
    ray = torch.cat([origin / after[:, None], torch.ones_like(origin[:, :1])], dim=-1)
    roll = torch.block_diag(eye[:2, :2], eye[2:, 2:]).repeat(len(move), 1, 1)
    roll[:, :2, :2] = linear / scale[:, None, None]
    flip = axes_flip(rotation)[:, None]
    turned_axis = (roll @ translation[..., None])[..., 0]
    start = rotation_between(turned_axis, ray) @ (roll @ (flip * rotation))
    depth_m = translation[:, 2] * after / (before * scale)
    cam, moved, residual = _solve(start, ray * depth_m[:, None], points=points, goal=goal, focal=after, steps=steps)
    return ResolvedPose(
        (flip * cam).to(rotation_head).reshape(rotation_head.shape),
        moved.to(translation_m).reshape(translation_m.shape),
        (goal + second[:, None]).to(points_model).reshape(*points_model.shape[:-1], 2),
        residual.to(translation_m).reshape(batch),
    )


def mirror_pose(
    rotation_head: Float[Tensor, "*batch 3 3"], translation_m: Float[Tensor, "*batch 3"]
) -> tuple[Float[Tensor, "*batch 3 3"], Float[Tensor, "*batch 3"]]:
    """Return the pose of the mirrored face: `M R M` and `M t` with `M = diag(-1, 1, 1)`."""
    mirror = torch.tensor([-1.0, 1.0, 1.0], dtype=rotation_head.dtype, device=rotation_head.device)
    return rotation_head * mirror[:, None] * mirror, translation_m * mirror


def _per_item(focal_px: Tensor | float | int, batch: torch.Size, like: Tensor) -> Float[Tensor, " items"]:
    """Give every item of the batch its focal length."""
    return torch.as_tensor(focal_px, dtype=like.dtype, device=like.device).expand(batch).reshape(-1)


def _solve(
    cam: Float[Tensor, "items 3 3"],
    translation: Float[Tensor, "items 3"],
    *,
    points: Float[Tensor, "items points 3"],
    goal: Float[Tensor, "items points 2"],
    focal: Float[Tensor, " items"],
    steps: int,
) -> tuple[Float[Tensor, "items 3 3"], Float[Tensor, "items 3"], Float[Tensor, " items"]]:
    """Minimize the reprojection error; return rotations, translations and root mean square errors in pixels."""
    error, jacobian = _reprojection(cam, translation, points=points, goal=goal, focal=focal)
    damping = torch.full_like(focal, FIRST_DAMPING)
    for _ in range(steps):
        normal = jacobian.mT @ jacobian
        damped = normal + torch.diag_embed(damping[:, None] * normal.diagonal(dim1=-2, dim2=-1))
        update = torch.linalg.solve(damped, jacobian.mT @ error[..., None])[..., 0]
        new_cam, new_translation = torch.linalg.matrix_exp(skew(update[:, :3])) @ cam, translation + update[:, 3:]
        new_error, new_jacobian = _reprojection(new_cam, new_translation, points=points, goal=goal, focal=focal)
        cost = error.square().sum(1)
        gain = cost - new_error.square().sum(1)
        better = (gain > 0) & (new_translation[:, 2] > MIN_DEPTH_M)
        keep = better[:, None, None]
        cam, translation = torch.where(keep, new_cam, cam), torch.where(keep[..., 0], new_translation, translation)
        error, jacobian = torch.where(keep[..., 0], new_error, error), torch.where(keep, new_jacobian, jacobian)
        damping = torch.where(better, damping / 10, damping * 10).clamp(LEAST_DAMPING, MOST_DAMPING)
        if bool((better & (gain <= SETTLED * cost) | (damping >= MOST_DAMPING)).all()):
            break
    return cam, translation, (error.square().sum(1) / points.shape[1]).sqrt()


def _reprojection(
    cam: Float[Tensor, "items 3 3"],
    translation: Float[Tensor, "items 3"],
    *,
    points: Float[Tensor, "items points 3"],
    goal: Float[Tensor, "items points 2"],
    focal: Float[Tensor, " items"],
) -> tuple[Float[Tensor, "items errors"], Float[Tensor, "items errors 6"]]:
    """Return the missing pixels and their derivative by a turn about the face's own origin and a shift."""
    turned = points @ cam.mT
    found, by_point = linearize_projection(turned + translation[:, None], focal)
    return (goal - found).flatten(1), derivative_by_step(by_point, turned).flatten(1, 2)
