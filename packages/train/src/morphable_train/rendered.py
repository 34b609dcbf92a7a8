"""The photometric term through the rasteriser (equations 9 and 10 of the paper), and the albedo's variance (14)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from morphable import MorphableModel
from morphable_detector_head import FaceParameters
from morphable_losses import albedo_variance
from morphable_render import GLOBAL_FOCAL_PX, camera_from_model, render_pixels
from morphable_train.supervised import distance

SKIN_REGION = "skin"
"""Region of the model whose albedo should vary little; all vertices of a model without one."""


def rendered_terms(
    predicted: FaceParameters,
    geometry: FaceParameters,
    model: MorphableModel,
    *,
    image: Float[Tensor, "batch 3 rows cols"],
    skin: Float[Tensor, "batch 1 rows cols"],
    image_index: Int[Tensor, " faces"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Compare rendered faces with the photograph where skin is visible.

    Args:
        predicted: Albedo and light, one face each.
        geometry: Shape and pose: predicted, or the truth where it is known.
        model: The face model.
        image: The input pictures.
        skin: Visible skin.
        image_index: Picture of each face.

    Returns:
        The mean colour distance per picture, summed over pictures and weighted by their number of faces; and the
        variance of the albedo over the skin, summed over faces.
    """
    shape = model.decode_shape(geometry.identity, geometry.expression)
    albedo = model.decode_albedo(predicted.albedo)
    pixels = render_pixels(
        camera_from_model(shape, geometry.rotation, geometry.translation),
        model.triangles,
        albedo,
        illumination=predicted.illumination,
        image_index=image_index,
        num_images=len(image),
        focal_px=GLOBAL_FOCAL_PX,
        size_hw=(image.shape[2], image.shape[3]),
    )
    weight = pixels.sample(skin[:, 0])
    error = distance(pixels.rgb, pixels.sample(image.permute(0, 2, 3, 1))) * weight
    area = pixels.per_image(weight)
    faces = torch.bincount(image_index, minlength=len(image))
    color = (pixels.per_image(error) / area.clamp(min=1.0) * faces).sum()
    named = SKIN_REGION in (*model.region_names, *model.part_names)
    region = model.region(SKIN_REGION) if named else torch.ones_like(albedo[0, :, 0], dtype=torch.bool)
    return color, albedo_variance(albedo, region) * len(albedo)
