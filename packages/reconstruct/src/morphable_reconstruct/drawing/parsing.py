"""Where a photograph shows a face itself, and not hair, hands or glasses before it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from morphable import read_weights
from morphable_detector_head.engines import onnx_session
from morphable_reconstruct.drawing.filters import largest_around
from morphable_reconstruct.faces.rows import Face, SceneRows
from morphable_reconstruct.photographs.window import window
from morphable_regressors import CropRule, FaceParser, SystemSpec, crop_matrices, cut_crops, load_system
from morphable_render import sample_image

WEIGHTS_FILE = Path(__file__).parents[1] / "weights" / "per_face" / "parsing.safetensors"
"""The bundled parsing network."""
GRAPH_FILE = WEIGHTS_FILE.with_suffix(".onnx")
"""Its graph, without weights (`packages/reconstruct/tools/build_graphs.py`)."""
MIN_FACE_PX = 32
"""Smaller faces are not parsed: the network can't tell brows from glasses there."""
_BACKGROUND = 0
_STRIP_ROWS = 256
_ALIGNED_PX = 64
"""Parts of photographs begin at multiples of this: pictures are halved up to six times."""
_MOST_PIXELS = 1 << 22
"""Pixels of the part from which a crop is cut, many times those of the crop."""
_READ_AROUND = 3.0
"""Pixels of a crop that are read around it."""


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
        hidden = largest_around(self.probability[..., _BACKGROUND], margin_px)
        return sample_image(1 - hidden[..., None], at)[:, 0] * inside


def parse_faces(rows: SceneRows) -> list[ShownFace | None]:
    """Parse every face of a photograph that is large enough; None where it isn't, or where there is no network."""
    network = _network()
    sizes = (rows.box_xyxy_px[:, 2:] - rows.box_xyxy_px[:, :2]).max(1).tolist() if len(rows) else []
    chosen = [index for index, size in enumerate(sizes) if size >= MIN_FACE_PX]
    shown: list[ShownFace | None] = [None] * len(sizes)
    if network is None or not chosen:
        return shown
    probability_of, rule = network
    boxes = torch.from_numpy(rows.box_xyxy_px[chosen]).float()
    for index, matrix in zip(chosen, crop_matrices(boxes, rule), strict=True):
        crop = _cut(rows.photo.pixels, matrix, rule.side_px)
        shown[index] = ShownFace(probability_of(crop)[0].permute(1, 2, 0), matrix)
    return shown


def _cut(
    pixels: UInt8[np.ndarray, "rows cols 3"], crop_from_photo: Float[Tensor, "3 3"], side_px: int
) -> Float[Tensor, "1 3 side side"]:
    """Cut one crop; only the part of the photograph that it shows becomes numbers.

    The part begins where the halved pictures of the whole photograph have a pixel's corner, so that it is halved in
    the same way.
    """
    scale, shift = float(crop_from_photo[0, 0]), crop_from_photo[:2, 2].double().numpy()
    margin = _READ_AROUND / min(1.0, scale)
    part = window(
        pixels,
        -shift / scale - margin,
        (side_px - shift) / scale + margin,
        align_px=_ALIGNED_PX,
        max_pixels=_MOST_PIXELS,
    )
    matrix = crop_from_photo.clone()
    matrix[:2, 2] += matrix[0, 0] * torch.from_numpy(part.corner_px).to(matrix)
    matrix[:2, :2] *= part.factor
    picture = torch.from_numpy(np.array(part.pixels)).permute(2, 0, 1).float().div_(255.0)
    return cut_crops(picture, matrix[None], side_px)


def segment_photograph(rows: SceneRows) -> Int[np.ndarray, "rows cols"]:
    """Find what the photograph shows of the faces: per pixel an index into `PARSING_CLASSES`.

    0 is whatever is no face, hair, hands and glasses before one included. Where crops overlap the nearer face counts.
    """
    height, width = rows.camera.size_hw
    found = np.zeros((height, width), np.int16)
    shown = parse_faces(rows)
    for index in np.argsort(-rows.faces.translation_m[:, 2].numpy()):
        parsed = shown[index]
        if parsed is None:
            continue
        scale, shift = float(parsed.crop_from_photo[0, 0]), parsed.crop_from_photo[:2, 2].numpy()
        side = len(parsed.probability)
        left, top = np.floor(-shift / scale).clip(0, [width, height]).astype(int)
        right, bottom = np.ceil((side - shift) / scale).clip(0, [width, height]).astype(int)
        x = torch.arange(left, right) + 0.5
        for start in range(top, bottom, _STRIP_ROWS):
            y = torch.arange(start, min(bottom, start + _STRIP_ROWS)) + 0.5
            px = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
            at = (px * scale + parsed.crop_from_photo[:2, 2]) / side
            classes = sample_image(parsed.probability, at.reshape(-1, 2)).argmax(-1).reshape(px.shape[:2]).numpy()
            strip = found[start : start + len(y), left:right]
            np.copyto(strip, classes.astype(np.int16), where=classes != _BACKGROUND)
    return found


def parse_face(face: Face) -> ShownFace | None:
    """Parse one face."""
    return parse_faces(face.scene.take(np.array([face.index])))[0]


class ParserGraph(nn.Module):
    """The parsing network as it is exported: class probabilities of crops."""

    def __init__(self, parser: FaceParser) -> None:
        super().__init__()
        self.parser = parser

    def forward(self, crop: Float[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch classes side side"]:
        """Parse."""
        return F.softmax(self.parser(crop), dim=1)


GRAPH_PREFIX = "parser."


@lru_cache(maxsize=1)
def _network() -> tuple[Callable[[Float[Tensor, "batch 3 side side"]], Tensor], CropRule] | None:
    """Load the parsing network, in ONNX Runtime where that is installed, and its crops; None without its file."""
    if not WEIGHTS_FILE.is_file():
        return None
    info, state = read_weights(WEIGHTS_FILE)
    spec = SystemSpec.from_json(info.architecture)
    if GRAPH_FILE.is_file() and find_spec("onnxruntime"):
        session = onnx_session(GRAPH_FILE, state=state, prefix=GRAPH_PREFIX, num_threads=torch.get_num_threads())
        return lambda crop: torch.from_numpy(session.run(None, {"crop": crop.numpy()})[0]), spec.crop
    system = load_system(spec, state)
    assert isinstance(system, FaceParser)
    network = ParserGraph(system)

    def probability_of(crop: Tensor) -> Tensor:
        with torch.inference_mode():
            found: Tensor = network(crop)
        return found.clone()

    return probability_of, spec.crop
