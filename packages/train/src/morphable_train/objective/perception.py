"""The perception term: rendered faces must look like the photograph's to a face-recognition network (equation 11)."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from morphable import MorphableModel
from morphable_losses import perception_loss
from morphable_losses.perception import FACENET_SIZE_PX, Embedder
from morphable_render.pixels import RenderedPixels
from morphable_train.data.batch import FaceTargets
from morphable_train.objective.rendered import region_or_all

FACE_REGION = "face"
"""Only this region of the model is drawn over the photograph: hair, ears and neck stay the photograph's own."""
CROP_SCALE = 1.4
"""Side of the embedder's crops relative to the longer side of the 68 points' box."""


def perception_error(
    pixels: RenderedPixels,
    truth: FaceTargets,
    model: MorphableModel,
    embedder: Embedder,
    *,
    image: Float[Tensor, "batch 3 rows cols"],
    image_index: Int[Tensor, " faces"],
) -> Float[Tensor, ""]:
    """Squared distance between the embeddings of rendered and photographed faces, summed over faces.

    The faces are drawn over the photograph, and both pictures are cut around the true landmarks. Gradients reach
    shape, pose, albedo and light through the drawn pixels.

    Args:
        pixels: The rendered faces.
        truth: Landmarks of the same faces.
        model: The face model, for its regions.
        embedder: From crops to one vector per face; frozen.
        image: The input pictures.
        image_index: Picture of each face.
    """
    photograph = image.permute(0, 2, 3, 1)
    inside = region_or_all(model, FACE_REGION)[pixels.surface.corner % model.num_vertices].all(-1)
    colors = torch.where(inside[:, None], pixels.rgb.clamp(0.0, 1.0), pixels.sample(photograph))
    drawn = replace(pixels, rgb=colors).over(photograph).permute(0, 3, 1, 2)
    grid = crop_grid(truth.boxes_px(), (image.shape[2], image.shape[3]))
    crops = [sample_crops(picture, grid, image_index) for picture in (drawn, image)]
    return perception_loss(crops[0], crops[1], embedder) * len(image_index)


def crop_grid(boxes_px: Float[Tensor, "faces 4"], size_hw: tuple[int, int]) -> Float[Tensor, "faces side side 2"]:
    """Return where the pixels of square crops around boxes lie, in `grid_sample`'s units."""
    middle, side = (boxes_px[:, :2] + boxes_px[:, 2:]) / 2, (boxes_px[:, 2:] - boxes_px[:, :2]).amax(1) * CROP_SCALE
    step = (torch.arange(FACENET_SIZE_PX, device=boxes_px.device) + 0.5) / FACENET_SIZE_PX - 0.5
    offset = torch.stack(torch.meshgrid(step, step, indexing="xy"), -1)
    px = middle[:, None, None] + offset * side[:, None, None, None]
    return px * px.new_tensor([2.0 / size_hw[1], 2.0 / size_hw[0]]) - 1.0


def sample_crops(
    pictures: Float[Tensor, "batch 3 rows cols"],
    grid: Float[Tensor, "faces side side 2"],
    image_index: Int[Tensor, " faces"],
) -> Float[Tensor, "faces 3 side side"]:
    """Cut crops out of their pictures, bilinearly; outside, the edge repeats."""
    side = grid.shape[1]
    crops: list[Tensor] = []
    order: list[Tensor] = []
    for picture in range(len(pictures)):
        chosen = (image_index == picture).nonzero()[:, 0]
        rows = grid[chosen].flatten(0, 1)[None]
        cut = F.grid_sample(pictures[picture][None], rows, "bilinear", "border", align_corners=False)[0]
        crops.append(cut.unflatten(1, (-1, side)).transpose(0, 1) if len(chosen) else cut.new_zeros(0, 3, side, side))
        order.append(chosen)
    return torch.cat(crops)[torch.argsort(torch.cat(order))]
