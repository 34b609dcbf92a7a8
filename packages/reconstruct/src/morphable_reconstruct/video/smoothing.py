"""Smooth tracks: the One-Euro filter (Casiez, Roussel and Vogel, CHI 2012) on every group of parameters."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from morphable import FaceParameters
from morphable_reconstruct.scene import Scene
from morphable_reconstruct.video.options import VideoConfig

_SPEED_CUTOFF_HZ = 1.0
_FACE_WIDTH_M = 0.15
_RAD_PER_UNIT = 0.5
"""Turning by this much counts as much as moving by a face width or an activation of one."""


class OneEuro:
    """Low-pass filter of a vector whose cut-off frequency rises with the vector's speed."""

    def __init__(self, *, min_cutoff_hz: float, beta: float) -> None:
        self._min_cutoff_hz, self._beta = min_cutoff_hz, beta
        self._value: Float[np.ndarray, " axes"] | None = None
        self._speed = 0.0

    def __call__(self, value: Float[np.ndarray, " axes"], step_s: float) -> Float[np.ndarray, " axes"]:
        """Filter the next value, `step_s` after the one before."""
        if self._value is None:
            self._value = value
            return value
        move = value - self._value
        self._value = self._value + self.weight(float(np.linalg.norm(move)), step_s) * move
        return self._value

    def weight(self, distance: float, step_s: float) -> float:
        """How far to follow a move of this length; updates the speed."""
        self._speed += _follow(_SPEED_CUTOFF_HZ, step_s) * (distance / step_s - self._speed)
        return _follow(self._min_cutoff_hz + self._beta * self._speed, step_s)


class RotationOneEuro:
    """The same for rotations: moves along the shortest arc."""

    def __init__(self, *, min_cutoff_hz: float, beta: float) -> None:
        self._filter = OneEuro(min_cutoff_hz=min_cutoff_hz, beta=beta)
        self._value: Rotation | None = None

    def __call__(self, rotation: Float[np.ndarray, "3 3"], step_s: float) -> Float[np.ndarray, "3 3"]:
        """Filter the next rotation."""
        new = Rotation.from_matrix(rotation)
        if self._value is not None:
            move = (new * self._value.inv()).as_rotvec()
            weight = self._filter.weight(float(np.linalg.norm(move)) / _RAD_PER_UNIT, step_s)
            new = Rotation.from_rotvec(weight * move) * self._value
        self._value = new
        return new.as_matrix().astype(np.float32)


class _TrackSmoother:
    """Filters of one face. Identity and albedo belong to the person: their mean over the track is used."""

    def __init__(self, config: VideoConfig) -> None:
        settings = {"min_cutoff_hz": config.min_cutoff_hz, "beta": config.beta}
        self.direction = OneEuro(**settings)
        self.log_depth = OneEuro(**settings)
        self.rotation = RotationOneEuro(**settings)
        self.expression = OneEuro(**settings)
        self.illumination = OneEuro(**settings)
        self.person = np.zeros(0)
        self.weight = 0.0
        self.time_s = -np.inf

    def __call__(self, face: FaceParameters, score: float, time_s: float) -> FaceParameters:
        """Smooth the track's next face."""
        identity, albedo = face.identity.numpy(), face.albedo.numpy()
        step_s = max(time_s - self.time_s, 1e-3)
        self.time_s = time_s
        person = np.concatenate([identity, albedo]).astype(np.float64)
        self.person = person if self.weight == 0.0 else self.person
        self.weight += score
        self.person = self.person + score / self.weight * (person - self.person)
        identity, albedo = np.split(self.person, [len(identity)])
        light = self.illumination(face.illumination.flatten().double().numpy(), step_s)
        return FaceParameters(
            identity=_float32(identity),
            expression=_float32(self.expression(face.expression.double().numpy(), step_s)),
            albedo=_float32(albedo),
            rotation_head=_float32(self.rotation(face.rotation_head.numpy(), step_s)),
            translation_m=_float32(self._place(face.translation_m.double().numpy(), step_s)),
            illumination=_float32(light.reshape(face.illumination.shape)),
        )

    def _place(self, translation_m: Float[np.ndarray, "3"], step_s: float) -> Float[np.ndarray, "3"]:
        """Smooth direction and depth apart: depth is known far less well than the place in the picture."""
        depth_m = float(translation_m[2])
        unit = _FACE_WIDTH_M / depth_m  # a face width as an angle
        direction = self.direction(translation_m[:2] / depth_m / unit, step_s) * unit
        smooth_m = float(np.exp(self.log_depth(np.log([depth_m]), step_s)[0]))
        return np.array([*(direction * smooth_m), smooth_m], dtype=np.float32)


class Smoother:
    """Smooths the faces of a video, each along its track."""

    def __init__(self, config: VideoConfig) -> None:
        self._config = config
        self._tracks: dict[int, _TrackSmoother] = {}

    def update(self, scene: Scene, time_s: float) -> Scene:
        """Smooth the tracked faces of a frame; forgets tracks that have ended.

        Raises:
            ValueError: The faces have no track ids.
        """
        if scene.track_id is None:
            raise ValueError("faces must be tracked before they are smoothed, got a scene without track_id")
        gap_s = self._config.max_gap_s
        self._tracks = {key: track for key, track in self._tracks.items() if time_s - track.time_s <= gap_s + 1e-9}
        smooth = []
        for row, track_id in enumerate(scene.track_id.tolist()):
            if track_id not in self._tracks:
                self._tracks[track_id] = _TrackSmoother(self._config)
            smooth.append(self._tracks[track_id](scene.faces[row], float(scene.score[row]), time_s))
        if not smooth:
            return scene
        columns = {name: torch.stack([getattr(face, name) for face in smooth]) for name in vars(smooth[0])}
        return replace(scene, faces=FaceParameters(**columns))


def _float32(values: Float[np.ndarray, "..."]) -> Float[torch.Tensor, "..."]:
    """Return numbers as a float32 tensor."""
    return torch.from_numpy(values.astype(np.float32))


def _follow(cutoff_hz: float, step_s: float) -> float:
    """Weight of the new value in a first-order low-pass of this cut-off frequency."""
    return 1.0 / (1.0 + 1.0 / (2.0 * np.pi * cutoff_hz * step_s))
