"""The same number for the same face from frame to frame."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from morphable_reconstruct.scene import Scene
from morphable_reconstruct.video.cuts import PICTURE_LIKENESS, FaceLook, face_look, is_another, likeness, picture_look

MAX_MOVE = 0.8
"""A face may move by this part of its box's side between two frames in which it is seen."""
MAX_SCALE = 1.6
"""Its box may grow or shrink by this factor."""
_FORBIDDEN = 1e6


@dataclass(frozen=True, kw_only=True, eq=False)
class _Track:
    """Where a face was last seen, and how it looked."""

    track_id: int
    time_s: float
    frame: int
    center_px: Float[np.ndarray, "2"]
    velocity_px_s: Float[np.ndarray, "2"]
    side_px: float
    look: FaceLook

    def scaled(self, ratio_xy: Float[np.ndarray, "2"]) -> "_Track":
        """Return the track in a picture of another size."""
        side_px = self.side_px * float(ratio_xy.mean())
        return replace(
            self, center_px=self.center_px * ratio_xy, velocity_px_s=self.velocity_px_s * ratio_xy, side_px=side_px
        )


class Tracker:
    """Assigns track ids by least total movement of boxes, with constant velocity through short gaps.

    Hard cuts end tracks: a face that looks unlike the one before it at the same place gets a new id if the whole
    picture has changed, or the shape of the face.
    """

    def __init__(self, *, max_gap_s: float, max_gap_frames: int = 1) -> None:
        """Start without tracks.

        Args:
            max_gap_s: A face that was not seen for longer gets a new id,
            max_gap_frames: unless it was missed in no more frames than these.
        """
        self._max_gap_s, self._max_gap_frames = max_gap_s, max_gap_frames
        self._tracks: list[_Track] = []
        self._next_id = 0
        self._frame = 0
        self._size_hw: tuple[int, int] | None = None
        self._picture: Float[np.ndarray, " pixels"] | None = None

    @property
    def count(self) -> int:
        """Number of different faces so far."""
        return self._next_id

    def update(self, scene: Scene, time_s: float) -> Scene:
        """Return the scene of a frame with its faces' track ids."""
        self._frame += 1
        self._tracks = [track for track in self._tracks if self._lives(track, time_s)]
        cut = self._see(scene)
        seen = _seen(scene)
        cost = np.array([[_cost(track, face, time_s, cut=cut) for face in seen] for track in self._tracks])
        cost = cost.reshape(len(self._tracks), len(seen))
        assigned: dict[int, _Track] = {}
        for row, column in zip(*linear_sum_assignment(cost), strict=True):
            if cost[row, column] < _FORBIDDEN:
                assigned[int(column)] = self._tracks[int(row)]
        kept = [track for track in self._tracks if track not in assigned.values()]
        numbered = []
        for index, face in enumerate(seen):
            kept.append(self._moved(assigned.get(index), face, time_s))
            numbered.append(kept[-1].track_id)
        self._tracks = kept
        return replace(scene, track_id=np.array(numbered, dtype=np.int64))

    def _lives(self, track: _Track, time_s: float) -> bool:
        """Whether a track's face may still come back."""
        missed = self._frame - track.frame - 1
        return time_s - track.time_s <= self._max_gap_s + 1e-9 or missed <= self._max_gap_frames

    def _see(self, scene: Scene) -> bool:
        """Look at the whole picture; return whether it is another shot. Tracks follow a change of its size."""
        before, size_hw = self._picture, self._size_hw
        self._picture, self._size_hw = picture_look(scene.image), scene.camera.size_hw
        if size_hw is not None and size_hw != self._size_hw:
            ratio_xy = np.array(self._size_hw[::-1]) / np.array(size_hw[::-1])
            self._tracks = [track.scaled(ratio_xy) for track in self._tracks]
        return before is not None and likeness(before, self._picture) < PICTURE_LIKENESS

    def _moved(self, before: _Track | None, face: "_Seen", time_s: float) -> _Track:
        """Continue a track or start one."""
        track_id, velocity = self._next_id, np.zeros(2)
        if before is None:
            self._next_id += 1
        else:
            track_id = before.track_id
            velocity = (face.center_px - before.center_px) / max(time_s - before.time_s, 1e-6)
        return _Track(track_id=track_id, time_s=time_s, frame=self._frame, velocity_px_s=velocity, **vars(face))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Seen:
    """A face of the present frame."""

    center_px: Float[np.ndarray, "2"]
    side_px: float
    look: FaceLook


def _seen(scene: Scene) -> list[_Seen]:
    """Center, mean side and look of each box."""
    faces = []
    identity, albedo = scene.faces.identity.numpy(), scene.faces.albedo.numpy()
    for row, box in enumerate(scene.box_xyxy_px.astype(np.float64)):
        corners = box.reshape(2, 2)
        look = face_look(scene.image, box, identity[row], albedo[row])
        faces.append(_Seen(center_px=corners.mean(0), side_px=float((corners[1] - corners[0]).mean()), look=look))
    return faces


def _cost(track: _Track, face: _Seen, time_s: float, *, cut: bool) -> float:
    """Movement in box sides, at rest or with the last velocity, whichever is less; forbidden beyond the limits."""
    scale = max(face.side_px, track.side_px) / max(min(face.side_px, track.side_px), 1e-6)
    expected = track.center_px + track.velocity_px_s * (time_s - track.time_s)
    distance = min(np.linalg.norm(face.center_px - place) for place in (expected, track.center_px))
    moved = float(distance / max(face.side_px, track.side_px, 1e-6))
    if moved > MAX_MOVE or scale > MAX_SCALE or is_another(track.look, face.look, cut=cut):
        return _FORBIDDEN
    return moved + float(np.log(scale))
