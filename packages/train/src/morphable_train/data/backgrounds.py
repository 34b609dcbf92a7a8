"""Pictures without faces, on which single faces are pasted, and which by themselves show what no face looks like."""

import sys
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from morphable.geometry.warping import flip_matrix, shrink_for, similarity_matrix, warp
from morphable_train.data.augment import log_between
from morphable_train.data.pictures import pictures_in, read_picture

ZOOM = (1.0, 2.0)
"""Scale of a background relative to the one at which it just covers the input, drawn uniformly in its logarithm."""
NUM_DRAWN = 5
"""Random numbers that choose a background and how it is cut."""


class Backgrounds:
    """The pictures of some folders, cut at random to the network's input."""

    def __init__(self, folders: tuple[Path, ...], side_px: int) -> None:
        """List the pictures.

        Raises:
            FileNotFoundError: A folder does not exist, or holds no picture.
        """
        for folder in folders:
            if not folder.is_dir() or not pictures_in(folder):
                raise FileNotFoundError(
                    f"data.backgrounds must be folders of pictures without faces, got {folder}; check the path"
                )
        self._paths = [path for folder in folders for path in pictures_in(folder)]
        self._side, self._reported = side_px, False

    def __len__(self) -> int:
        return len(self._paths)

    def draw(self, u: Float[Tensor, " drawn"]) -> Float[Tensor, "3 side side"]:
        """Cut one of the pictures: which one, its zoom, its place and whether it is mirrored are functions of `u`.

        A damaged picture is passed over for the next one; the first is reported.

        Args:
            u: `NUM_DRAWN` uniform numbers in [0, 1).

        Raises:
            ValueError: All pictures are damaged.
        """
        first = int(u[0] * len(self._paths))
        for offset in range(len(self._paths)):
            path = self._paths[(first + offset) % len(self._paths)]
            try:
                picture = torch.from_numpy(read_picture(path).copy()).permute(2, 0, 1).float() / 255.0
            except (OSError, ValueError) as error:
                self._report(path, error)
                continue
            return self._cut(picture, u)
        raise ValueError(f"data.backgrounds must hold a whole picture, got {len(self._paths)} damaged ones")

    def _cut(self, picture: Float[Tensor, "3 rows cols"], u: Tensor) -> Float[Tensor, "3 side side"]:
        """Zoom so that the picture covers the input, and choose a place of it."""
        rows, cols = picture.shape[1:]
        scale = self._side / min(rows, cols) * float(log_between(u[1:2], ZOOM))
        slack = torch.tensor([cols * scale - self._side, rows * scale - self._side])
        middle = torch.tensor([[cols / 2, rows / 2]])
        target = self._side / 2 + (u[2:4] - 0.5) * slack
        move = similarity_matrix(torch.tensor([scale]), torch.zeros(1), middle, target[None])[0]
        if bool(u[4] < 0.5):
            move = move @ flip_matrix(torch.tensor([float(cols)]))[0]
        small, remaining = shrink_for(picture, scale)
        picture_from_small = torch.diag(torch.tensor([remaining / scale, remaining / scale, 1.0]))
        return warp(small[None], (move @ picture_from_small)[None], (self._side, self._side))[0]

    def _report(self, path: Path, error: Exception) -> None:
        """Say what is wrong with the first damaged picture."""
        if not self._reported:
            self._reported = True
            sys.stderr.write(f"damaged backgrounds are passed over; the first: {path}: {error}\n")
