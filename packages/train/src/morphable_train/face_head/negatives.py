"""What is not a face: crops on which the face head learns to say so."""

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from morphable.decoding import open_picture
from morphable.files import refusing
from morphable_detector_head.face_head.crops import CROP_PX
from morphable_train.face_head.config import CropChanges
from morphable_train.face_head.crops import random_colors
from morphable_train.face_head.photography import photograph
from morphable_train.face_head.warp import NoisePool, cut_crop
from morphable_train.runs.progress import track

NEGATIVE_PX = 280
"""Samples along the side of a stored crop."""
NEGATIVE_MARGIN = 1.25
"""Side of a stored crop over that of what the head sees, so that it can be moved and turned."""
_MOST_TURN_DEG, _MOST_SHIFT, _SCALES = 15.0, 0.06, (0.85, 1.1)


def photographs_in(folders: Iterable[Path]) -> list[Path]:
    """Return the JPEG files of folders, each folder's in the order of their names."""
    return [path for folder in folders for path in sorted(folder.glob("[!.]*.jpg"))]


class NegativeCrops:
    """Crops without a face, from folders of pictures (`morphable-train negatives` makes them)."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        """Decode all pictures.

        Raises:
            FileNotFoundError: A folder does not exist.
            ValueError: The folders hold no picture.
        """
        for folder in folders:
            if not folder.is_dir():
                raise FileNotFoundError(f"negatives must be an existing folder, got {folder}")
        paths = photographs_in(folders)
        if not paths:
            raise ValueError(f"negatives must hold .jpg files, got none in {', '.join(map(str, folders))}")
        self._pictures = [_read(path) for path in track(paths, "reading negatives", len(paths))]
        self._noise = NoisePool()

    def __len__(self) -> int:
        return len(self._pictures)

    def draw(self, count: int, changes: CropChanges, seed: int) -> UInt8[Tensor, "count crop crop 3"]:
        """Return some crops, moved, turned, mirrored and recolored at random; they depend on the seed alone."""
        rng = np.random.default_rng(seed)
        out = np.empty((count, CROP_PX, CROP_PX, 3), np.uint8)
        for row in range(count):
            picture = self._pictures[int(rng.integers(len(self._pictures)))]
            angle = math.radians(rng.uniform(-_MOST_TURN_DEG, _MOST_TURN_DEG))
            step = rng.uniform(*_SCALES) * NEGATIVE_PX / (NEGATIVE_MARGIN * CROP_PX)
            right = np.array([math.cos(angle), math.sin(angle)]) * step
            down = np.array([-right[1], right[0]])
            right = right if rng.random() < 0.5 else -right
            center = NEGATIVE_PX * (0.5 + rng.uniform(-_MOST_SHIFT, _MOST_SHIFT, 2))
            color, noise_scale = random_colors(rng, changes)
            start = self._noise.start(rng)
            origin = center - (right + down) * CROP_PX / 2
            limits = np.array([0.0, 0.0, NEGATIVE_PX, NEGATIVE_PX])
            cut_crop(picture, origin, right, down, limits, color, self._noise.values, start, noise_scale, out[row])
            photograph(out[row], changes, rng)
        return torch.from_numpy(out)


def _read(path: Path) -> UInt8[np.ndarray, "rows cols 3"]:
    with refusing("negative must be a readable JPEG", path), open_picture(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    if pixels.shape != (NEGATIVE_PX, NEGATIVE_PX, 3):
        raise ValueError(f"{path} must be {NEGATIVE_PX} px wide and high, got {pixels.shape[1]}x{pixels.shape[0]}")
    return pixels
