"""Where the skin masks of prepared photographs come from: color, a parsing network, or masks that are given."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from morphable import read_weights
from morphable.geometry.warping import warp
from morphable_regressors import SystemSpec, crop_matrices, cut_crops, load_system
from morphable_regressors.parsing import PARSING_CLASSES
from morphable_train.data.labels import FaceLabels
from morphable_train.data.pictures import read_mask
from morphable_train.preparation.skin import skin_mask
from morphable_train.readers.item import SourceItem

SKIN_CLASSES = ("skin", "nose", "upper_lip", "lower_lip")
"""Classes of the parsing network that count as skin; brows, eyes and the open mouth do not."""
SkinSource = Callable[[SourceItem, np.ndarray, FaceLabels], np.ndarray | None]
"""From a picture, its pixels and its faces to its skin mask (255 on skin); None if nothing is known."""


def skin_source(kind: str, source: Path, *, weights: Path | None, folder: Path | None) -> SkinSource:
    """Return the skin masks of a kind.

    Args:
        kind: `color`, `parsing`, `folder` or `none`.
        source: The data set; a mask in `folder` lies under its picture's path below it.
        weights: Weights file of the parsing network, for `parsing`.
        folder: Folder of masks, for `folder`.

    Raises:
        FileNotFoundError: The file or folder does not exist.
        ValueError: It is not named, or of another network.
    """
    if kind == "color":
        return lambda _, image, faces: skin_mask(image, faces.landmarks68_px, faces.landmark_valid)
    if kind == "parsing":
        if weights is None:
            raise ValueError("skin_weights must be given for skin parsing, got none; name the network's weights file")
        network = SkinParser(weights)
        return lambda _, image, faces: network(image, faces.boxes_px())
    if kind == "folder":
        if folder is None or not folder.is_dir():
            raise FileNotFoundError(f"skin_folder must be an existing folder for skin folder, got {folder}")
        return lambda item, image, _: given_mask(folder, source, item, (image.shape[0], image.shape[1]))
    return lambda *_: None


class SkinParser:
    """The project's face-parsing network as a finder of skin."""

    def __init__(self, weights: Path) -> None:
        """Read the network.

        Raises:
            FileNotFoundError: The file does not exist.
            ValueError: It is damaged or of another network.
        """
        info, state = read_weights(weights)
        spec = SystemSpec.from_json(info.architecture)
        if spec.network != "parsing":
            raise ValueError(f"skin_weights must be of the parsing network, got those of {spec.network} in {weights}")
        self._network, self._rule = load_system(spec, state), spec.crop
        self._skin = torch.tensor([PARSING_CLASSES.index(name) for name in SKIN_CLASSES])

    @torch.no_grad()
    def __call__(
        self, image: UInt8[np.ndarray, "rows cols 3"], boxes_px: Float[np.ndarray, "faces 4"]
    ) -> UInt8[np.ndarray, "rows cols"]:
        """Return 255 where any of the faces, given by the tight boxes of their points, shows skin."""
        picture = torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255.0
        mask = np.zeros(image.shape[:2], np.uint8)
        side = self._rule.side_px
        for matrix in crop_matrices(torch.from_numpy(boxes_px).float(), self._rule):
            crop = cut_crops(picture, matrix[None], side)
            classes = self._network(crop).argmax(1)
            _paste(mask, torch.isin(classes, self._skin).float()[None], torch.linalg.inv(matrix), side)
        return mask


def _paste(mask: np.ndarray, skin: torch.Tensor, picture_from_crop: torch.Tensor, side_px: int) -> None:
    """Put the skin of one crop into the picture's mask, where the crop lies."""
    corners = picture_from_crop[:2, :2] @ torch.tensor([[0.0, side_px], [0.0, side_px]]) + picture_from_crop[:2, 2:]
    left, top = (max(0, int(value)) for value in corners[:, 0].floor().tolist())
    right, bottom = corners[:, 1].ceil().int().tolist()
    right, bottom = min(right, mask.shape[1]), min(bottom, mask.shape[0])
    if right <= left or bottom <= top:
        return
    window = torch.eye(3)
    window[:2, 2] = torch.tensor([-float(left), -float(top)])
    seen = warp(skin, (window @ picture_from_crop)[None], (bottom - top, right - left), padding="zeros")
    mask[top:bottom, left:right] |= (seen[0, 0].numpy() > 0.5).astype(np.uint8) * np.uint8(255)


def given_mask(
    folder: Path, source: Path, item: SourceItem, size_hw: tuple[int, int]
) -> UInt8[np.ndarray, "rows cols"] | None:
    """Read the mask that is given for a picture, `FOLDER/PATH.png`, at the picture's size; None if there is none.

    Raises:
        ValueError: The file is no picture.
    """
    path = (folder / item.path.relative_to(source)).with_suffix(".png")
    if not path.is_file():
        return None
    return read_mask(path, "skin mask", size_hw).astype(np.uint8) * np.uint8(255)
