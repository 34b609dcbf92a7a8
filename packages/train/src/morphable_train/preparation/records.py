"""From one picture of a data set to records of a shard, or to what is wrong with it."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from morphable_train.data.labels import FaceLabels, moved_labels, weak_labels
from morphable_train.data.pictures import read_picture
from morphable_train.data.shards import Record
from morphable_train.preparation.basel import BaselLabels
from morphable_train.preparation.landmarkers import LandmarkFinder, LandmarkModelConfig, cut_window
from morphable_train.preparation.parts import labels_of_parts, read_parts, skin_of_parts
from morphable_train.preparation.skin_sources import SkinSource
from morphable_train.readers import SourceKind
from morphable_train.readers.item import SourceItem, check_face
from morphable_train.readers.video import read_frame
from morphable_train.readers.w300lp import read_basel_fit


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """How photographs become shards."""

    kind: SourceKind = "auto"
    """The data set's layout."""
    name: str = ""
    """Name in the model card; by default the folder's."""
    license: str = "unknown"
    """License of the photographs, for the model card of what is trained on them."""
    landmarks: LandmarkModelConfig = field(default_factory=LandmarkModelConfig)
    """Networks for pictures without landmarks."""
    layout: Literal["crop", "scene"] = "crop"
    """One square per face, or the whole picture with all its faces."""
    size_px: int = 384
    """Side of a crop, or longest side of a scene (not enlarged)."""
    face_scale: float = 2.4
    """Side of a crop relative to the longer side of the face's box."""
    min_face_px: float = 48.0
    """Smaller faces (longer side of the box, in the photograph) are refused."""
    skin: Literal["color", "parsing", "folder", "none"] = "color"
    """Skin masks from color and landmarks, from the parsing network in `skin_weights`, given in `skin_folder`, or
    none: then nothing is compared photometrically."""
    skin_weights: Path | None = None
    """Weights file of the face-parsing network of `morphable_regressors`."""
    skin_folder: Path | None = None
    """Folder of masks, white on skin: the mask of `SOURCE/a/b.jpg` is `a/b.png`."""
    basel: Path | None = None
    """Folder of 3DDFA's arrays (`u_shp.npy`, ...): the parameters of 300W-LP and AFLW2000-3D become exact labels."""
    basel_model: Path | None = None
    """The model whose coefficients these labels hold: what `morphable convert 3ddfa` made of that folder."""
    records_per_shard: int = 500
    """Records per tar file."""

    def __post_init__(self) -> None:
        if self.size_px < 64:
            raise ValueError(f"size_px must be at least 64, got {self.size_px}")
        if self.face_scale < 1.0:
            raise ValueError(f"face_scale must be at least 1, got {self.face_scale}")
        if (self.basel is None) != (self.basel_model is None):
            raise ValueError(f"basel and basel_model must go together, got {self.basel} and {self.basel_model}")


@dataclass(frozen=True)
class RecordMaker:
    """Makes the records of pictures.

    Args:
        config: How.
        finder: Finds landmarks where the data set has none.
        skin: Where skin masks come from.
        basel: Turns the data set's parameters into exact labels; None leaves them unread.
    """

    config: PrepareConfig
    finder: LandmarkFinder | None
    skin: SkinSource
    basel: BaselLabels | None = None

    def records(self, item: SourceItem) -> tuple[list[Record], list[str]]:
        """Return the records of one picture, and why it or some of its faces are refused."""
        if item.problem:
            return [], [item.problem]
        try:
            image = read_picture(item.path) if item.frame is None else read_frame(item.path, item.frame)
            if item.part_masks:
                return [self._parts(item, image)], []
            labels, problems = self._faces(item, image)
            if not len(labels):
                return [], problems
            if self.config.layout == "scene":
                return [self._scene(item, image, labels)], problems
            return [self._crop(item, k, image, labels.select([k])) for k in range(len(labels))], problems
        except (ValueError, OSError) as error:
            return [], [str(error)]

    def _faces(self, item: SourceItem, image: np.ndarray) -> tuple[FaceLabels, list[str]]:
        """Labels of the usable faces of a picture, and why the others are refused."""
        landmarks, known = item.landmarks68_px, item.landmark_valid
        size_hw = image.shape[0], image.shape[1]
        if landmarks is None:
            assert self.finder is not None
            landmarks = self.finder(image)
        known = np.ones(landmarks.shape[:2], bool) if known is None else known
        least = self.config.min_face_px
        checked = [check_face(landmarks[k], size_hw, least, known[k]) for k in range(len(landmarks))]
        usable = [not problem for problem in checked]
        problems = [problem for problem in checked if problem] if len(checked) else ["no face found"]
        if self.basel is not None and item.parameters is not None and all(usable):
            return self.basel.labels(read_basel_fit(item.parameters), landmarks[0], size_hw), problems
        return weak_labels(landmarks[usable], contour=item.contour, valid=known[usable]), problems

    def _crop(self, item: SourceItem, index: int, image: np.ndarray, labels: FaceLabels) -> Record:
        """A square around one face; what lies outside the picture is black and not skin."""
        box = labels.boxes_px()[0]
        low, high = box[:2], box[2:]
        side = float((high - low).max()) * self.config.face_scale
        size = int(min(self.config.size_px, np.ceil(side)))
        left, top = (low + high) / 2 - side / 2
        mask = self.skin(item, image, labels)
        window = (float(left), float(top), float(left + side), float(top + side))
        size_hw = image.shape[0], image.shape[1]
        return Record(
            f"{item.name}__{index}",
            cut_window(image, window, size),
            moved_labels(
                labels, scale=size / side, corner_px=(float(left), float(top)), old_hw=size_hw, new_hw=(size, size)
            ),
            cut_window(mask, window, size) if mask is not None else None,
        )

    def _scene(self, item: SourceItem, image: np.ndarray, labels: FaceLabels) -> Record:
        """The whole picture, made smaller where it is larger than asked for."""
        small = _shrunk(image, self.config.size_px, Image.Resampling.BILINEAR)
        ratio = np.array([small.shape[1] / image.shape[1], small.shape[0] / image.shape[0]], np.float32)
        moved = replace(
            labels,
            landmarks68_px=(labels.landmarks68_px * ratio).astype(np.float32),
            focal_px=labels.focal_px * float(ratio.mean()) if labels.exact.all() else labels.focal_px,
        )
        return Record(item.name, small, moved, self.skin(item, small, moved))

    def _parts(self, item: SourceItem, image: np.ndarray) -> Record:
        """The whole picture of a face whose parts are given."""
        parts = read_parts(item.part_masks, (image.shape[0], image.shape[1]))
        small = _shrunk(image, self.config.size_px, Image.Resampling.BILINEAR)
        small_parts = _shrunk(parts, self.config.size_px, Image.Resampling.NEAREST)
        return Record(item.name, small, labels_of_parts(small_parts), skin_of_parts(small_parts), small_parts)


def _shrunk(picture: np.ndarray, longest_px: int, resampling: Image.Resampling) -> np.ndarray:
    """A picture made smaller where its longer side is longer than allowed."""
    rows, cols = picture.shape[:2]
    scale = min(1.0, longest_px / max(rows, cols))
    size = max(1, round(cols * scale)), max(1, round(rows * scale))
    return np.asarray(Image.fromarray(picture).resize(size, resampling))
