"""Loss terms of faces whose truth is known, one number per supervised cell, in normalised units."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from morphable import FaceParameters
from morphable.geometry import Pinhole, camera_from_model
from morphable_train.data.batch import FaceTargets
from morphable_train.data.labels import NUM_LANDMARKS
from morphable_train.data.surface import SurfaceSample

SHAPE_UNIT_M = 0.1
"""Vertex errors in the model frame are measured in tenths of a metre: about a face."""
OPPOSITE_POINTS = (
    *((37, 41), (38, 40), (43, 47), (44, 46)),
    *((19, 37), (20, 38), (23, 43), (24, 44)),
    *((61, 67), (62, 66), (63, 65), (50, 58), (51, 57), (52, 56)),
    *((48, 54), (60, 64)),
)
"""Pairs of the 68 points: upper and lower lids, brows and eyes, upper and lower lips, corners of the mouth."""
_TINY = 1e-12
"""Under the square root of distances, in squared face sizes; far below a millionth of a pixel."""


@dataclass(frozen=True)
class ExactErrors:
    """Errors of exactly labelled faces per supervised cell."""

    landmarks: Float[Tensor, " cells"]
    """Mean distance of the projected 68 points, face sizes."""
    opening: Float[Tensor, " cells"]
    """`opening_errors`."""
    points: Float[Tensor, " cells"]
    """The same of dense surface points."""
    shape: Float[Tensor, " cells"]
    """Mean distance of dense surface points in the model frame, `SHAPE_UNIT_M`."""
    rotation: Float[Tensor, " cells"]
    """Squared Frobenius distance of the rotation matrices."""
    depth: Float[Tensor, " cells"]
    """Absolute difference of log-depth."""
    identity: Float[Tensor, " cells"]
    """Mean squared difference of the coefficients."""
    expression: Float[Tensor, " cells"]
    """Mean squared difference of the activations."""


def distance(
    a: Float[Tensor, "*batch points dims"], b: Float[Tensor, "*batch points dims"]
) -> Float[Tensor, "*batch points"]:
    """Euclidean distance with a finite gradient at zero."""
    return ((a - b).square().sum(-1) + _TINY).sqrt()


def opening_errors(landmarks68_px: Float[Tensor, "cells 68 2"], truth: FaceTargets) -> Float[Tensor, " cells"]:
    """Mean error of the lines between opposite points of eyes, brows and lips, face sizes.

    How far a lid or a lip is open is a hundredth of a face, and drowns in the distances of the points themselves as
    long as the whole face is off by more. A line between two points does not move with the face (the eye-closure loss
    of DECA, Feng et al., SIGGRAPH 2021).

    Args:
        landmarks68_px: Predicted points.
        truth: The face each cell should describe.
    """
    first, second = torch.tensor(OPPOSITE_POINTS, device=landmarks68_px.device).unbind(1)

    def lines(points: Tensor) -> Tensor:
        return points[:, first] - points[:, second]

    error = distance(lines(landmarks68_px), lines(truth.landmarks68_px)) / truth.sizes_px()[:, None]
    return (error * truth.landmark_weight[:, first] * truth.landmark_weight[:, second]).mean(1)


def exact_errors(
    predicted: FaceParameters,
    truth: FaceTargets,
    surface: SurfaceSample,
    *,
    focal_px: float,
    size_hw: tuple[int, int],
    landmark_weights: Float[Tensor, " 68"],
) -> ExactErrors:
    """Compare predictions with the truth of the same cells.

    Args:
        predicted: One face per cell.
        truth: The face each cell should describe.
        surface: Points to compare.
        focal_px: Focal length of the input.
        size_hw: Height and width of the input.
        landmark_weights: Weight per point, mean one.
    """
    shape = surface.decode_few(predicted.identity, predicted.expression)
    true_shape = surface.decode_few(truth.identity, truth.expression)
    projected = Pinhole(size_hw, focal_px).project(
        camera_from_model(shape, predicted.rotation_head, predicted.translation_m)
    )
    true_px = torch.cat([truth.landmarks68_px, truth.dense_px], 1)
    pixel_error = distance(projected, true_px) / truth.sizes_px()[:, None]
    known = truth.landmark_weight * landmark_weights
    return ExactErrors(
        landmarks=(pixel_error[:, :NUM_LANDMARKS] * known).mean(1),
        opening=opening_errors(projected[:, :NUM_LANDMARKS], truth),
        points=pixel_error[:, NUM_LANDMARKS:].mean(1),
        shape=distance(shape, true_shape).mean(1) / SHAPE_UNIT_M,
        rotation=(predicted.rotation_head - truth.rotation_head).square().sum((1, 2)),
        depth=(predicted.translation_m[:, 2] / truth.translation_m[:, 2]).log().abs(),
        identity=(predicted.identity - truth.identity).square().mean(1),
        expression=(predicted.expression - truth.expression).square().mean(1),
    )
