"""Very large pictures: overlapping tiles, and their faces merged with those of the whole picture."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from morphable.geometry import share_of_smaller
from morphable_reconstruct.faces.rows import concatenate_rows
from morphable_reconstruct.scene import Scene

OVERLAP = 0.25
"""Neighboring tiles share this part of their side."""
MAX_SHARED = 0.5
"""Two faces whose boxes share more of the smaller one than this are the same face."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A part of a picture, in pixels of the picture."""

    left: int
    top: int
    width: int
    height: int

    @property
    def center_px(self) -> tuple[float, float]:
        """Center (x, y)."""
        return self.left + self.width / 2, self.top + self.height / 2


def plan_tiles(size_hw: tuple[int, int], tile_px: int) -> tuple[Tile, ...]:
    """Cover a picture by equal, evenly spread tiles; none where one tile would hold the picture."""
    height, width = size_hw
    if max(height, width) <= tile_px:
        return ()
    rows, columns = _starts(height, tile_px), _starts(width, tile_px)
    return tuple(
        Tile(left=left, top=top, width=min(tile_px, width), height=min(tile_px, height))
        for top in rows
        for left in columns
    )


def merge_tiles(whole: Scene, tiles: list[Scene], *, tile_px: int) -> Scene:
    """Take small faces from the tiles and large ones from the whole picture, each person once.

    A face as large as the overlap may be cut by every tile, so tiles answer for faces up to the overlap's size, the
    whole picture for faces from half of that size on; between the two the better score wins. All scenes have the
    photograph's camera.
    """
    overlap_px = tile_px * OVERLAP
    parts = [tile.take(np.flatnonzero(sizes_px(tile) <= overlap_px)) for tile in tiles]
    parts.append(whole.take(np.flatnonzero(sizes_px(whole) >= overlap_px / 2)))
    candidates = concatenate_rows(parts)
    order = np.argsort(-candidates.score, kind="stable")
    boxes = torch.from_numpy(candidates.box_xyxy_px[order])
    apart = share_of_smaller(boxes, boxes) <= MAX_SHARED
    kept: list[int] = []
    for index in range(len(order)):
        if bool(apart[index, kept].all()):
            kept.append(index)
    return candidates.take(order[kept])


def _starts(side: int, tile_px: int) -> list[int]:
    """Evenly spread tile origins along one side with at least the wanted overlap."""
    if side <= tile_px:
        return [0]
    count = int(np.ceil((side - tile_px) / (tile_px * (1.0 - OVERLAP)))) + 1
    return [int(start) for start in np.linspace(0, side - tile_px, count).round()]


def sizes_px(scene: Scene) -> Float[np.ndarray, " faces"]:
    """Longer sides of the faces' boxes."""
    boxes = scene.box_xyxy_px
    return (boxes[:, 2:] - boxes[:, :2]).max(1)


def box_centers(scene: Scene) -> Float[np.ndarray, "faces 2"]:
    """Centers (x, y) of the faces' boxes, pixels of the photograph."""
    return scene.box_xyxy_px.reshape(-1, 2, 2).mean(1)
