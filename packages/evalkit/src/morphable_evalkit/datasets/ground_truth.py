"""Annotations of a data set's faces, in one form for all data sets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from morphable_evalkit.files import open_picture
from morphable_evalkit.measures.points import tight_box
from morphable_evalkit.predictions.rows import Rows

Jaw = Literal["static", "contour"]
"""Where the jaw points lie: on the surface, hidden side included, or on the visible silhouette."""


@dataclass(frozen=True, kw_only=True)
class GroundTruth:
    """Annotated faces of a data set; pixels have their origin at the corner of the first pixel.

    Example:
        >>> points = np.random.default_rng(0).uniform(100, 200, (2, 68, 2))
        >>> truth = GroundTruth(name="mine", images=("a.jpg", "b.jpg"), image=("a.jpg", "a.jpg"), points_px=points)
        >>> truth.faces_by_image(), truth.one_face_per_image
        ({'a.jpg': [0, 1], 'b.jpg': []}, False)
    """

    name: str
    """Name of the data set and of the label set, for reports."""
    images: tuple[str, ...]
    """Every picture, also those without a face."""
    image: tuple[str, ...]
    """Picture of each annotated face."""
    points_px: Float[np.ndarray, "faces points 2"]
    """68 iBUG points, 21 of AFLW, or 34 of AFLW-LFPA."""
    jaw: Jaw = "static"
    depth_px: Float[np.ndarray, "faces points"] | None = None
    """Depth away from the camera, in pixels, with an arbitrary origin."""
    visible: Bool[np.ndarray, "faces points"] | None = None
    box_xyxy_px: Float[np.ndarray, "faces 4"] | None = None
    """Face box that the data set prescribes for normalizing and matching; the points' tight box where absent."""
    yaw_deg: Float[np.ndarray, " faces"] | None = None
    angles_deg: Float[np.ndarray, "faces 3"] | None = None
    """Pitch, yaw, roll."""
    translation_m: Float[np.ndarray, "faces 3"] | None = None
    vertices_px: Rows | None = None
    size_hw: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Height and width of the pictures, where known."""
    pictures: Path | None = None
    """Folder of the pictures, where present."""
    every_face_annotated: bool = True
    """Where false, a prediction without a match is no mistake and precision is not defined."""

    def faces_by_image(self) -> dict[str, list[int]]:
        """Rows of the annotated faces of every picture."""
        faces: dict[str, list[int]] = {name: [] for name in self.images}
        for row, name in enumerate(self.image):
            faces[name].append(row)
        return faces

    def boxes(self) -> Float[np.ndarray, "faces 4"]:
        """Box of every annotated face."""
        return tight_box(self.points_px) if self.box_xyxy_px is None else self.box_xyxy_px

    @property
    def one_face_per_image(self) -> bool:
        """Whether every picture has exactly one annotated face."""
        return sorted(self.image) == sorted(self.images)


def picture_sizes(folder: Path, names: tuple[str, ...]) -> dict[str, tuple[int, int]]:
    """Read height and width of those pictures that are present, without decoding them."""
    sizes = {}
    for name in names:
        if (folder / name).is_file():
            with open_picture(folder / name) as picture:
                sizes[name] = (picture.height, picture.width)
    return sizes
