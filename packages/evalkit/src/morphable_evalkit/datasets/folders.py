"""Folders of pictures with a landmarks68.json, sets of pictures without faces, and truth files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from morphable_evalkit.datasets.ground_truth import GroundTruth, Jaw, picture_sizes
from morphable_evalkit.files import read_json, refusing
from morphable_evalkit.measures.head_pose import angles_from_rotation
from morphable_evalkit.predictions.file import read_predictions

_PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


@dataclass(frozen=True)
class _Entry:
    """Entry of a picture in `landmarks68.json`: the points of one face, or of a list of faces."""

    landmarks68_px: list[Any]


def read_landmark_folder(
    root: Path, *, name: str | None = None, jaw: Jaw = "contour", every_face_annotated: bool = True
) -> GroundTruth:
    """Read pictures and their `landmarks68.json` (file name to `landmarks68_px`, one face or a list of faces).

    Args:
        root: The folder.
        name: For reports; the folder's name where absent.
        jaw: Convention of the labels; photographs annotated by hand show the visible contour.
        every_face_annotated: Whether faces without annotation are known to be absent.

    Raises:
        FileNotFoundError: The folder holds no landmarks68.json.
        ValueError: A face does not have 68 points.
    """
    listing = root / "landmarks68.json"
    if not listing.is_file():
        raise FileNotFoundError(f"root must hold landmarks68.json, got {root}")
    images, image, points = [], [], []
    entries = read_json(listing, dict[str, _Entry], "the form {picture: {landmarks68_px: points}}", extra_keys=True)
    for file, entry in sorted(entries.items()):
        with refusing(listing, "points of one or several faces", file):
            faces = np.array(entry.landmarks68_px, dtype=np.float64)
        faces = faces[None] if faces.ndim == 2 else faces
        if faces.size and faces.shape[1:] != (68, 2):
            raise ValueError(f"landmarks68_px of {file} must be (faces, 68, 2), got {faces.shape} in {listing}")
        images.append(file)
        image += [file] * len(faces)
        points += list(faces)
    return GroundTruth(
        name=name or root.name,
        images=tuple(images),
        image=tuple(image),
        points_px=np.array(points).reshape(-1, 68, 2),
        jaw=jaw,
        size_hw=picture_sizes(root, tuple(images)),
        pictures=root,
        every_face_annotated=every_face_annotated,
    )


def read_empty_folder(root: Path) -> GroundTruth:
    """Read pictures without any face: every prediction in them is false."""
    images = tuple(sorted(path.name for path in root.iterdir() if path.suffix.lower() in _PICTURE_SUFFIXES))
    if not images:
        raise FileNotFoundError(f"root must hold pictures, got none in {root}")
    return GroundTruth(
        name=f"{root.name} (no faces)",
        images=images,
        image=(),
        points_px=np.empty((0, 68, 2)),
        size_hw=picture_sizes(root, images),
        pictures=root,
    )


def read_truth_file(path: Path, *, jaw: Jaw = "static") -> GroundTruth:
    """Read a file in the prediction format as ground truth: synthetic scenes, dense labels.

    Args:
        path: The .npz file; its vertices are streamed.
        jaw: Which of its two sets of 68 points to use.

    Raises:
        ValueError: The file lacks that set.
    """
    truth = read_predictions(path)
    name = "landmarks68_px" if jaw == "static" else "landmarks68_contour_px"
    points = getattr(truth, name)
    if points is None:
        raise ValueError(f"root must hold {name} to be scored by its {jaw} points, got {path} without it")
    angles = None if truth.rotation_head is None else np.rad2deg(angles_from_rotation(truth.rotation_head))
    return GroundTruth(
        name=path.stem,
        images=truth.processed_image,
        image=truth.image,
        points_px=points.astype(np.float64),
        jaw=jaw,
        depth_px=truth.depths_px(),
        yaw_deg=None if angles is None else angles[:, 1],
        angles_deg=angles,
        translation_m=truth.translation_m,
        vertices_px=truth.vertices_px,
        size_hw=truth.sizes_by_image(),
    )
