"""Terms that the detector is trained with, one number per face, in normalized units: no face outweighs another by size.

A trainer sums or averages them over the faces that each term is for, and weights them.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from morphable import FaceParameters
from morphable.landmarks import NUM_IBUG68, OPPOSITE_POINTS

SHAPE_UNIT_M = 0.1
"""Vertex errors in the model frame are measured in tenths of a meter: about a face."""
_TINY = 1e-12
"""Under the square root of distances, in squared face sizes; far below a millionth of a pixel."""
LEAST_LOG_STD = -7.0
"""Smaller standard deviations are taken for this one: a point without error would be infinitely likely."""
_LEAST_WEIGHT = 1.0
"""A face is compared in color where the weights of its points sum to this at least."""


@dataclass(frozen=True)
class ExactErrors:
    """Errors of exactly labeled faces."""

    landmarks: Float[Tensor, " faces"]
    """Mean distance of the projected 68 points, face sizes."""
    opening: Float[Tensor, " faces"]
    """`opening_errors`."""
    points: Float[Tensor, " faces"]
    """Mean distance of the other projected surface points, face sizes."""
    shape: Float[Tensor, " faces"]
    """Mean distance of the surface points in the model frame, `SHAPE_UNIT_M`."""
    rotation: Float[Tensor, " faces"]
    """Squared Frobenius distance of the rotation matrices."""
    depth: Float[Tensor, " faces"]
    """Absolute difference of log-depth."""
    identity: Float[Tensor, " faces"]
    """Mean squared difference of the coefficients."""
    expression: Float[Tensor, " faces"]
    """Mean squared difference of the activations."""


@dataclass(frozen=True)
class LandmarkErrors:
    """Errors of the projected 68 points, face sizes."""

    landmarks: Float[Tensor, " faces"]
    """Mean distance."""
    opening: Float[Tensor, " faces"]
    """`opening_errors`."""


@dataclass(frozen=True)
class PriorErrors:
    """How unlikely coefficients are."""

    identity: Float[Tensor, " faces"]
    expression: Float[Tensor, " faces"]
    albedo: Float[Tensor, " faces"]
    light: Float[Tensor, " faces"]


def point_distance(
    first: Float[Tensor, "*batch points dims"], second: Float[Tensor, "*batch points dims"]
) -> Float[Tensor, "*batch points"]:
    """Return the Euclidean distance, with a finite gradient at zero."""
    return ((first - second).square().sum(-1) + _TINY).sqrt()


def opening_errors(
    landmarks68_px: Float[Tensor, "faces 68 2"],
    target68_px: Float[Tensor, "faces 68 2"],
    *,
    weight: Float[Tensor, "faces 68"],
    unit_px: Float[Tensor, " faces"],
) -> Float[Tensor, " faces"]:
    """Return the mean error of the lines between opposite points of eyes, brows and lips, face sizes.

    How far a lid or a lip is open is a hundredth of a face, and drowns in the distances of the points themselves as
    long as the whole face is off by more. A line between two points does not move with the face (the eye-closure loss
    of DECA, Feng et al., SIGGRAPH 2021).

    Args:
        landmarks68_px: Predicted points.
        target68_px: True points.
        weight: 0 where a point is not annotated; a line counts by the product of its ends.
        unit_px: Size of each face.
    """
    first, second = torch.tensor(OPPOSITE_POINTS, device=landmarks68_px.device).unbind(1)

    def lines(points: Tensor) -> Tensor:
        return points[:, first] - points[:, second]

    error = point_distance(lines(landmarks68_px), lines(target68_px)) / unit_px[:, None]
    return (error * weight[:, first] * weight[:, second]).mean(1)


def landmark_errors(
    landmarks68_px: Float[Tensor, "faces 68 2"],
    target68_px: Float[Tensor, "faces 68 2"],
    *,
    weight: Float[Tensor, "faces 68"],
    unit_px: Float[Tensor, " faces"],
    emphasis: Float[Tensor, " 68"],
) -> LandmarkErrors:
    """Compare projected landmarks with labels.

    Args:
        landmarks68_px: Predicted points.
        target68_px: Labels.
        weight: 0 where a point is not annotated.
        unit_px: Size of each face.
        emphasis: Weight per point, mean one.
    """
    error = point_distance(landmarks68_px, target68_px) / unit_px[:, None]
    opening = opening_errors(landmarks68_px, target68_px, weight=weight, unit_px=unit_px)
    return LandmarkErrors(landmarks=(error * weight * emphasis).mean(1), opening=opening)


def exact_errors(
    predicted: FaceParameters,
    truth: FaceParameters,
    *,
    points_px: Float[Tensor, "faces points 2"],
    true_points_px: Float[Tensor, "faces points 2"],
    points_m: Float[Tensor, "faces points 3"],
    true_points_m: Float[Tensor, "faces points 3"],
    weight: Float[Tensor, "faces 68"],
    unit_px: Float[Tensor, " faces"],
    emphasis: Float[Tensor, " 68"],
) -> ExactErrors:
    """Compare faces with the truth.

    Args:
        predicted: The faces.
        truth: The true faces; light and albedo are not compared.
        points_px: Predicted surface points in the picture, the 68 landmarks first.
        true_points_px: The same of the truth.
        points_m: The same points in the model frame, meters.
        true_points_m: The same of the truth.
        weight: 0 where a landmark is not annotated.
        unit_px: Size of each face.
        emphasis: Weight per landmark, mean one.
    """
    error = point_distance(points_px, true_points_px) / unit_px[:, None]
    seen, true = points_px[:, :NUM_IBUG68], true_points_px[:, :NUM_IBUG68]
    return ExactErrors(
        landmarks=(error[:, :NUM_IBUG68] * (weight * emphasis)).mean(1),
        opening=opening_errors(seen, true, weight=weight, unit_px=unit_px),
        points=error[:, NUM_IBUG68:].mean(1),
        shape=point_distance(points_m, true_points_m).mean(1) / SHAPE_UNIT_M,
        rotation=(predicted.rotation_head - truth.rotation_head).square().sum((1, 2)),
        depth=(predicted.translation_m[:, 2] / truth.translation_m[:, 2]).log().abs(),
        identity=(predicted.identity - truth.identity).square().mean(1),
        expression=(predicted.expression - truth.expression).square().mean(1),
    )


def point_likelihood(
    points: Float[Tensor, "*batch points 2"],
    target: Float[Tensor, "*batch points 2"],
    log_std: Float[Tensor, "*batch points"],
) -> Float[Tensor, "*batch points"]:
    """Return the negative logarithm of the likelihood of points under isotropic Gaussians, but for a constant.

    A network that gives its points a standard deviation learns from it how far each is off (Kendall and Gal, NeurIPS
    2017): the least value is reached where the deviation is the root mean square of the error's coordinates.

    Args:
        points: Where the points were located.
        target: Where they are, in the same unit.
        log_std: Logarithm of the standard deviation of each coordinate, no less than `LEAST_LOG_STD`.
    """
    log_std = log_std.clamp(min=LEAST_LOG_STD)
    return (points - target).square().sum(-1) / 2 * (-2 * log_std).exp() + 2 * log_std


def prior_errors(
    faces: FaceParameters, expression_prior: Literal["activation", "normal"] = "activation"
) -> PriorErrors:
    """Return mean squared coefficients, and how colored the light is.

    Args:
        faces: The faces.
        expression_prior: `ModelData.expression_prior`: activations lie in [0, 1], so that negative ones count twice;
            normal coefficients (BFM, FLAME) are as likely negative as positive.
    """
    light = faces.illumination
    expression = _mean_square(faces.expression)
    if expression_prior == "activation":
        expression = expression + _mean_square(faces.expression.clamp(max=0))
    return PriorErrors(
        identity=_mean_square(faces.identity),
        expression=expression,
        albedo=_mean_square(faces.albedo),
        light=(light - light.mean(2, keepdim=True)).square().mean((1, 2)),
    )


def point_color_errors(
    colors: Float[Tensor, "faces points 3"],
    photograph: Float[Tensor, "faces points 3"],
    weight: Float[Tensor, "faces points"],
) -> tuple[Float[Tensor, " faces"], Bool[Tensor, " faces"]]:
    """Compare the colors of surface points with the photograph's: WM3DR's equations 9 and 10 without a raster.

    Args:
        colors: Lit colors of the points, sRGB-encoded.
        photograph: What the photograph shows at their pixels.
        weight: How far a point faces the camera and lies on visible skin, in [0, 1].

    Returns:
        Weighted mean color distance, and which faces have any skin to compare.
    """
    total = weight.sum(1)
    error = (point_distance(colors, photograph) * weight).sum(1) / total.clamp(min=_LEAST_WEIGHT)
    return error, total >= _LEAST_WEIGHT


def _mean_square(values: Float[Tensor, "faces modes"]) -> Float[Tensor, " faces"]:
    """Mean over the modes; zero for a model without any, as FLAME has no albedo."""
    return values.square().sum(1) / max(values.shape[1], 1)
