"""The same number for the same face from frame to frame."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from morphable_reconstruct.scene import Scene

MAX_MOVE = 0.8
"""A face may move by this part of its box's side between two frames in which it is seen."""
MAX_SCALE = 1.6
"""Its box may grow or shrink by this factor."""
_FORBIDDEN = 1e6


@dataclass(frozen=True, kw_only=True, eq=False)
class _Track:
    """Where a face was last seen."""

    track_id: int
    time_s: float
    center_px: Float[np.ndarray, "2"]
    velocity_px_s: Float[np.ndarray, "2"]
    side_px: float


class Tracker:
    """Assigns track ids by least total movement of boxes, with constant velocity through short gaps."""

    def __init__(self, *, max_gap_s: float) -> None:
        self._max_gap_s = max_gap_s
        self._tracks: list[_Track] = []
        self._next_id = 0

    @property
    def count(self) -> int:
        """Number of different faces so far."""
        return self._next_id

    def update(self, scene: Scene, time_s: float) -> Scene:
        """Return the scene of a frame with its faces' track ids."""
        self._tracks = [track for track in self._tracks if time_s - track.time_s <= self._max_gap_s + 1e-9]
        places = _places(scene)
        cost = np.array([[_cost(t, *place, time_s) for place in places] for t in self._tracks])
        cost = cost.reshape(len(self._tracks), len(places))
        assigned: dict[int, _Track] = {}
        for row, column in zip(*linear_sum_assignment(cost), strict=True):
            if cost[row, column] < _FORBIDDEN:
                assigned[int(column)] = self._tracks[int(row)]
        kept = [track for track in self._tracks if track not in assigned.values()]
        numbered = []
        for index, (center_px, side_px) in enumerate(places):
            kept.append(self._moved(assigned.get(index), center_px, side_px, time_s))
            numbered.append(kept[-1].track_id)
        self._tracks = kept
        return replace(scene, track_id=np.array(numbered, dtype=np.int64))

    def _moved(self, before: _Track | None, center_px: Float[np.ndarray, "2"], side_px: float, time_s: float) -> _Track:
        """Continue a track or start one."""
        track_id, velocity = self._next_id, np.zeros(2)
        if before is None:
            self._next_id += 1
        else:
            track_id = before.track_id
            velocity = (center_px - before.center_px) / max(time_s - before.time_s, 1e-6)
        return _Track(track_id=track_id, time_s=time_s, center_px=center_px, velocity_px_s=velocity, side_px=side_px)


def _places(scene: Scene) -> list[tuple[Float[np.ndarray, "2"], float]]:
    """Center and mean side of each box."""
    corners = scene.box_xyxy_px.reshape(-1, 2, 2).astype(np.float64)
    return [(box.mean(0), float((box[1] - box[0]).mean())) for box in corners]


def _cost(track: _Track, center_px: Float[np.ndarray, "2"], side_px: float, time_s: float) -> float:
    """Movement in box sides, at rest or with the last velocity, whichever is less; forbidden beyond the limits."""
    scale = max(side_px, track.side_px) / max(min(side_px, track.side_px), 1e-6)
    expected = track.center_px + track.velocity_px_s * (time_s - track.time_s)
    distance = min(np.linalg.norm(center_px - place) for place in (expected, track.center_px))
    moved = float(distance / max(side_px, track.side_px, 1e-6))
    return moved + float(np.log(scale)) if moved <= MAX_MOVE and scale <= MAX_SCALE else _FORBIDDEN
