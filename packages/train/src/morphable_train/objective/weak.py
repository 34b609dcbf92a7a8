"""Faces known by landmarks and the photograph alone: the points and colors that `morphable_losses` compares."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from morphable import FaceParameters
from morphable.geometry import Pinhole, axes_flip, camera_from_model
from morphable_losses.face_errors import LandmarkErrors, landmark_errors, point_color_errors
from morphable_render import shade_sh
from morphable_train.data.batch import FaceTargets
from morphable_train.data.labels import NUM_LANDMARKS
from morphable_train.data.surface import SurfaceSample

MIN_FACING = 0.15
"""Surface that turns away further than this (cosine to the viewing ray) is not compared: its pixel is unsure."""


def compare_landmarks(
    predicted: FaceParameters,
    truth: FaceTargets,
    surface: SurfaceSample,
    *,
    focal_px: float,
    size_hw: tuple[int, int],
    landmark_weights: Float[Tensor, " 68"],
) -> LandmarkErrors:
    """Compare the projected points with the labels."""
    points = surface.decode_shape(predicted.identity, predicted.expression)
    points_cam = camera_from_model(points, predicted.rotation_head, predicted.translation_m)
    static = points_cam[:, :NUM_LANDMARKS]
    landmarks = torch.where(truth.contour[:, None, None], surface.contour_landmarks(points_cam), static)
    projected = Pinhole(size_hw, focal_px).project(landmarks)
    return landmark_errors(
        projected,
        truth.landmarks68_px,
        weight=truth.landmark_weight,
        unit_px=truth.sizes_px(),
        emphasis=landmark_weights,
    )


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
    """Compare the colors of surface points with the photograph's pixels there: the photometric term without a raster.

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
        Mean color distance, and which cells have any skin to compare.
    """
    points = surface.decode_shape(geometry.identity, geometry.expression)
    size_hw = image.shape[2], image.shape[3]
    centers_cam = camera_from_model(surface.groups(points).dense, geometry.rotation_head, geometry.translation_m)
    normals = surface.normals(points) @ geometry.rotation_head.mT
    pixels = Pinhole(size_hw, focal_px).project(centers_cam)
    grid = pixels * pixels.new_tensor([2.0 / size_hw[1], 2.0 / size_hw[0]]) - 1.0
    seen = _sample(torch.cat([image, skin], 1), grid, image_index)
    to_camera = F.normalize(-centers_cam, dim=-1) * axes_flip(centers_cam)
    facing = (normals * to_camera).sum(-1) > MIN_FACING
    weight = (seen[..., 3] * facing).detach()
    color = shade_sh(surface.dense_albedo(predicted.albedo), normals, predicted.illumination)
    return point_color_errors(color, seen[..., :3], weight)


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
