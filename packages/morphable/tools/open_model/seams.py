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
class Seam:
    """Columns across a seam, each with upper and lower points on some edge loops of the subdivided surface."""

    upper: csr_matrix
    """(loops * columns, base vertices)"""
    lower: csr_matrix
    raise_upper: csr_matrix
    """(base vertices, columns): how a column's change moves the upper rim and its surroundings."""
    raise_lower: csr_matrix

    def gap(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Height of the lowest upper over the highest lower loop (..., columns) for base vertices (..., base, 3)."""
        flat = points[..., 1].reshape(-1, points.shape[-2]).T
        shape = (-1, NUM_COLUMNS, flat.shape[1])
        gap = (self.upper @ flat).reshape(shape).min(0) - (self.lower @ flat).reshape(shape).max(0)
        return gap.T.reshape(*points.shape[:-2], NUM_COLUMNS)

    def close(
        self, points: NDArray[np.float64], target: NDArray[np.float64], upper_share: float
    ) -> NDArray[np.float64]:
        """Move both rims vertically until every column's gap is the target."""
        points = points.copy()
        for _ in range(CLOSING_STEPS):
            change = _smooth((target - self.gap(points)).reshape(-1, NUM_COLUMNS)).T
            lift = upper_share * (self.raise_upper @ change) - (1 - upper_share) * (self.raise_lower @ change)
            points[..., 1] += lift.T.reshape(points.shape[:-1])
        return points


def _smooth(change: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average neighbouring columns, so that closing never ripples."""
    padded = np.pad(change, ((0, 0), (1, 1)), mode="edge")
    return 0.25 * padded[:, :-2] + 0.5 * padded[:, 1:-1] + 0.25 * padded[:, 2:]


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
        rim_rings: Edge loops (0: the cavity's border) between which gaps are measured.
    """
    outside, inside = head.quads[head.zone == "head"], head.quads[head.zone == cavity]
    border = np.intersect1d(outside, inside)
    n = len(head.template)
    outer_ring, inner_ring = rings_from(outside, border, n), rings_from(inside, border, n)
    ring = np.minimum(outer_ring, inner_ring)
    x = head.template[:, 0]
    left, right = border[np.argmin(x[border])], border[np.argmax(x[border])]
    position = (x - x[left]) / (x[right] - x[left])
    above = nearer_to_first(head, *rim_halves(head, border))
    rims = [np.flatnonzero(outer_ring == ring) for ring in rim_rings]
    columns = np.linspace(CORNER_SHARE, 1 - CORNER_SHARE, NUM_COLUMNS)
    fade = np.clip((LAST_RING - ring) / (LAST_RING - FULL_RINGS), 0.0, 1.0)
    return Seam(
        upper=csr_matrix(vstack([_read(rim[above[rim]], position, columns, n) for rim in rims]) @ matrix[:n]),
        lower=csr_matrix(vstack([_read(rim[~above[rim]], position, columns, n) for rim in rims]) @ matrix[:n]),
        raise_upper=_spread(above, fade, position, columns),
        raise_lower=_spread(~above, fade, position, columns),
    )


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
    """Matrix that hands a column's change to the vertices between it and its neighbours."""
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
