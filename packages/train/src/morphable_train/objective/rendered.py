"""The photometric term through the rasterizer (equations 9 and 10 of the paper), and the albedo's variance (14)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from morphable import FaceParameters, MorphableModel
from morphable.geometry import GLOBAL_FOCAL_PX, camera_from_model
from morphable_losses.coefficients import albedo_variance
from morphable_losses.face_errors import point_distance
from morphable_render import render_pixels
from morphable_render.pixels import RenderedPixels

SKIN_REGION = "skin"
"""Region of the model whose albedo should vary little; all vertices of a model without one."""


def render_batch(
    predicted: FaceParameters,
    geometry: FaceParameters,
    model: MorphableModel,
    *,
    size_hw: tuple[int, int],
    image_index: Int[Tensor, " faces"],
    num_images: int,
) -> RenderedPixels:
    """Render the predicted faces of a batch of pictures.

    Args:
        predicted: Albedo and light, one face each.
        geometry: Shape and pose: predicted, or the truth where it is known.
        model: The face model.
        size_hw: Height and width of the pictures.
        image_index: Picture of each face.
        num_images: Number of pictures.
    """
    shape = model.decode_shape(geometry.identity, geometry.expression)
    return render_pixels(
        camera_from_model(shape, geometry.rotation_head, geometry.translation_m),
        model.triangles,
        model.decode_albedo(predicted.albedo),
        illumination=predicted.illumination,
        image_index=image_index,
        num_images=num_images,
        focal_px=GLOBAL_FOCAL_PX,
        size_hw=size_hw,
    )


def rendered_color(
    pixels: RenderedPixels,
    *,
    image: Float[Tensor, "batch 3 rows cols"],
    skin: Float[Tensor, "batch 1 rows cols"],
    image_index: Int[Tensor, " faces"],
) -> Float[Tensor, ""]:
    """Mean color distance to the photograph on visible skin per picture, summed over faces (each its picture's)."""
    weight = pixels.sample(skin[:, 0])
    error = point_distance(pixels.rgb, pixels.sample(image.permute(0, 2, 3, 1))) * weight
    faces = torch.bincount(image_index, minlength=len(image))
    return (pixels.per_image(error) / pixels.per_image(weight).clamp(min=1.0) * faces).sum()


def skin_variance(albedo: Float[Tensor, "faces alb"], model: MorphableModel) -> Float[Tensor, ""]:
    """Variance of the albedo over the skin, colors in 0-255, summed over faces."""
    colors = model.decode_albedo(albedo)
    region = region_or_all(model, SKIN_REGION)
    return albedo_variance(colors, region) * len(colors)


def region_or_all(model: MorphableModel, name: str) -> Bool[Tensor, " verts"]:
    """Return a named region of the model; all vertices of a model without it."""
    if name in (*model.region_names, *model.part_names):
        return model.region(name)
    return torch.ones(model.num_vertices, dtype=torch.bool, device=model.mean.device)
