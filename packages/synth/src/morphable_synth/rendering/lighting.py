"""The light that reaches the people of a scene."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from morphable_synth.assets.environment import Environment
from morphable_synth.kernels.arrays import Light, Soup
from morphable_synth.kernels.shadows import gather_light, light_frame, shadow_map
from morphable_synth.people.layers import Layer
from morphable_synth.scene.description import LightChoice

_FEW_LIGHTS_PX, _NO_SHADOW_PX = 60.0, 28.0
"""Faces smaller than this get the coarse set of lights; still smaller ones no shadows."""
_MAP_SIZE, _SMALL_MAP_SIZE = 112, 56
_RADIUS_M = 0.27
_BIAS_M = 0.004
_KEY_DIRECTIONS = np.array([[0, 0, -1], [0.5, -0.2, -0.84], [-0.5, -0.2, -0.84], [0, -0.6, -0.8]], np.float32)
_KEY_VALUE = 0.85
"""Linear value of a white wall that faces the camera, at exposure 0."""


@dataclass(frozen=True)
class CameraLight:
    """The light of a scene in the camera frame, exposed."""

    directions: Float[np.ndarray, "lights 3"]
    power: Float[np.ndarray, "lights 3"]
    few_directions: Float[np.ndarray, "few 3"]
    few_power: Float[np.ndarray, "few 3"]
    ambient: Float[np.ndarray, "3"]
    mirror: Light
    exposure: float
    """Factor from the map's unit to picture values."""


def camera_light(environment: Environment, choice: LightChoice) -> CameraLight:
    """Turn an environment into the camera frame and expose it for a face that looks at the camera."""
    tint = np.array(choice.tint, np.float32)
    cam_from_env = choice.env_from_cam.T
    sets = []
    for directions, power in (
        (environment.directions, environment.power),
        (environment.few_directions, environment.few_power),
    ):
        brightness = power.sum(1)
        gain = np.where(brightness >= np.quantile(brightness, 0.8), choice.key_gain, 1.0)[:, None]
        sets.append((np.asarray(directions @ cam_from_env.T, np.float32), power * gain * tint * (1 - choice.ambient)))
    ambient = environment.power.sum(0) * tint * choice.ambient * 0.3
    cosine = np.maximum(_KEY_DIRECTIONS @ sets[0][0].T, 0.0)
    key = float((cosine @ sets[0][1]).mean() + ambient.mean())
    exposure = _KEY_VALUE * 2.0**choice.exposure_ev / max(key, 1e-3)
    exposed = [(d, np.asarray(p * exposure, np.float32)) for d, p in sets]
    mirror = Light(
        np.asarray(environment.mirror * tint * exposure, np.float32),
        np.ascontiguousarray(choice.env_from_cam, np.float32),
    )
    return CameraLight(*exposed[0], *exposed[1], np.asarray(ambient * exposure, np.float32), mirror, exposure)


def light_people(
    soup: Soup,
    people: list[list[Layer]],
    light: CameraLight,
    *,
    seen: Bool[np.ndarray, " verts"],
    centers: list[np.ndarray],
    sizes_px: list[float],
) -> None:
    """Write irradiance and openness of the vertices that are seen, shadows included; the others stay dark.

    Args:
        soup: Made from the layers of ``people``.
        people: Each person's layers.
        light: The light of the scene.
        seen: Vertices of the soup whose light matters.
        centers: Middle of each face, camera frame.
        sizes_px: Size of each face, which decides about the number of lights and about shadows.
    """
    first = 0
    for layers, center, face_px in zip(people, centers, sizes_px, strict=True):
        coarse = face_px < _FEW_LIGHTS_PX
        directions, power = (light.few_directions, light.few_power) if coarse else (light.directions, light.power)
        frames = np.stack([light_frame(direction) for direction in directions])
        maps = _shadow_maps(layers, frames, center, face_px)
        for layer in layers:
            rows = slice(first, first + len(layer.xyz_cam))
            bias = _BIAS_M * (3.0 if layer.transparent else 1.0) * (2.0 if coarse else 1.0)
            surface = (soup.xyz_cam[rows], soup.normal[rows], seen[rows], layer.transparent)
            lamps = (np.array(layer.wrap, np.float32), directions, power, light.ambient)
            shadows = (frames, maps, center, _RADIUS_M, bias)
            gather_light(*surface, *lamps, *shadows, soup.irradiance[rows], soup.openness[rows])
            soup.irradiance[rows] *= np.float32(layer.shade)
            soup.openness[rows] *= np.float32(layer.shade)
            first = rows.stop


def _shadow_maps(
    layers: list[Layer], frames: Float[np.ndarray, "lights 3 3"], center: np.ndarray, face_px: float
) -> Float[np.ndarray, "lights size size"]:
    """Depth maps of a person as seen from each light; of size 0 where shadows are not worth their time."""
    size = 0 if face_px < _NO_SHADOW_PX else _SMALL_MAP_SIZE if face_px < _FEW_LIGHTS_PX else _MAP_SIZE
    maps = np.empty((len(frames), size, size), np.float32)
    if size:
        xyz, triangles = _casters(layers)
        for frame, out in zip(frames, maps, strict=True):
            shadow_map(xyz, triangles, center, _RADIUS_M, frame, out)
    return maps


def _casters(layers: list[Layer]) -> tuple[np.ndarray, np.ndarray]:
    casting = [layer for layer in layers if layer.casts_shadow]
    offsets = np.cumsum([0, *(len(layer.xyz_cam) for layer in casting)])
    triangles = np.concatenate([layer.triangles + offset for layer, offset in zip(casting, offsets, strict=False)])
    return np.concatenate([layer.xyz_cam for layer in casting]), triangles.astype(np.int32)
