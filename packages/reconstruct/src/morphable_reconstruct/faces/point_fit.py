"""Moves faces so that their landmarks lie where the face head located them, weighted by its certainty.

The head gives coefficients and pose, and beside them points with standard deviations. The coefficients are regressed
and keep to the mean; the points are located on the pixels. A few Gauss-Newton steps find the most likely face given
both: what was regressed is the mean of a Gaussian prior, the points are observations.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from morphable import FaceParameters, MorphableModel
from morphable.geometry import (
    GLOBAL_FOCAL_PX,
    axes_flip,
    derivative_by_step,
    linearize_projection,
    rotation_from_vector,
    solve_normal_equations,
)
from morphable.landmarks import INNER_LOWER_LIP, INNER_UPPER_LIP, NUM_IBUG68
from morphable_reconstruct.faces.landmarks import located_points

SHUT_STDS = 2.2
"""Inner lips whose distance is below this many of the head's standard deviations of a point are taken as shut: errors
of points that touch can only part them."""
_STEPS = 3
_NUM_POSE = 6
_LEAST_STD_PX = 1e-3
_NEAREST_M = 1e-2
_GAZE = "eyeLook"


@dataclass(frozen=True, kw_only=True)
class PointFit:
    """Standard deviations of what was regressed about the truth.

    They are about what held-out synthetic people show (series 900): an identity coefficient is hardly known (the
    model's own standard deviation is 1), expressions to 0.15, gaze not at all.
    """

    identity: float = 0.9
    """Standard deviation of an identity coefficient."""
    expression: float = 0.15
    """Standard deviation of an expression coefficient."""
    gaze: float = 0.4
    """Standard deviation of the activations that turn the eyes: the irises' places determine them."""
    rotation_rad: float = 0.04
    """Standard deviation of the rotation about each axis."""
    place: float = 0.01
    """Standard deviation of the position across the line of sight, as a share of the depth."""
    depth: float = 0.03
    """Standard deviation of the position along the line of sight, as a share of the depth."""
    point_factor: float = 2.5
    """Factor on the points' standard deviations, for their errors go together."""


def fit_points(
    faces: FaceParameters,
    points_px: Float[Tensor, "faces points 2"],
    std_px: Float[Tensor, "faces points"],
    model: MorphableModel,
    prior: PointFit | None = None,
) -> FaceParameters:
    """Return the most likely faces.

    Args:
        faces: What was regressed, in the network's camera.
        points_px: The face head's points, from the principal point.
        std_px: Standard deviations of their coordinates.
        model: The face model.
        prior: Standard deviations of what was regressed.
    """
    prior, points = prior or PointFit(), located_points(model)
    chosen = [*range(NUM_IBUG68), *range(points_px.shape[1] - len(points) + NUM_IBUG68, points_px.shape[1])]
    observed, weight = points_px[:, chosen], 1 / (prior.point_factor * std_px[:, chosen]).clamp(min=_LEAST_STD_PX)
    upper, lower = list(INNER_UPPER_LIP), list(INNER_LOWER_LIP)
    # the distance between shut lips is surer than the places of either, whose errors go together
    held = shut_lips(points_px, std_px)[:, None] / std_px[:, upper].clamp(min=_LEAST_STD_PX)
    scale = _prior_std(faces, prior, model)
    basis = torch.cat([points.identity_basis, points.expression_basis]).permute(1, 2, 0)
    activations = model.expression_prior != "normal"
    identity_end = _NUM_POSE + faces.identity.shape[1]
    now, moved, flip = faces, torch.zeros_like(scale), axes_flip(scale)
    for _ in range(_STEPS):
        shape = points.decode_shape(now.identity, now.expression)
        cam_from_model = flip[:, None] * now.rotation_head
        turned = shape @ cam_from_model.mT
        place = turned + now.translation_m[:, None]
        seen, by_point = linearize_projection(place, GLOBAL_FOCAL_PX, min_depth_m=_NEAREST_M)
        jacobian = derivative_by_step(by_point, turned, cam_from_model, basis)
        between_lips = (jacobian[:, upper] - jacobian[:, lower]) * held[..., None, None]
        jacobian = torch.cat([jacobian * weight[..., None, None], between_lips], 1).flatten(1, 2) * scale[:, None]
        wrong = [(observed - seen) * weight[..., None], (seen[:, lower] - seen[:, upper]) * held[..., None]]
        # the unknowns are distances from what was regressed, in standard deviations
        target = torch.cat(wrong, 1).flatten(1)[..., None] + jacobian @ moved[..., None]
        normal = jacobian.mT @ jacobian + torch.eye(jacobian.shape[-1])
        new = solve_normal_equations(normal, (jacobian.mT @ target)[..., 0])
        step, total = (new - moved) * scale, new * scale
        expression = faces.expression + total[:, identity_end:]
        if activations:
            expression = expression.clamp(0, 1)
            new = torch.cat([new[:, :identity_end], (expression - faces.expression) / scale[:, identity_end:]], 1)
        now = replace(
            now,
            identity=faces.identity + total[:, _NUM_POSE:identity_end],
            expression=expression,
            rotation_head=rotation_from_vector(flip * step[:, :3]) @ now.rotation_head,
            translation_m=faces.translation_m + total[:, 3:_NUM_POSE],
        )
        moved = new
    return now


def shut_lips(
    points_px: Float[Tensor, "faces points 2"], std_px: Float[Tensor, "faces points"]
) -> Bool[Tensor, " faces"]:
    """Return whose inner lips are no farther apart than points that touch are found.

    Args:
        points_px: Located points, iBUG's 68 first.
        std_px: Standard deviations of their coordinates.
    """
    upper, lower = list(INNER_UPPER_LIP), list(INNER_LOWER_LIP)
    apart = (points_px[:, upper] - points_px[:, lower]).norm(dim=-1).mean(1)
    return apart < SHUT_STDS * (std_px[:, upper] + std_px[:, lower]).mean(1) / 2


def _prior_std(faces: FaceParameters, prior: PointFit, model: MorphableModel) -> Float[Tensor, "faces unknowns"]:
    """Standard deviations of rotation, translation, identity and expression, in this order."""
    depth, full = faces.translation_m[:, 2:].abs(), faces.translation_m.new_full
    gaze = torch.tensor([name.startswith(_GAZE) for name in model.expression_names])
    count = len(depth)
    return torch.cat(
        [
            full((count, 3), prior.rotation_rad),
            depth * depth.new_tensor([prior.place, prior.place, prior.depth]),
            full((count, faces.identity.shape[1]), prior.identity),
            full((count, len(model.expression_names)), prior.expression).where(~gaze, prior.gaze),
        ],
        1,
    )
