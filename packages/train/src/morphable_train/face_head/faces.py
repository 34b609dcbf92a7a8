"""Synthetic single faces: pictures as they lie in their shards, labels in memory."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from morphable_train.data.shards import ShardReader
from morphable_train.runs.progress import track

_LABELS = ("identity", "expression", "rotation_head", "translation_m")


@dataclass(frozen=True)
class ExactFaces:
    """Exact parameters of single faces in the cameras of their pictures."""

    identity: Float[Tensor, "faces id"]
    expression: Float[Tensor, "faces expr"]
    rotation_head: Float[Tensor, "faces 3 3"]
    translation_m: Float[Tensor, "faces 3"]
    focal_px: Float[Tensor, " faces"]

    def __len__(self) -> int:
        return len(self.focal_px)

    def __getitem__(self, index: Tensor) -> "ExactFaces":
        return ExactFaces(**{name: value[index] for name, value in vars(self).items()})


class SyntheticFaces:
    """The faces of some folders of shards; pictures are decoded when they are asked for."""

    def __init__(self, folders: tuple[Path, ...], *, min_visible: float, most: int | None = None) -> None:
        """Read the labels.

        Raises:
            FileNotFoundError: A folder does not exist.
            ValueError: The shards hold no usable face.
        """
        self._readers = [ShardReader(folder) for folder in folders]
        everything = [(r, k) for r, reader in enumerate(self._readers) for k in range(len(reader))]
        if most is not None:
            everything = everything[: 2 * most]
        self._places: list[tuple[int, int]] = []
        rows: dict[str, list[np.ndarray]] = {name: [] for name in (*_LABELS, "focal_px")}
        for place in track(everything, "reading labels", len(everything)):
            with np.load(io.BytesIO(self._readers[place[0]].member(place[1], "npz")), allow_pickle=False) as labels:
                if len(labels["identity"]) != 1 or (
                    "visible_share" in labels and labels["visible_share"][0] < min_visible
                ):
                    continue
                for name in _LABELS:
                    rows[name].append(labels[name][0].astype(np.float32))
                rows["focal_px"].append(labels["focal_px"].astype(np.float32))
            self._places.append(place)
            if most is not None and len(self._places) == most:
                break
        if not self._places:
            raise ValueError(f"data must hold single faces that show {min_visible:.0%} of themselves, got none")
        self.faces = ExactFaces(**{name: torch.from_numpy(np.stack(values)) for name, values in rows.items()})

    def __len__(self) -> int:
        return len(self._places)

    def picture(self, index: int, shrink: float = 1.0) -> tuple[UInt8[np.ndarray, "rows cols 3"], float]:
        """Decode a picture, shrunk by a factor; return it with the factor on lengths in pixels that this really was."""
        reader, record = self._places[index]
        picture = Image.open(io.BytesIO(self._readers[reader].member(record, "jpg"))).convert("RGB")
        width = picture.width
        if shrink > 1.0:
            size = (max(round(width / shrink), 8), max(round(picture.height / shrink), 8))
            picture = picture.resize(size, Image.Resampling.BOX)
        return np.asarray(picture), picture.width / width
