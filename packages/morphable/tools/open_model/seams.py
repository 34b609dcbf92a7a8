"""Where two rims of skin meet, the lips and each pair of lids: measure the gap and close it smoothly."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from .topology import Head, nearer_to_first, rim_halves

NUM_COLUMNS = 15
CLOSING_STEPS = 8
FULL_RINGS, LAST_RING = 3, 10
"""Closing moves the first rings fully and fades out toward the last."""
CORNER_SHARE = 0.10
"""Share of the width at either corner that is left alone."""


@dataclass(frozen=True)
class Rim:
    """One side of a seam: edge loops of the subdivided surface, read and moved at columns across the seam."""

    read: csr_matrix
    """(loops * columns, base vertices): points of the loops."""
    spread: tuple[csr_matrix, ...]
    """Per loop (base vertices, columns): how a column's change moves the loop; the outermost and the innermost one
    take along what lies beyond them."""

    def heights(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Heights (shapes, loops, columns) of the loops of base vertices (shapes, base, 3)."""
        return (self.read @ points[..., 1].T).T.reshape(len(points), -1, NUM_COLUMNS)

    def raise_by(self, points: NDArray[np.float64], changes: NDArray[np.float64]) -> None:
        """Raise base vertices (shapes, base, 3) in place by changes (shapes, loops or 1 for all, columns)."""
        changes = np.broadcast_to(changes, (len(points), len(self.spread), NUM_COLUMNS))
        for loop, spread in enumerate(self.spread):
            points[..., 1] += (spread @ changes[:, loop].T).T


@dataclass(frozen=True)
class Seam:
    """Two rims that meet."""

    upper: Rim
    lower: Rim

    def gap(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Height of the lowest upper over the highest lower loop (shapes, columns) of shapes (shapes, base, 3)."""
        return self.upper.heights(points).min(1) - self.lower.heights(points).max(1)

    def close(
        self, points: NDArray[np.float64], target: NDArray[np.float64], upper_share: float
    ) -> NDArray[np.float64]:
        """Move both rims of shapes (shapes, base, 3) vertically until every column's gap is the target."""
        points = points.copy()
        for _ in range(CLOSING_STEPS):
            change = _smooth(target - self.gap(points))[:, None]
            self.upper.raise_by(points, upper_share * change)
            self.lower.raise_by(points, (upper_share - 1) * change)
        return points

    def move_as_one(self, offsets: NDArray[np.float64]) -> NDArray[np.float64]:
        """Change movements (movements, base, 3) so that all loops of a column rise alike: no gap opens or closes."""
        offsets = offsets.copy()
        for _ in range(CLOSING_STEPS):
            upper, lower = self.upper.heights(offsets), self.lower.heights(offsets)
            common = np.concatenate([upper, lower], axis=1).mean(1, keepdims=True)
            self.upper.raise_by(offsets, _smooth(common - upper))
            self.lower.raise_by(offsets, _smooth(common - lower))
        return offsets


def _smooth(change: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average neighboring columns, so that closing never ripples."""
    padded = np.concatenate([change[..., :1], change, change[..., -1:]], axis=-1)
    return 0.25 * padded[..., :-2] + 0.5 * padded[..., 1:-1] + 0.25 * padded[..., 2:]


def rings_from(quads: NDArray[np.int64], start: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Number of quads between each vertex and the start vertices, at most LAST_RING + 1."""
    ring = np.full(size, LAST_RING + 1)
    ring[start] = 0
    for level in range(1, LAST_RING + 1):
        touched = np.unique(quads[(ring[quads] < level).any(1)])
        ring[touched] = np.minimum(ring[touched], level)
    return ring


def make_seam(head: Head, matrix: csr_matrix, cavity: str, rim_rings: tuple[int, ...]) -> Seam:
    """Build the seam of the opening into `cavity`.

    Args:
        head: The polygons.
        matrix: Subdivision; its first rows are the base vertices.
        cavity: Zone behind the opening.
        rim_rings: Neighboring edge loops (0: the cavity's border, then outward) between which gaps are measured.
    """
    outside, inside = head.quads[head.zone == "head"], head.quads[head.zone == cavity]
    border = np.intersect1d(outside, inside)
    n = len(head.template)
    outer_ring, inner_ring = rings_from(outside, border, n), rings_from(inside, border, n)
    ring = np.minimum(outer_ring, inner_ring)
    loop = np.where(outer_ring <= inner_ring, outer_ring, -inner_ring).clip(rim_rings[0], rim_rings[-1])
    x = head.template[:, 0]
    left, right = border[np.argmin(x[border])], border[np.argmax(x[border])]
    position = (x - x[left]) / (x[right] - x[left])
    above = nearer_to_first(head, *rim_halves(head, border))
    columns = np.linspace(CORNER_SHARE, 1 - CORNER_SHARE, NUM_COLUMNS)
    fade = np.clip((LAST_RING - ring) / (LAST_RING - FULL_RINGS), 0.0, 1.0)

    def rim(side: NDArray[np.bool_]) -> Rim:
        loops = [np.flatnonzero(side & (outer_ring == k)) for k in rim_rings]
        return Rim(
            csr_matrix(vstack([_read(vertices, position, columns, n) for vertices in loops]) @ matrix[:n]),
            tuple(_spread(side & (loop == k), fade, position, columns) for k in rim_rings),
        )

    return Seam(rim(above), rim(~above))


def _read(rim: NDArray[np.int64], position: NDArray[np.float64], columns: NDArray[np.float64], n: int) -> csr_matrix:
    """Matrix that interpolates rim vertices at the columns."""
    rim = rim[np.argsort(position[rim], kind="stable")]
    place = position[rim]
    after = np.clip(np.searchsorted(place, columns), 1, len(rim) - 1)
    weight = np.clip((columns - place[after - 1]) / (place[after] - place[after - 1]), 0.0, 1.0)
    rows = np.arange(len(columns))
    values = np.concatenate([1 - weight, weight])
    return csr_matrix((values, (np.tile(rows, 2), np.concatenate([rim[after - 1], rim[after]]))), (len(columns), n))


def _spread(
    chosen: NDArray[np.bool_], fade: NDArray[np.float64], position: NDArray[np.float64], columns: NDArray[np.float64]
) -> csr_matrix:
    """Matrix that hands a column's change to the vertices between it and its neighbors."""
    rows = np.flatnonzero(chosen & (fade > 0))
    place = np.clip(position[rows], columns[0], columns[-1])
    after = np.clip(np.searchsorted(columns, place), 1, len(columns) - 1)
    weight = (place - columns[after - 1]) / (columns[after] - columns[after - 1])
    beyond = np.maximum(-position[rows], position[rows] - 1)
    inside = fade[rows] * np.clip(1 - np.maximum(beyond, 0.0) / 0.15, 0.0, 1.0)
    inside = inside * np.clip(
        1 - np.maximum(np.abs(position[rows] - 0.5) - 0.5 + CORNER_SHARE, 0.0) / (2 * CORNER_SHARE), 0.0, 1.0
    )
    values = np.concatenate([(1 - weight) * inside, weight * inside])
    return csr_matrix((values, (np.tile(rows, 2), np.concatenate([after - 1, after]))), (len(chosen), len(columns)))
