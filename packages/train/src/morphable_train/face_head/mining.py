"""Collects crops that are not faces: what a detector takes for one, and places at random."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from morphable.decoding import open_picture
from morphable.files import atomic_path, refusing
from morphable_detector_head import FaceDetector, load_detector
from morphable_detector_head.face_head.crops import CropFrames, crop_frames
from morphable_detector_head.letterbox import Letterbox, letterbox, network_input, unenlarged_side
from morphable_train.data.shards import ShardReader
from morphable_train.face_head.negatives import NEGATIVE_MARGIN, NEGATIVE_PX, photographs_in
from morphable_train.runs.progress import track

_TOP_K = 16
_APART = 0.5
"""A place nearer to a face than this, in sides of the larger of crop and face, is not taken: it shows the face."""


@dataclass(frozen=True, kw_only=True)
class MiningConfig:
    """Collect crops without a face, on which the face head learns what a face is not."""

    detector: Path
    """Weights file of the detector whose mistakes are collected."""
    out: Path
    """Folder of the crops."""
    pictures: tuple[Path, ...] = ()
    """Folders of photographs without a face."""
    shards: tuple[Path, ...] = ()
    """Folders of shards of single synthetic people; only places that mostly show the person are taken."""
    sides: tuple[int, ...] = (320, 512, 704)
    """Long sides at which photographs are looked at."""
    min_score: float = 0.05
    """Score above which a cell of the center map is taken."""
    random: int = 10
    """Places at random for each photograph."""
    person_share: float = 0.3
    """Share of a crop that the person must fill in a synthetic picture."""
    step: int = 1
    """Every how many pictures one is taken, of all in the order of their names."""
    first: int = 0
    """Number of the first one."""
    seed: int = 0
    """Of the places at random."""


@torch.no_grad()
def mine(config: MiningConfig) -> int:
    """Write the crops and return their number."""
    detector = load_detector(config.detector)
    detector.face_head = None
    rng = np.random.default_rng(config.seed)
    config.out.mkdir(parents=True, exist_ok=True)
    count = 0
    photographs = photographs_in(config.pictures)[config.first :: config.step]
    for path in track(photographs, "photographs", len(photographs)):
        picture = opened(path)
        for side in config.sides:
            places = _candidates(detector, picture, config.min_score, side)
            count += _store(picture, places, config.out, f"{path.stem}_{side}")
        count += _store(picture, _random_places(picture, config.random, rng), config.out, f"{path.stem}_random")
    for folder in config.shards:
        reader = ShardReader(folder)
        taken = range(config.first, len(reader), config.step)
        for index in track(taken, f"scenes of {folder.name}", len(taken)):
            record = reader.read(index)
            labels = record.labels
            if len(labels.landmarks68_px) != 1:
                continue
            person = reader.parts(index) > 0
            picture = Image.fromarray(record.image)
            places = _candidates(detector, picture, config.min_score)
            points = labels.landmarks68_px[0].astype(np.float64)
            box = np.concatenate([points.min(0), points.max(0)])
            kept = [p for p in places if _apart(p, box) and _share(p, person) > config.person_share]
            count += _store(picture, kept, config.out, record.key)
    return count


@dataclass(frozen=True)
class _Place:
    """An upright square of a picture, in its pixels."""

    center: Float[np.ndarray, "2"]
    side: float
    right: Float[np.ndarray, "2"]

    @property
    def down(self) -> Float[np.ndarray, "2"]:
        """Direction of the columns."""
        return np.array([-self.right[1], self.right[0]])


def opened(path: Path) -> Image.Image:
    """Decode a photograph.

    Raises:
        ValueError: It is damaged.
    """
    with refusing("photograph must be a readable JPEG", path), open_picture(path) as picture:
        return picture.convert("RGB")


def letterboxed(picture: Image.Image, side: int | None = None) -> tuple[Float[Tensor, "1 3 height width"], Letterbox]:
    """Return a picture as the network takes it.

    Args:
        picture: The picture.
        side: Long side of the network's input; by default the picture's own, to a multiple of 32.
    """
    pixels = np.asarray(picture)
    canvas, plan = letterbox(pixels, side or unenlarged_side(pixels.shape[:2]))
    return network_input(canvas[None]), plan


def _candidates(
    detector: FaceDetector, picture: Image.Image, min_score: float, side: int | None = None
) -> list[_Place]:
    """Where the detector sees faces."""
    image, plan = letterboxed(picture, side)
    found = detector.detect(image, _TOP_K, min_score=min_score)
    frames: CropFrames = crop_frames(found.parameters)
    middle = torch.tensor([image.shape[3] / 2, image.shape[2] / 2])
    return [
        _Place(
            plan.to_photo((frames.center_px[0, k] + middle).double().numpy()),
            float(frames.side_px[0, k]) / plan.scale,
            frames.right[0, k].double().numpy(),
        )
        for k in torch.where(found.valid[0])[0].tolist()
    ]


def _random_places(picture: Image.Image, count: int, rng: np.random.Generator) -> list[_Place]:
    out = []
    for _ in range(count):
        side = float(np.exp(rng.uniform(math.log(32), math.log(min(picture.size)))))
        angle = rng.normal(0.0, 0.5)
        out.append(_Place(rng.uniform(0.0, picture.size), side, np.array([math.cos(angle), math.sin(angle)])))
    return out


def _apart(place: _Place, box: Float[np.ndarray, "4"]) -> bool:
    center, side = (box[:2] + box[2:]) / 2, float(max(box[2:] - box[:2]))
    return float(np.linalg.norm(place.center - center)) > _APART * max(place.side, side)


def _share(place: _Place, person: Bool[np.ndarray, "rows cols"]) -> float:
    half = place.side / 2
    left, top = np.maximum(place.center - half, 0).astype(int)
    right, bottom = np.maximum(place.center + half, 0).astype(int)
    inside = person[top:bottom, left:right]
    return float(inside.mean()) if inside.size else 0.0


def _store(picture: Image.Image, places: list[_Place], out: Path, stem: str) -> int:
    """Cut the crops."""
    for number, place in enumerate(places):
        step = place.side * NEGATIVE_MARGIN / NEGATIVE_PX
        a, b = place.right * step, place.down * step
        origin = place.center - (a + b) * NEGATIVE_PX / 2
        matrix = (a[0], b[0], origin[0], a[1], b[1], origin[1])
        shrunk = picture
        if step > 2:  # bilinear sampling would leave out pixels
            factor = int(step)
            shrunk = picture.reduce(factor)
            matrix = tuple(value / factor for value in matrix)
        crop = shrunk.transform(
            (NEGATIVE_PX, NEGATIVE_PX), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=(128,) * 3
        )
        with atomic_path(out / f"{stem}_{number:02d}.jpg") as temporary:
            crop.save(temporary, quality=92)
    return len(places)
