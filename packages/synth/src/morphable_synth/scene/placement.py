"""Where people stand and how they hold their heads: camera-frame positions, head and shoulder rotations."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from morphable.geometry import GLOBAL_FOCAL_PX
from morphable_synth.scene.camera import head_rotation, unproject
from morphable_synth.scene.description import FACE_HEIGHT_M, SceneConfig

_TRIES = 40
_SHOULDER_M = 0.22
_AHEAD_SHARE = 0.625
_MAX_NECK_TURN_RAD = 1.2
_HEAD_TO_SHOULDER_M = 0.12
_BODY_WIDTH_M, _BODY_DEPTH_M = 0.44, 0.42
"""People nearer to each other than this in both would stand in one another."""
_TOGETHER_SHARE = 0.25
"""Share of the people of a group who put their head to the head of another."""
_ROW_M = 0.55
"""Distance between the rows of a posed group."""


@dataclass(frozen=True)
class Place:
    """A face's place in the picture."""

    center_px: tuple[float, float]
    face_px: float
    focal_px: float

    @property
    def depth_m(self) -> float:
        """Distance along the optical axis at which an average face has this size."""
        return self.focal_px * FACE_HEIGHT_M / self.face_px


def sample_focal_px(rng: np.random.Generator, config: SceneConfig) -> float:
    """Draw a scene's focal length; nothing is drawn where the configuration leaves no choice."""
    shortest, longest = config.lens
    factor = shortest if shortest == longest else float(np.exp(rng.uniform(np.log(shortest), np.log(longest))))
    return GLOBAL_FOCAL_PX * factor


def sample_places(rng: np.random.Generator, config: SceneConfig, focal_px: float = GLOBAL_FOCAL_PX) -> list[Place]:
    """Draw the places of a scene's faces, nearest first."""
    if config.layout == "single":
        return [_single(rng, config, focal_px)]
    count = _count(rng, config.max_faces)
    rows = count >= 3 and rng.random() < 0.4
    wanted = (_rows if rows else _scattered)(rng, config, count, focal_px)
    placed: list[Place] = []
    for candidates in wanted:
        together = bool(placed) and rng.random() < _TOGETHER_SHARE
        if together:
            candidates = _beside(rng, config, placed[int(rng.integers(len(placed)))])
        fitting = next((place for place in candidates if _fits(place, placed, rng, together=together)), None)
        if fitting is not None:
            placed.append(fitting)
    return sorted(placed, key=lambda place: -place.face_px)


def _count(rng: np.random.Generator, most: int) -> int:
    weights = np.array([1.0 / (k + 2.0) ** 0.7 for k in range(most)])
    return 1 + int(rng.choice(most, p=weights / weights.sum()))


def _single(rng: np.random.Generator, config: SceneConfig, focal_px: float) -> Place:
    size = config.size_px
    side = float(np.clip(size * rng.uniform(0.38, 0.72), config.min_face_px, config.max_face_px))
    x, y = size / 2 + rng.normal(0, 0.05 * size, 2)
    if config.cut_share and rng.random() < config.cut_share:
        return _cut(rng, config, focal_px)
    return Place((float(x), float(y)), side, focal_px)


def _cut(rng: np.random.Generator, config: SceneConfig, focal_px: float) -> Place:
    """A face that the border cuts: near it, or larger than the picture. Its middle stays inside."""
    size = config.size_px
    if rng.random() < 0.5:
        side = size * rng.uniform(0.95, 1.7)
        x, y = size / 2 + rng.uniform(-0.25, 0.25, 2) * size
    else:
        side = size * rng.uniform(0.3, 0.9)
        x, y = rng.uniform(0.1, 0.9, 2) * size
        border = rng.uniform(0.05, 0.4) * side
        edge = border if rng.random() < 0.5 else size - border
        x, y = (edge, y) if rng.random() < 0.5 else (x, edge)
    side = float(np.clip(side, config.min_face_px, config.max_face_px))
    x, y = np.clip([x, y], 0.02 * size, 0.98 * size)
    return Place((float(x), float(y)), side, focal_px)


def _scattered(rng: np.random.Generator, config: SceneConfig, count: int, focal_px: float) -> list[list[Place]]:
    """Independent sizes, log-uniform with the upper end falling as people get more."""
    size = config.size_px
    top = min(config.max_face_px, 0.78 * size / max(count, 1) ** 0.45)
    bottom = config.min_face_px if rng.random() < 0.6 else max(config.min_face_px, 0.3 * top)
    out = []
    for _ in range(count):
        side = float(np.exp(rng.uniform(np.log(bottom), np.log(max(top, bottom + 1)))))
        margin = min(0.45 * side, 0.45 * size)
        spots = rng.uniform(margin, size - margin, (_TRIES, 2))
        out.append([Place((float(x), float(y)), side, focal_px) for x, y in spots])
    return sorted(out, key=lambda candidates: -candidates[0].face_px)


