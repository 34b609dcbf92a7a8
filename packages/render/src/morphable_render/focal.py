"""From one camera of a picture to another, as for a caller who knows the true focal length (EXIF, calibration)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from morphable_render.camera import MIN_DEPTH_M, axes_flip, camera_from_model, principal_point, project

STEPS = 30
"""Levenberg-Marquardt steps; from the starting point below, ten mostly reach the floor of float64."""

FIRST_DAMPING = 1e-6
LEAST_DAMPING, MOST_DAMPING = 1e-9, 1e6
"""Relative to the diagonal; the least keeps the step finite for points on a line."""

SETTLED = 1e-12
"""A step that gains less than this part of the squared error was the last."""


@dataclass(frozen=True)
class RefocusedPose:
    """A pose that shows the same picture through another focal length."""

    rotation_head: Float[Tensor, "*batch 3 3"]
    translation_m: Float[Tensor, "*batch 3"]
    residual_px: Float[Tensor, "*batch"]
    """Root mean square distance of the points to where they were predicted, in pixels: perspective that
    no pose of the fixed shape explains."""


def refocus(
    points_model: Float[Tensor, "*batch points 3"],
    rotation_head: Float[Tensor, "*batch 3 3"],
    translation_m: Float[Tensor, "*batch 3"],
    *,
    focal_px: Float[Tensor, "*#batch"] | float | int,
    true_focal_px: Float[Tensor, "*#batch"] | float | int,
    size_hw: tuple[int, int],
    center_px: Sequence[float] | None = None,
    true_center_px: Sequence[float] | None = None,
) -> RefocusedPose:
    """Solve for the pose in the true camera that keeps the points where they were predicted.

    The depth is scaled by `true_focal_px / focal_px`, the origin kept on its pixel, the rotation turned with its
    viewing ray, and all of it refined on the reprojection error. Not differentiable.

    Args:
        points_model: Points of the fixed shape (landmarks, or vertices), model frame, metres.
        rotation_head: Predicted head rotation.
        translation_m: Predicted translation.
        focal_px: Focal length the prediction assumed, in pixels of the image: `GLOBAL_FOCAL_PX / s` for a
            photograph that was resized by s for the network.
        true_focal_px: The photograph's own focal length in the same pixels.
        size_hw: Height and width of that image (not of a padded one).
        center_px: Principal point (x, y) that the prediction assumed, that of a crop say; by default the
            image centre.
        true_center_px: The photograph's own principal point; by default the image centre.
    """
    batch = translation_m.shape[:-1]
    points, rotation, translation = (
        x.detach().double().reshape(-1, *x.shape[len(batch) :]) for x in (points_model, rotation_head, translation_m)
    )
    assumed, true = (_per_item(focal, batch, points) for focal in (focal_px, true_focal_px))
    if not bool((true > 0).all()):
        raise ValueError(f"true_focal_px must be positive, got {true_focal_px}")
    middle = principal_point(size_hw, points)
    moved_px = points.new_tensor(center_px or middle.tolist()) - points.new_tensor(true_center_px or middle.tolist())
    target = project(camera_from_model(points, rotation, translation), assumed, (0, 0)) + moved_px
    flip = axes_flip(rotation)[:, None]
    origin = project(translation[:, None], assumed, (0, 0))[:, 0] + moved_px
    ray = torch.cat([origin / true[:, None], torch.ones_like(origin[:, :1])], dim=-1)
    start = _turn_between(translation, ray) @ (flip * rotation), ray * (translation[:, 2] * true / assumed)[:, None]
    cam, moved, residual = _solve(*start, points=points, target=target, focal=true)
    return RefocusedPose(
        (flip * cam).to(rotation_head).reshape(rotation_head.shape),
        moved.to(translation_m).reshape(translation_m.shape),
        residual.to(translation_m).reshape(batch),
    )


def _per_item(focal_px: Tensor | float | int, batch: torch.Size, like: Tensor) -> Float[Tensor, " items"]:
    """Give every item of the batch its focal length."""
    return torch.as_tensor(focal_px, dtype=like.dtype, device=like.device).expand(batch).reshape(-1)


def _turn_between(before: Float[Tensor, "items 3"], after: Float[Tensor, "items 3"]) -> Float[Tensor, "items 3 3"]:
    """Return the smallest rotation that takes one direction to the other."""
    a, b = (torch.nn.functional.normalize(x, dim=-1) for x in (before, after))
    axis, cosine = torch.linalg.cross(a, b), (a * b).sum(-1)[:, None, None]
    skew = _skew(axis)
    return torch.eye(3, dtype=a.dtype, device=a.device) + skew + skew @ skew / (1 + cosine)


def _skew(vector: Float[Tensor, "*items 3"]) -> Float[Tensor, "*items 3 3"]:
    """Return the matrix of the cross product `vector x ...`."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))


def _solve(
    cam: Float[Tensor, "items 3 3"],
    translation: Float[Tensor, "items 3"],
    *,
    points: Float[Tensor, "items points 3"],
    target: Float[Tensor, "items points 2"],
    focal: Float[Tensor, " items"],
) -> tuple[Float[Tensor, "items 3 3"], Float[Tensor, "items 3"], Float[Tensor, " items"]]:
    """Minimise the reprojection error; return rotations, translations and root mean square errors in pixels."""
    error, jacobian = _reprojection(cam, translation, points=points, target=target, focal=focal)
    damping = torch.full_like(focal, FIRST_DAMPING)
    for _ in range(STEPS):
        normal = jacobian.mT @ jacobian
        damped = normal + torch.diag_embed(damping[:, None] * normal.diagonal(dim1=-2, dim2=-1))
        update = torch.linalg.solve(damped, jacobian.mT @ error[..., None])[..., 0]
        new_cam, new_translation = torch.linalg.matrix_exp(_skew(update[:, :3])) @ cam, translation + update[:, 3:]
        new_error, new_jacobian = _reprojection(new_cam, new_translation, points=points, target=target, focal=focal)
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
    target: Float[Tensor, "items points 2"],
    focal: Float[Tensor, " items"],
) -> tuple[Float[Tensor, "items errors"], Float[Tensor, "items errors 6"]]:
    """Return what the pixels lack and their derivative by a turn about the face's own origin and a shift."""
    turned = points @ cam.mT
    x, y, z = (turned + translation[:, None]).unbind(-1)
    z = z.clamp(min=MIN_DEPTH_M)
    f, zero = focal[:, None].expand_as(z), torch.zeros_like(z)
    by_point = torch.stack([f / z, zero, -f * x / z**2, zero, f / z, -f * y / z**2], dim=-1).unflatten(-1, (2, 3))
    jacobian = torch.cat([-by_point @ _skew(turned), by_point], dim=-1).flatten(1, 2)
    return (target - torch.stack([x / z * f, y / z * f], dim=-1)).flatten(1), jacobian
