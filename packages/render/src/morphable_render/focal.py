"""From the assumed focal length to the true one: what a caller with EXIF data or a calibration gains."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from morphable_render.camera import axes_flip, camera_from_model, principal_point, project

STEPS = 20
"""Gauss-Newton steps; from the starting point below, ten reach the floor of float64."""

DAMPING = 1e-9
"""Relative Levenberg damping: keeps the step finite for points on a line."""


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
) -> RefocusedPose:
    """Solve for the pose under the true focal length that keeps the points where they were predicted.

    The depth is scaled by `true_focal_px / focal_px`, the rotation is turned with the viewing ray, and both
    are refined on the reprojection error. Not differentiable.

    Args:
        points_model: Points of the fixed shape (landmarks, or vertices), model frame, metres.
        rotation_head: Predicted head rotation.
        translation_m: Predicted translation.
        focal_px: Focal length the prediction assumed, in pixels of the image: `GLOBAL_FOCAL_PX / s` for a
            photograph that was resized by s for the network.
        true_focal_px: The photograph's own focal length in the same pixels.
        size_hw: Height and width of that image (not of a padded one).
    """
    batch = translation_m.shape[:-1]
    points, rotation, translation = (
        x.detach().double().reshape(-1, *x.shape[len(batch) :]) for x in (points_model, rotation_head, translation_m)
    )
    assumed, true = (_per_item(focal, batch, points) for focal in (focal_px, true_focal_px))
    if not bool((true > 0).all()):
        raise ValueError(f"true_focal_px must be positive, got {true_focal_px}")
    target = project(camera_from_model(points, rotation, translation), assumed, size_hw)
    moved = translation * torch.stack([torch.ones_like(true), torch.ones_like(true), true / assumed], dim=-1)
    flip = axes_flip(rotation)[:, None]
    cam = _turn_between(translation, moved) @ (flip * rotation)
    for _ in range(STEPS):
        cam, moved = _step(cam, moved, points=points, target=target, focal=true, size_hw=size_hw)
    error = project(points @ cam.mT + moved[:, None], true, size_hw) - target
    residual = error.square().sum(-1).mean(-1).sqrt()
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


def _step(
    cam: Float[Tensor, "items 3 3"],
    translation: Float[Tensor, "items 3"],
    *,
    points: Float[Tensor, "items points 3"],
    target: Float[Tensor, "items points 2"],
    focal: Float[Tensor, " items"],
    size_hw: tuple[int, int],
) -> tuple[Float[Tensor, "items 3 3"], Float[Tensor, "items 3"]]:
    """Take one Gauss-Newton step on the reprojection error, rotating about the face's own origin."""
    turned = points @ cam.mT
    x, y, z = (turned + translation[:, None]).unbind(-1)
    f, zero = focal[:, None].expand_as(z), torch.zeros_like(z)
    by_point = torch.stack([f / z, zero, -f * x / z**2, zero, f / z, -f * y / z**2], dim=-1).unflatten(-1, (2, 3))
    jacobian = torch.cat([-by_point @ _skew(turned), by_point], dim=-1).flatten(1, 2)
    predicted = torch.stack([x / z * f, y / z * f], dim=-1) + principal_point(size_hw, z)
    gradient = jacobian.mT @ (target - predicted).flatten(1)[..., None]
    normal = jacobian.mT @ jacobian
    damping = DAMPING * normal.diagonal(dim1=-2, dim2=-1)
    update = torch.linalg.solve(normal + torch.diag_embed(damping), gradient)[..., 0]
    return torch.linalg.matrix_exp(_skew(update[:, :3])) @ cam, translation + update[:, 3:]
