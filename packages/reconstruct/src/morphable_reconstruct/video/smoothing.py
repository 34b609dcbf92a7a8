"""Smooth tracks: the One-Euro filter (Casiez, Roussel and Vogel, CHI 2012) on every group of parameters."""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from morphable import FaceParameters
from morphable_reconstruct.faces.camera import Camera
from morphable_reconstruct.scene import Scene
from morphable_reconstruct.video.options import VideoConfig

_SPEED_CUTOFF_HZ = 1.0
_FACE_WIDTH_M = 0.15
_RAD_PER_UNIT = 0.5
"""Turning by this much counts as much as moving by a face width or an activation of one."""
_SUDDEN_PLACE = 0.15
"""Moves of a face by this part of its width from one frame to the next are followed half at once."""
_SUDDEN_DEPTH = 0.3
"""The same for the logarithm of the depth,"""
_SUDDEN_TURN = 0.5
"""for turns, in units of `_RAD_PER_UNIT`,"""
_SUDDEN_ACTIVATION = 0.25
"""for single expressions, so that blinks keep their height,"""
_SUDDEN_LIGHT = 2.0
"""and for the light's coefficients."""
_SHORTEST_STEP_S = 1e-3


class OneEuro:
    """Low-pass filter whose cut-off frequency rises with speed; sudden large moves are followed at once.

    The speed is that of the direction of the moves: noise, which goes back and forth, has almost none.
    """

    def __init__(self, *, min_cutoff_hz: float, beta: float, sudden: float = math.inf, joint: bool = True) -> None:
        """Make a filter.

        Args:
            min_cutoff_hz: Cut-off frequency at rest.
            beta: Increase of the cut-off frequency per unit of speed.
            sudden: Length of a move of which half is followed at once.
            joint: Whether the axes of a vector share one speed; otherwise each has its own.
        """
        self._min_cutoff_hz, self._beta, self._sudden, self._joint = min_cutoff_hz, beta, sudden, joint
        self._value: Float[np.ndarray, " axes"] | None = None
        self._velocity: Float[np.ndarray, " axes"] | float = 0.0

    def __call__(
        self, value: Float[np.ndarray, " axes"], step_s: float, *, unit: float = 1.0
    ) -> Float[np.ndarray, " axes"]:
        """Filter the next value, `step_s` after the one before; speeds and moves are measured in `unit`."""
        if self._value is None:
            self._value = value
            return value
        move = value - self._value
        self._value = self._value + self.weight(move / unit, step_s) * move
        return self._value

    def weight(self, move: Float[np.ndarray, " axes"], step_s: float) -> Float[np.ndarray, " axes"]:
        """Return which part of a move to follow, per axis; updates the velocity."""
        self._velocity = self._velocity + _follow(_SPEED_CUTOFF_HZ, step_s) * (move / step_s - self._velocity)
        speed, distance = np.abs(self._velocity), np.abs(move)
        if self._joint:
            speed = np.full_like(move, np.linalg.norm(self._velocity))
            distance = np.full_like(move, np.linalg.norm(move))
        steady = _follow(self._min_cutoff_hz + self._beta * speed, step_s)
        at_once = 1.0 / (1.0 + (self._sudden / np.maximum(distance, 1e-12)) ** 2)
        return 1.0 - (1.0 - steady) * (1.0 - at_once)


class RotationOneEuro:
    """The same for rotations: moves along the shortest arc."""

    def __init__(self, *, min_cutoff_hz: float, beta: float, sudden: float = math.inf) -> None:
        self._filter = OneEuro(min_cutoff_hz=min_cutoff_hz, beta=beta, sudden=sudden)
        self._value: Rotation | None = None

    def __call__(self, rotation: Float[np.ndarray, "3 3"], step_s: float) -> Float[np.ndarray, "3 3"]:
        """Filter the next rotation."""
        new = Rotation.from_matrix(rotation)
        if self._value is not None:
            move = (new * self._value.inv()).as_rotvec()
            new = Rotation.from_rotvec(self._filter.weight(move / _RAD_PER_UNIT, step_s) * move) * self._value
        self._value = new
        return new.as_matrix().astype(np.float32)


