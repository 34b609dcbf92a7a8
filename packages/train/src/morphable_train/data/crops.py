"""Single faces cut out of their pictures."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from morphable import MorphableModel
from morphable.geometry.warping import shrink_for, similarity_matrix, warp
from morphable_train.configs.stages import DataConfig
from morphable_train.data.faces import SourceFaces, source_faces
from morphable_train.data.labels import FaceLabels
from morphable_train.data.shards import Record


@dataclass(frozen=True)
class FaceCrop:
    """A square cut around one face."""

    pixels: UInt8[Tensor, "4 side side"]
    """RGB, and a plane of what else is known of each pixel: the skin mask unless it was replaced."""
    crop_from_source: Float[Tensor, "3 3"]
    """From the picture's pixels to the crop's."""
    labels: FaceLabels
    """Labels of this face, in the pixels of its picture."""
    size_hw: tuple[int, int]
    """Height and width of its picture."""

    def source(self, model: MorphableModel) -> SourceFaces:
        """Return the face's labels as tensors with the crop.

        Raises:
            ValueError: Exact labels of another number of coefficients than the model's.
        """
        return source_faces(self.labels, self.size_hw, model).with_crop(self.crop_from_source)


def cut_faces(record: Record, config: DataConfig) -> Iterator[FaceCrop]:
    """Cut the usable faces of a picture: large enough, and with their centers in it."""
    size_hw = record.image.shape[0], record.image.shape[1]
    for face in _usable_faces(record.labels, size_hw, config.min_face_px):
        pixels, crop_from_source = _cut(record, face, config)
        yield FaceCrop(pixels, crop_from_source, record.labels.select([face]), size_hw)


def _usable_faces(labels: FaceLabels, size_hw: tuple[int, int], min_face_px: float) -> list[int]:
    """The faces large enough whose centers lie in the picture."""
    box = labels.boxes_px()
    center = (box[:, :2] + box[:, 2:]) / 2
    size = np.maximum(box[:, 2:] - box[:, :2], 0).max(-1)
    inside = (center >= 0).all(-1) & (center <= np.array([size_hw[1], size_hw[0]])).all(-1)
    return [int(i) for i in np.flatnonzero(inside & (size >= min_face_px))]


def _cut(record: Record, face: int, config: DataConfig) -> tuple[UInt8[Tensor, "4 side side"], Float[Tensor, "3 3"]]:
    """RGB and skin mask of one face at the stored size, and the matrix from the picture's pixels to the crop's."""
    box = record.labels.boxes_px()[face]
    scale = config.crop_face_px / float((box[2:] - box[:2]).max())
    center = torch.from_numpy((box[:2] + box[2:]) / 2)[None]
    middle = torch.full((1, 2), config.crop_px / 2)
    crop_from_source = similarity_matrix(torch.tensor([scale]), torch.zeros(1), center, middle)
    picture = picture_tensor(record)
    small, remaining = shrink_for(picture, scale)
    small_from_source = torch.diag(torch.tensor([scale / remaining, scale / remaining, 1.0]))
    crop_from_small = crop_from_source @ torch.linalg.inv(small_from_source)
    crop = warp(small[None], crop_from_small, (config.crop_px, config.crop_px))[0]
    return (crop * 255.0 + 0.5).clamp(0, 255).byte(), crop_from_source[0]


def picture_tensor(record: Record) -> Float[Tensor, "4 rows cols"]:
    """RGB and skin of a record as float channels in [0, 1]."""
    image = torch.from_numpy(np.array(record.image)).permute(2, 0, 1)
    skin = torch.zeros_like(image[:1]) if record.skin is None else torch.from_numpy(np.array(record.skin))[None]
    return torch.cat([image, skin]).float() / 255.0
