"""Moves faces so that their landmarks lie where the face head saw them, as far as it was sure of it.

The head gives coefficients and pose, and beside them the landmarks with their standard deviations. The coefficients
are regressed and keep to the mean; the points are located on the pixels. A few Gauss-Newton steps find the most likely
face given both: the coefficients and the pose are a Gaussian prior around what was regressed, the points are
observations.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from morphable import FaceParameters, PointModel
from morphable.geometry import axes_flip, camera_from_model, rotation_from_vector, skew

_STEPS = 3


@dataclass(frozen=True, kw_only=True)
class PointFit:
    """How much is believed."""

    identity_std: float = 0.4
    """Standard deviation of an identity coefficient about the regressed one."""
    expression_std: float = 0.12
    """The same of an expression coefficient."""
    rotation_std: float = 0.04
    """The same of the rotation about each axis, radians."""
    place_std: float = 0.01
    """The same of the position across the line of sight, as a share of the depth."""
    depth_std: float = 0.03
    """The same along it."""
    point_factor: float = 2.0
    """Factor on the points' standard deviations: their errors are not independent of each other."""


def fit_points(
    faces: FaceParameters,
    points_px: Float[Tensor, "faces points 2"],
    std_px: Float[Tensor, "faces points"],
    model: PointModel,
    focal_px: float,
    *,
    activations: bool,
    believed: PointFit | None = None,
) -> FaceParameters:
    """Return the most likely faces.

    Args:
        faces: What was regressed.
        points_px: Observed points, from the principal point.
        std_px: Standard deviations of their coordinates.
        model: The face model restricted to these points.
        focal_px: Focal length.
        activations: Expression coefficients lie in [0, 1].
        believed: Standard deviations of what was regressed.
    """
    believed = believed or PointFit()
    flip = axes_flip(points_px)
    scale = torch.cat(
        [
            points_px.new_tensor([believed.rotation_std] * 3).expand(len(points_px), 3),
            faces.translation_m[:, 2:] * points_px.new_tensor([believed.place_std] * 2 + [believed.depth_std]),
            points_px.new_full((len(points_px), faces.identity.shape[1]), believed.identity_std),
            points_px.new_full((len(points_px), faces.expression.shape[1]), believed.expression_std),
        ],
        1,
    )
    weight = 1 / (believed.point_factor * std_px).clamp(min=1e-3)
    moved = torch.zeros_like(scale)
    now = faces
    num_identity = faces.identity.shape[1]
    basis = torch.cat([model.identity_basis, model.expression_basis]).permute(1, 2, 0)
    for _ in range(_STEPS):
        turned = now.rotation_head @ model.decode_shape(now.identity, now.expression).mT
        place = camera_from_model(
            model.decode_shape(now.identity, now.expression), now.rotation_head, now.translation_m
        )
        depth = place[..., 2:].clamp(min=1e-2)
        seen = focal_px * place[..., :2] / depth
        by_place = torch.zeros(*place.shape[:2], 2, 3, dtype=place.dtype)
        by_place[..., 0, 0] = by_place[..., 1, 1] = 1.0
        by_place[..., 2] = -place[..., :2] / depth
        by_place = by_place * (focal_px / depth)[..., None] * weight[..., None, None]
        flipped = by_place * flip
        by_turn = -flipped @ skew(turned.mT)
        by_shape = (flipped @ now.rotation_head[:, None]) @ basis
        jacobian = torch.cat([by_turn, by_place, by_shape], -1).flatten(1, 2) * scale[:, None]
        wrong = ((points_px - seen) * weight[..., None]).flatten(1)
        # moved is in units of the prior's standard deviations, from the regressed face
        target = wrong[..., None] + jacobian @ moved[..., None]
        system = jacobian.mT @ jacobian + torch.eye(jacobian.shape[-1], dtype=place.dtype)
        new = torch.linalg.solve(system, jacobian.mT @ target)[..., 0]
        step = (new - moved) * scale
        identity = now.identity + step[:, 6 : 6 + num_identity]
        expression = now.expression + step[:, 6 + num_identity :]
        if activations:
            expression = expression.clamp(0, 1)
        now = replace(
            now,
            identity=identity,
            expression=expression,
            rotation_head=rotation_from_vector(step[:, :3]) @ now.rotation_head,
            translation_m=now.translation_m + step[:, 3:6],
        )
        moved = torch.cat(
            [new[:, :6], (identity - faces.identity) / believed.identity_std,
             (expression - faces.expression) / believed.expression_std], 1
        )  # fmt: skip
    return now
