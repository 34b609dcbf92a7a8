"""DF-MVR's terms that need the rendered face: photo, mask, reflectance, light."""

from jaxtyping import Float
from torch import Tensor, nn

from morphable import MorphableModel
from morphable.geometry import GLOBAL_FOCAL_PX, camera_from_model
from morphable_losses import parsing_loss, weighted_photo_loss
from morphable_losses.coefficients import albedo_variance, light_prior
from morphable_losses.dfmvr import DILATION_KERNEL_PX, DfmvrWeights, photo_weights
from morphable_regressors.dfmvr import MultiViewParameters
from morphable_render import render_pixels
from morphable_train.objective.rendered import SKIN_REGION, region_or_all
from morphable_train.recipes.base.batches import CropBatch
from morphable_train.recipes.parsing.recipe import classes_of

_PAPER_SIDE_PX = 224
"""Input of the paper, whose pixels the dilation is meant for."""


def rendered_terms(
    found: MultiViewParameters,
    rotation: Float[Tensor, "people views 3 3"],
    translation: Float[Tensor, "people views 3"],
    batch: CropBatch,
    model: MorphableModel,
    *,
    weights: DfmvrWeights,
    parser: nn.Module | None,
) -> dict[str, Float[Tensor, ""]]:
    """Render every view of every person over its photograph, and compare.

    Args:
        found: Coefficients and light of each person.
        rotation: Head rotation in each view.
        translation: Its place in the crop's camera, meters.
        batch: The photographs, one person's views after the other.
        model: The face model.
        weights: Of the terms.
        parser: Frozen; gives the mask term. None leaves that out.
    """
    views, side = rotation.shape[1], batch.image.shape[-1]
    shape = model.decode_shape(found.identity, found.expression)
    albedo = model.decode_albedo(found.albedo)

    def per_view(value: Tensor) -> Tensor:
        return value[:, None].expand(-1, views, *value.shape[1:]).flatten(0, 1)

    pixels = render_pixels(
        camera_from_model(per_view(shape), rotation.flatten(0, 1), translation.flatten(0, 1)),
        model.triangles,
        per_view(albedo),
        illumination=per_view(found.illumination),
        image_index=batch.faces.image_index,
        num_images=len(batch),
        focal_px=GLOBAL_FOCAL_PX,
        size_hw=(side, side),
    )
    composed = pixels.over(batch.image.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    classes = classes_of(batch.part)
    importance = photo_weights(classes, kernel_px=max(1, round(DILATION_KERNEL_PX * side / _PAPER_SIDE_PX)))
    terms = {
        "photo": weights.photo * weighted_photo_loss(composed, batch.image, importance, pixels.mask),
        "reflectance": weights.reflectance * albedo_variance(albedo, region_or_all(model, SKIN_REGION), scale=1.0),
        "light": weights.light * light_prior(found.illumination),
    }
    if parser is not None:
        logits = parser(composed.clamp(0.0, 1.0)).float()
        terms["mask"] = weights.mask * parsing_loss(logits, classes, counted=pixels.mask)
    return terms
