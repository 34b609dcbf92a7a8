"""Contact sheets of the network's inputs and outputs, to be looked at during training."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from morphable import FaceParameters, MorphableModel
from morphable.geometry import GLOBAL_FOCAL_PX, camera_from_model
from morphable_render import render_faces

TRUE_COLOR = (255, 60, 60)
PREDICTED_COLOR = (60, 255, 60)
_DOT_PX = 1


def draw_points(
    picture: UInt8[np.ndarray, "rows cols 3"], points_px: Float[np.ndarray, "points 2"], color: tuple[int, int, int]
) -> UInt8[np.ndarray, "rows cols 3"]:
    """Return a copy with a small square on every point; points outside are left out."""
    drawn = picture.copy()
    rows, cols = picture.shape[:2]
    finite = points_px[np.isfinite(points_px).all(1)]
    for x, y in np.floor(finite).astype(int):
        if 0 <= x < cols and 0 <= y < rows:
            drawn[max(y - _DOT_PX, 0) : y + _DOT_PX + 1, max(x - _DOT_PX, 0) : x + _DOT_PX + 1] = color
    return drawn


@torch.no_grad()
def draw_mesh(
    picture: UInt8[np.ndarray, "rows cols 3"], parameters: FaceParameters, model: MorphableModel, *, lit: bool
) -> UInt8[np.ndarray, "rows cols 3"]:
    """Return the picture with predicted faces drawn over it.

    Args:
        picture: The network's input.
        parameters: Faces of this picture (leading axis).
        model: The face model.
        lit: With the predicted albedo and light, or gray under a white one.
    """
    shape = model.decode_shape(parameters.identity, parameters.expression)
    shape_cam = camera_from_model(shape, parameters.rotation_head, parameters.translation_m)
    albedo = model.decode_albedo(parameters.albedo) if lit else torch.full_like(shape, 0.6)
    light = parameters.illumination if lit else _front_light(parameters.illumination)
    background = torch.from_numpy(picture.astype(np.float32) / 255.0).to(shape.device)
    image = render_faces(
        shape_cam, model.triangles, albedo, illumination=light, focal_px=GLOBAL_FOCAL_PX, background=background
    )
    return (image.rgb.clamp(0, 1) * 255 + 0.5).byte().cpu().numpy()


def _front_light(like: Tensor) -> Tensor:
    """White light from the camera's side."""
    light = torch.zeros_like(like)
    light[:, 0], light[:, 2] = -0.5, 0.35
    return light


def grid(rows: list[list[UInt8[np.ndarray, "rows cols 3"]]]) -> UInt8[np.ndarray, "sheet_rows sheet_cols 3"]:
    """Join pictures of one size, row by row."""
    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)
