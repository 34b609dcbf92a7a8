"""A face as it looks straight at the viewer."""

import numpy as np
import torch
from jaxtyping import Float, UInt8

from morphable_reconstruct.drawing.colors import to_bytes
from morphable_reconstruct.drawing.textured import render_textured
from morphable_reconstruct.drawing.textures import photo_texture
from morphable_reconstruct.drawing.unwrapping import texture_mesh
from morphable_reconstruct.faces.camera import MODEL_TO_CAMERA
from morphable_reconstruct.faces.rows import Face

DISTANCE_M = 1.5
"""A portrait's distance."""
_OVERSAMPLING = 2
_HALF_SIDE = 0.85
"""Half of the picture's side at the depth of the face, over the longer side of the box of the 68 points."""
_RAISED = 0.15
"""The picture's center lies above that of the box by this share of half the side: there the forehead is."""


def frontal_picture(
    face: Face, *, size_px: int = 512, depth_m: Float[np.ndarray, "rows cols"] | None = None
) -> UInt8[np.ndarray, "size size 3"]:
    """Draw a face with the photograph's texture, looking straight, before white.

    Args:
        face: The face, with the photograph it was found in.
        size_px: Side of the picture.
        depth_m: Depth of all faces of the photograph (`scene.depth_m`), of any size; rendered where it is not given.

    Raises:
        ValueError: `size_px` is not positive.
    """
    if size_px < 1:
        raise ValueError(f"size_px must be at least 1, got {size_px}")
    texture = torch.from_numpy(photo_texture(face, depth_m=depth_m).rgb)
    turned = face.scene.vertices_model_m[face.index] @ torch.from_numpy(MODEL_TO_CAMERA).float()
    points = face.model.landmarks(turned[None])[0]
    low, high = points.amin(0), points.amax(0)
    half_m = _HALF_SIDE * max(float((high - low)[:2].max()), 1e-3)
    center = (low + high) / 2 - torch.tensor([0.0, _RAISED * half_m, 0.0])
    placed = turned - center + torch.tensor([0.0, 0.0, DISTANCE_M])
    side = size_px * _OVERSAMPLING
    focal_px = side / 2 * DISTANCE_M / half_m
    image = render_textured(
        placed[None], texture_mesh(face.model), [texture], focal_px=focal_px, background=torch.ones(side, side, 3)
    )
    small = image.rgb.unflatten(0, (size_px, _OVERSAMPLING)).unflatten(2, (size_px, _OVERSAMPLING)).mean((1, 3))
    return to_bytes(small.numpy())
