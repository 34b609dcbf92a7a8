"""Loss terms of faces known by landmarks and the photograph alone, one number per supervised cell."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from morphable import FaceParameters
from morphable.geometry import Pinhole, camera_from_model
from morphable_render import shade_sh
from morphable_train.data.batch import FaceTargets
from morphable_train.data.labels import NUM_LANDMARKS
from morphable_train.data.surface import SurfaceSample
from morphable_train.objective.supervised import distance, opening_errors

MIN_FACING = 0.15
"""Surface that turns away further than this (cosine to the viewing ray) is not compared: its pixel is unsure."""


@dataclass(frozen=True)
class LandmarkErrors:
    """Errors of the projected points, per supervised cell, face sizes."""

    landmarks: Float[Tensor, " cells"]
    """Mean distance; jaw points slide along the silhouette for contour labels."""
    opening: Float[Tensor, " cells"]
    """`opening_errors`."""


@dataclass(frozen=True)
class PriorErrors:
    """How unlikely the coefficients are, per supervised cell."""

    identity: Float[Tensor, " cells"]
    expression: Float[Tensor, " cells"]
    albedo: Float[Tensor, " cells"]
    light: Float[Tensor, " cells"]


def landmark_errors(
    predicted: FaceParameters,
    truth: FaceTargets,
    surface: SurfaceSample,
    *,
    focal_px: float,
    size_hw: tuple[int, int],
    landmark_weights: Float[Tensor, " 68"],
) -> LandmarkErrors:
    """Compare the projected points with the labels."""
    points = surface.decode(predicted.identity, predicted.expression)
    points_cam = camera_from_model(points, predicted.rotation_head, predicted.translation_m)
    static = points_cam[:, :NUM_LANDMARKS]
    landmarks = torch.where(truth.contour[:, None, None], surface.contour_landmarks(points_cam), static)
    projected = Pinhole(size_hw, focal_px).project(landmarks)
    error = distance(projected, truth.landmarks68_px) / truth.sizes_px()[:, None]
    return LandmarkErrors(
        landmarks=(error * truth.landmark_weight * landmark_weights).mean(1),
        opening=opening_errors(projected, truth),
    )


def prior_errors(
    predicted: FaceParameters, expression_prior: Literal["activation", "normal"] = "activation"
) -> PriorErrors:
    """Return mean squared coefficients, and how colored the light is.

    Args:
        predicted: One face per cell.
        expression_prior: `ModelData.expression_prior`: activations lie in [0, 1], so that negative ones count twice;
            normal coefficients (BFM, FLAME) are as likely negative as positive.
    """
    light = predicted.illumination
    expression = _mean_square(predicted.expression)
    if expression_prior == "activation":
        expression = expression + _mean_square(predicted.expression.clamp(max=0))
    return PriorErrors(
        identity=_mean_square(predicted.identity),
        expression=expression,
        albedo=_mean_square(predicted.albedo),
        light=(light - light.mean(2, keepdim=True)).square().mean((1, 2)),
    )


def _mean_square(values: Float[Tensor, "cells modes"]) -> Float[Tensor, " cells"]:
    """Mean over the modes; zero for a model without any, as FLAME has no albedo."""
    return values.square().sum(1) / max(values.shape[1], 1)


def point_colors(
    predicted: FaceParameters,
    geometry: FaceParameters,
    surface: SurfaceSample,
    *,
    image: Float[Tensor, "batch 3 rows cols"],
    skin: Float[Tensor, "batch 1 rows cols"],
    image_index: Int[Tensor, " cells"],
    focal_px: float,
) -> tuple[Float[Tensor, " cells"], Bool[Tensor, " cells"]]:
    """Compare the colours of surface points with the photograph's pixels there: the photometric term without a raster.

    Points that face the camera and fall on visible skin are compared (equations 9 and 10 of the paper, sampled on the
    surface instead of on the pixel grid). Gradients reach albedo and light, and through the place where the photograph
    is read and the normals also shape and pose.

    Args:
        predicted: Albedo and light.
        geometry: Shape and pose: the predictions, or the truth where it is known.
        surface: Points to compare.
        image: The input pictures.
        skin: Their skin masks; all zero where not known.
        image_index: Picture of each cell.
        focal_px: Focal length of the input.

    Returns:
        Mean colour distance, and which cells have any skin to compare.
    """
    points = surface.decode(geometry.identity, geometry.expression)
    size_hw = image.shape[2], image.shape[3]
    centers_cam = camera_from_model(surface.groups(points).dense, geometry.rotation_head, geometry.translation_m)
    normals = surface.normals(points) @ geometry.rotation_head.mT
    pixels = Pinhole(size_hw, focal_px).project(centers_cam)
    grid = pixels * pixels.new_tensor([2.0 / size_hw[1], 2.0 / size_hw[0]]) - 1.0
    seen = _sample(torch.cat([image, skin], 1), grid, image_index)
    to_camera = F.normalize(-centers_cam, dim=-1) * centers_cam.new_tensor([1.0, -1.0, -1.0])
    facing = (normals * to_camera).sum(-1) > MIN_FACING
    weight = (seen[..., 3] * facing).detach()
    color = shade_sh(surface.albedo(predicted.albedo), normals, predicted.illumination)
    total = weight.sum(1)
    error = (distance(color, seen[..., :3]) * weight).sum(1) / total.clamp(min=1.0)
    return error, total >= 1.0


def _sample(pictures: Tensor, grid: Tensor, image_index: Tensor) -> Tensor:
    """Read pixels bilinearly, black and without skin outside: (cells, points, channels)."""
    columns = []
    for picture in range(len(pictures)):
        chosen = grid[image_index == picture]
        columns.append(
            F.grid_sample(pictures[picture][None], chosen[None], padding_mode="zeros", align_corners=False)[0]
        )
    joined = torch.cat(columns, 1).movedim(0, -1)
    order = torch.argsort(torch.argsort(image_index, stable=True))
    return joined[order]
