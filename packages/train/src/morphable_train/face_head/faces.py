"""Single faces, synthetic and photographed: pictures as they lie in their shards, labels in memory."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from morphable import MorphableModel
from morphable.decoding import open_picture
from morphable.fitting import fit_landmarks
from morphable.geometry import GLOBAL_FOCAL_PX, Pinhole
from morphable_train.data.shards import ShardReader
from morphable_train.runs.progress import track

_FITTED_TOGETHER = 100
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


class _StoredPictures:
    """Pictures in shards; they are decoded when they are asked for."""

    def __init__(self, readers: list[ShardReader]) -> None:
        self._readers = readers
        self._places: list[tuple[int, int]] = []
        """Reader and record of each face."""

    def __len__(self) -> int:
        return len(self._places)

    def picture(self, index: int, shrink: float = 1.0) -> tuple[UInt8[np.ndarray, "rows cols 3"], float]:
        """Decode a picture, shrunk by a factor; return it with the factor on lengths in pixels that this really was."""
        reader, record = self._places[index]
        picture = open_picture(io.BytesIO(self._readers[reader].member(record, "jpg"))).convert("RGB")
        width = picture.width
        if shrink > 1.0:
            size = (max(round(width / shrink), 8), max(round(picture.height / shrink), 8))
            picture = picture.resize(size, Image.Resampling.BOX)
        return np.asarray(picture), picture.width / width


class SyntheticFaces(_StoredPictures):
    """Faces whose parameters are known."""

    def __init__(self, folders: tuple[Path, ...], *, min_visible: float, most: int | None = None) -> None:
        """Read the labels.

        Raises:
            FileNotFoundError: A folder does not exist.
            ValueError: The shards hold no usable face.
        """
        super().__init__([ShardReader(folder) for folder in folders])
        everything = [(r, k) for r, reader in enumerate(self._readers) for k in range(len(reader))]
        if most is not None:
            everything = everything[: 2 * most]
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


class PhotographedFaces(_StoredPictures):
    """Faces of which 68 points are known; their poses are those of a fit to the points."""

    def __init__(self, folders: tuple[Path, ...], model: MorphableModel) -> None:
        """Read the points, and fit the model to them.

        Args:
            folders: Shards of `morphable-train prepare --layout crop`, one face in each picture.
            model: The face model.

        Raises:
            FileNotFoundError: A folder does not exist.
            ValueError: The shards hold no single face all of whose points are known.
        """
        super().__init__([ShardReader(folder) for folder in folders])
        points, on_outline, middles = [], [], []
        for reader_index, reader in enumerate(self._readers):
            for record in track(range(len(reader)), "reading points", len(reader)):
                labels = reader.labels(record)
                if len(labels) != 1 or not labels.landmark_valid.all():
                    continue
                with open_picture(io.BytesIO(reader.member(record, "jpg"))) as picture:
                    middles.append((picture.width / 2, picture.height / 2))
                points.append(labels.landmarks68_px[0])
                on_outline.append(bool(labels.contour[0]))
                self._places.append((reader_index, record))
        if not self._places:
            raise ValueError("photographs must hold single faces with all 68 points, got none")
        from_middle = torch.from_numpy(np.stack(points)) - torch.tensor(middles)[:, None]
        camera = Pinhole((1, 1), GLOBAL_FOCAL_PX, (0.0, 0.0))
        chunks = track(from_middle.split(_FITTED_TOGETHER), "fitting poses", -(-len(points) // _FITTED_TOGETHER))
        parts = [fit_landmarks(model, chunk, camera).faces for chunk in chunks]
        found = {name: torch.cat([getattr(part, name) for part in parts]) for name in _LABELS}
        self.faces = ExactFaces(**found, focal_px=torch.full((len(points),), GLOBAL_FOCAL_PX))
        """What was fitted: poses are near, shapes no more than likely."""
        self.landmarks = from_middle / GLOBAL_FOCAL_PX
        """The points from the principal point, in units of the focal length, (faces, 68, 2)."""
        self.on_outline = torch.tensor(on_outline)
        """Whether the jaw's points lie on the visible outline; else they are static."""
