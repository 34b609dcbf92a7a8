"""Faces whose truth is known: the points that `morphable_losses.exact_errors` compares."""

import torch
from jaxtyping import Float
from torch import Tensor

from morphable import FaceParameters
from morphable.geometry import Pinhole, camera_from_model
from morphable_losses.face_errors import ExactErrors, exact_errors
from morphable_train.data.batch import FaceTargets
from morphable_train.data.surface import SurfaceSample


def compare_exact(
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
    shape = surface.few.decode_shape(predicted.identity, predicted.expression)
    posed = camera_from_model(shape, predicted.rotation_head, predicted.translation_m)
    return exact_errors(
        predicted,
        truth.parameters(),
        points_px=Pinhole(size_hw, focal_px).project(posed),
        true_points_px=torch.cat([truth.landmarks68_px, truth.dense_px], 1),
        points_m=shape,
        true_points_m=surface.few.decode_shape(truth.identity, truth.expression),
        weight=truth.landmark_weight,
        unit_px=truth.sizes_px(),
        emphasis=landmark_weights,
    )
