"""Parts of faces from masks that a data set gives: one picture of `morphable_synth.PART_NAMES` per face."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from morphable_synth.assets.parts import PART_NAMES
from morphable_train.data.labels import NUM_LANDMARKS, FaceLabels, weak_labels
from morphable_train.data.pictures import read_mask
from morphable_train.preparation.skin_sources import SKIN_CLASSES
from morphable_train.readers.celebamask import PART_OF_MASK

SIDED = (("left_brow", "right_brow"), ("left_eye", "right_eye"))
OUTLINE = ("skin", "left_brow", "right_brow", "left_eye", "right_eye", "nose", "upper_lip", "lower_lip", "inner_mouth")
"""Parts whose outline is the face's."""
BROWS = ("left_brow", "right_brow")
BOX_POINTS = (0, 16, 8, 19)
"""The four of the 68 points that are put on the edges of a face's box: jaw at the ears, chin, brow."""


def read_parts(masks: Mapping[str, Path], size_hw: tuple[int, int]) -> UInt8[np.ndarray, "rows cols"]:
    """Read masks into one picture of parts, at the size of their photograph.

    Raises:
        ValueError: A file is no picture.
    """
    parts = np.zeros(size_hw, np.uint8)
    for mask, name in PART_OF_MASK.items():
        if mask in masks:
            parts[read_mask(masks[mask], "part mask", size_hw)] = PART_NAMES.index(name)
    for left, right in SIDED:
        _order_sides(parts, PART_NAMES.index(left), PART_NAMES.index(right))
    return parts


def labels_of_parts(parts: UInt8[np.ndarray, "rows cols"]) -> FaceLabels:
    """Return labels that hold the box of a face alone: its skin from the brows down, on four of the 68 points.

    Raises:
        ValueError: The picture shows no skin.
    """
    outline = np.isin(parts, [PART_NAMES.index(name) for name in OUTLINE])
    if not outline.any():
        raise ValueError("part masks must show skin, got none")
    brows = np.isin(parts, [PART_NAMES.index(name) for name in BROWS])
    top = int(np.flatnonzero(brows.any(1))[0]) if brows.any() else int(np.flatnonzero(outline.any(1))[0])
    outline[:top] = False
    rows, cols = np.flatnonzero(outline.any(1)), np.flatnonzero(outline.any(0))
    left, right, bottom = float(cols[0]), float(cols[-1] + 1), float(rows[-1] + 1)
    middle = (left + right) / 2, (top + bottom) / 2
    points = np.zeros((1, NUM_LANDMARKS, 2), np.float32)
    places: Float[np.ndarray, "4 2"] = np.array(
        [[left, middle[1]], [right, middle[1]], [middle[0], bottom], [middle[0], top]]
    )
    points[0, list(BOX_POINTS)] = places
    valid = np.zeros((1, NUM_LANDMARKS), bool)
    valid[0, list(BOX_POINTS)] = True
    return weak_labels(points, valid=valid)


def skin_of_parts(parts: UInt8[np.ndarray, "rows cols"]) -> UInt8[np.ndarray, "rows cols"]:
    """Return 255 on the parts that count as skin."""
    return np.isin(parts, [PART_NAMES.index(name) for name in SKIN_CLASSES]).astype(np.uint8) * np.uint8(255)


def _order_sides(parts: UInt8[np.ndarray, "rows cols"], left: int, right: int) -> None:
    """Swap two parts where the person's left one lies left of the right one in the picture."""
    of_left, of_right = parts == left, parts == right
    if of_left.any() and of_right.any() and np.nonzero(of_left)[1].mean() < np.nonzero(of_right)[1].mean():
        parts[of_left], parts[of_right] = right, left
