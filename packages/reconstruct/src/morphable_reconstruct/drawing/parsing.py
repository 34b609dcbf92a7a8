"""Where a photograph shows a face itself, and not hair, hands or glasses before it."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from morphable import read_weights
from morphable_reconstruct.faces.rows import Face, SceneRows
from morphable_regressors import CropRule, FaceParser, SystemSpec, crop_matrices, cut_crops, load_system
from morphable_render import sample_image

WEIGHTS_FILE = Path(__file__).parents[1] / "weights" / "per_face" / "parsing.safetensors"
"""The bundled parsing network."""
MIN_FACE_PX = 32
"""Smaller faces are not parsed: the network can't tell brows from glasses there."""
_BACKGROUND = 0


@dataclass(frozen=True, eq=False)
class ShownFace:
    """Class probabilities around one face."""

    probability: Float[Tensor, "side side classes"]
    """By pixel of a square crop; classes as in `morphable_regressors.PARSING_CLASSES`."""
    crop_from_photo: Float[Tensor, "3 3"]

    def face_at(self, px: Float[Tensor, "points 2"], *, margin_px: int = 0) -> Float[Tensor, " points"]:
        """Return the probability that the photograph shows the face at some of its pixels; 0 outside the crop.

        Args:
            px: Pixels of the photograph.
            margin_px: Take the smallest probability within this many pixels of the crop: strands and rims at the edge
                of hair and glasses are thinner than the network can see.
        """
        side = len(self.probability)
        scale, shift = self.crop_from_photo[0, 0], self.crop_from_photo[:2, 2]
        at = (px * scale + shift) / side
        inside = ((at > 0) & (at < 1)).all(-1)
        hidden = self.probability[None, ..., _BACKGROUND]
        if margin_px:
            hidden = F.max_pool2d(hidden, 2 * margin_px + 1, stride=1, padding=margin_px)
        return sample_image(1 - hidden[0, ..., None], at)[:, 0] * inside


def parse_faces(rows: SceneRows) -> list[ShownFace | None]:
    """Parse every face of a photograph that is large enough; None where it isn't, or where there is no network."""
    network = _network()
    sizes = (rows.box_xyxy_px[:, 2:] - rows.box_xyxy_px[:, :2]).max(1).tolist() if len(rows) else []
    chosen = [index for index, size in enumerate(sizes) if size >= MIN_FACE_PX]
    shown: list[ShownFace | None] = [None] * len(sizes)
    if network is None or not chosen:
        return shown
    system, rule = network
    picture = torch.from_numpy(rows.photo.pixels).permute(2, 0, 1).float() / 255.0
    boxes = torch.from_numpy(rows.box_xyxy_px[chosen]).float()
    matrices = crop_matrices(boxes, rule)
    for index, matrix in zip(chosen, matrices, strict=True):
        crop = cut_crops(picture, matrix[None], rule.side_px)
        with torch.inference_mode():
            probability = F.softmax(system(crop)[0], dim=0).permute(1, 2, 0)
        shown[index] = ShownFace(probability.clone(), matrix)
    return shown


def parse_face(face: Face) -> ShownFace | None:
    """Parse one face."""
    return parse_faces(face.scene.take(np.array([face.index])))[0]


@lru_cache(maxsize=1)
def _network() -> tuple[FaceParser, CropRule] | None:
    """Load the parsing network and its crops; None where its file is missing."""
    if not WEIGHTS_FILE.is_file():
        return None
    info, state = read_weights(WEIGHTS_FILE)
    spec = SystemSpec.from_json(info.architecture)
    system = load_system(spec, state)
    assert isinstance(system, FaceParser)
    return system, spec.crop