class _Motion:
    """Filters of what moves, in one camera."""

    def __init__(self, config: VideoConfig) -> None:
        one_euro = partial(OneEuro, min_cutoff_hz=config.min_cutoff_hz, beta=config.beta)
        self.direction = one_euro(sudden=_SUDDEN_PLACE)
        self.log_depth = one_euro(sudden=_SUDDEN_DEPTH)
        self.rotation = RotationOneEuro(min_cutoff_hz=config.min_cutoff_hz, beta=config.beta, sudden=_SUDDEN_TURN)
        self.expression = one_euro(sudden=_SUDDEN_ACTIVATION, joint=False)
        self.illumination = one_euro(sudden=_SUDDEN_LIGHT)

    def place(self, translation_m: Float[np.ndarray, "3"], step_s: float) -> Float[np.ndarray, "3"]:
        """Smooth direction and depth apart: depth is far less certain than the place in the picture."""
        depth_m = float(translation_m[2])
        direction = self.direction(translation_m[:2] / depth_m, step_s, unit=_FACE_WIDTH_M / depth_m)
        smooth_m = float(np.exp(self.log_depth(np.log([depth_m]), step_s)[0]))
        return np.array([*(direction * smooth_m), smooth_m], dtype=np.float32)


class _TrackSmoother:
    """Filters of one face. Identity and albedo belong to the person: their mean over the track is used."""

    def __init__(self, config: VideoConfig) -> None:
        self._config = config
        self._motion = _Motion(config)
        self._person = np.zeros(0)
        self._weight = 0.0
        self.time_s = -np.inf
        self.frame = 0

    def restart(self) -> None:
        """Forget how the face moved, not who it is: numbers of another camera follow."""
        self._motion = _Motion(self._config)

    def __call__(self, face: FaceParameters, score: float, time_s: float) -> FaceParameters:
        """Smooth the track's next face."""
        identity, albedo = face.identity.numpy(), face.albedo.numpy()
        step_s = max(time_s - self.time_s, _SHORTEST_STEP_S)
        self.time_s = time_s
        person = np.concatenate([identity, albedo]).astype(np.float64)
        self._person = person if self._weight == 0.0 else self._person
        self._weight += score
        self._person = self._person + score / self._weight * (person - self._person)
        identity, albedo = np.split(self._person, [len(identity)])
        motion = self._motion
        light = motion.illumination(face.illumination.flatten().double().numpy(), step_s)
        return FaceParameters(
            identity=_float32(identity),
            expression=_float32(motion.expression(face.expression.double().numpy(), step_s)),
            albedo=_float32(albedo),
            rotation_head=_float32(motion.rotation(face.rotation_head.numpy(), step_s)),
            translation_m=_float32(motion.place(face.translation_m.double().numpy(), step_s)),
            illumination=_float32(light.reshape(face.illumination.shape)),
        )


class Smoother:
    """Smooths the faces of a video, each along its track."""

    def __init__(self, config: VideoConfig) -> None:
        self._config = config
        self._tracks: dict[int, _TrackSmoother] = {}
        self._camera: Camera | None = None
        self._frame = 0

    def update(self, scene: Scene, time_s: float) -> Scene:
        """Smooth the tracked faces of a frame; forgets tracks that have ended.

        Raises:
            ValueError: The faces have no track ids.
        """
        if scene.track_id is None:
            raise ValueError("faces must be tracked before they are smoothed, got a scene without track_id")
        self._frame += 1
        self._tracks = {key: track for key, track in self._tracks.items() if self._lives(track, time_s)}
        if self._camera is not None and self._camera != scene.camera:
            for track in self._tracks.values():
                track.restart()
        self._camera = scene.camera
        smooth = []
        for row, track_id in enumerate(scene.track_id.tolist()):
            track = self._tracks.setdefault(track_id, _TrackSmoother(self._config))
            track.frame = self._frame
            smooth.append(track(scene.faces[row], float(scene.score[row]), time_s))
        if not smooth:
            return scene
        columns = {name: torch.stack([getattr(face, name) for face in smooth]) for name in vars(smooth[0])}
        return replace(scene, faces=FaceParameters(**columns))

    def _lives(self, track: _TrackSmoother, time_s: float) -> bool:
        """Whether a track may go on; the same rule as the tracker's."""
        missed = self._frame - track.frame - 1
        return time_s - track.time_s <= self._config.max_gap_s + 1e-9 or missed <= self._config.max_gap_frames


def _float32(values: Float[np.ndarray, "..."]) -> Float[torch.Tensor, "..."]:
    """Return numbers as a float32 tensor."""
    return torch.from_numpy(values.astype(np.float32))


def _follow(cutoff_hz: Any, step_s: float) -> Any:
    """Return the weight of the new value in a first-order low-pass of this cut-off frequency."""
    return 1.0 / (1.0 + 1.0 / (2.0 * np.pi * cutoff_hz * step_s))