def _rows(rng: np.random.Generator, config: SceneConfig, count: int, focal_px: float) -> list[list[Place]]:
    """A posed group: people side by side in one to three rows, the back rows higher."""
    size = config.size_px
    rows = 1 if count <= 3 else int(rng.integers(1, 4 if count > 6 else 3))
    per_row = int(np.ceil(count / rows))
    pitch = size * rng.uniform(0.75, 1.05) / per_row
    side = float(np.clip(pitch * rng.uniform(0.3, 0.55), config.min_face_px, config.max_face_px))
    top = rng.uniform(0.15, 0.5) * size
    out = []
    for k in range(count):
        row, col = divmod(k, per_row)
        depth = focal_px * FACE_HEIGHT_M / side + (rows - 1 - row) * _ROW_M
        scale = focal_px * FACE_HEIGHT_M / (depth * side) * np.exp(rng.normal(0, 0.02))
        x = size / 2 + (col - (per_row - 1) / 2 + 0.5 * (row % 2)) * pitch + rng.normal(0, 0.08 * pitch)
        y = top + row * side * rng.uniform(1.3, 1.8) + rng.normal(0, 0.12 * side)
        face = float(np.clip(side * scale, config.min_face_px, config.max_face_px))
        inside = 0.3 * face < x < size - 0.3 * face and 0.3 * face < y < size - 0.3 * face
        out.append([Place((float(x), float(y)), face, focal_px)] if inside else [])
    return sorted(out, key=lambda candidates: -candidates[0].face_px if candidates else 0.0)


def _beside(rng: np.random.Generator, config: SceneConfig, near: Place) -> list[Place]:
    """Places next to a person's, a little nearer or farther, at which the faces nearly touch or overlap."""
    size, out = config.size_px, []
    for _ in range(_TRIES):
        side = near.face_px * np.exp(rng.choice([-1, 1]) * rng.uniform(0.04, 0.3))
        side = float(np.clip(side, config.min_face_px, config.max_face_px))
        angle = rng.choice([0.0, np.pi]) + rng.normal(0, 0.4)
        apart = rng.uniform(0.65, 1.3) * (side + near.face_px) / 2
        x, y = near.center_px[0] + apart * np.cos(angle), near.center_px[1] + apart * np.sin(angle)
        if all(0.3 * side < at < size - 0.3 * side for at in (x, y)):
            out.append(Place((float(x), float(y)), side, near.focal_px))
    return out


def _fits(place: Place, placed: list[Place], rng: np.random.Generator, *, together: bool) -> bool:
    """Whether a face would be mostly seen: not on top of another, rarely behind a nearer person's chest."""
    here = translation(place, 0)
    for near in placed:
        apart = np.abs(here - translation(near, 0))
        if not together and apart[0] < _BODY_WIDTH_M and apart[2] < _BODY_DEPTH_M:
            return False
        dx, dy = (place.center_px[k] - near.center_px[k] for k in (0, 1))
        close = 0.42 if together else 0.65 if rng.random() < 0.15 else 1.0
        if np.hypot(dx, dy) < 0.75 * (place.face_px + near.face_px) * close:
            return False
        px_per_m = near.face_px / FACE_HEIGHT_M
        behind_chest = abs(dx) < _SHOULDER_M * px_per_m and dy > _HEAD_TO_SHOULDER_M * px_per_m * 0.8
        if behind_chest and place.face_px < near.face_px * 1.05:
            return False
    return True


def translation(place: Place, size_px: int) -> Float[np.ndarray, "3"]:
    """Return the camera-frame position of the model origin of a face."""
    return unproject(np.array(place.center_px), place.depth_m, size_px, place.focal_px).astype(np.float32)


def sample_rotations(
    rng: np.random.Generator, profile_share: float
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "3 3"]]:
    """Draw rotations of head and shoulders: all yaws up to profile, the neck turned within reason."""
    kind = rng.random()
    if kind < _AHEAD_SHARE * (1.0 - profile_share):
        yaw = rng.normal(0, np.radians(18))
    elif kind < 1.0 - profile_share:
        yaw = rng.uniform(-np.radians(60), np.radians(60))
    else:
        yaw = rng.choice([-1, 1]) * rng.uniform(np.radians(40), np.radians(93))
    wide = 2.2 if rng.random() < 0.15 else 1.0
    pitch = float(np.clip(rng.normal(0, np.radians(11)) * wide, -np.radians(50), np.radians(50)))
    roll = float(np.clip(rng.normal(0, np.radians(8)) * wide, -np.radians(45), np.radians(45)))
    body_yaw = yaw * rng.uniform(0.2, 1.0) + rng.normal(0, np.radians(14))
    body_yaw = float(np.clip(body_yaw, yaw - _MAX_NECK_TURN_RAD, yaw + _MAX_NECK_TURN_RAD))
    body_roll = 0.35 * roll + rng.normal(0, np.radians(3))
    body_pitch = 0.3 * pitch + rng.normal(0, np.radians(4))
    return head_rotation(pitch, float(yaw), roll), head_rotation(body_pitch, body_yaw, body_roll)
