"""Collect the layers of all people into one triangle soup, lit."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from morphable_synth._arrays import Light, Soup
from morphable_synth._shadow import gather_light, light_frame, shadow_map
from morphable_synth.environment import Environment
from morphable_synth.layers import Layer, vertex_normals
from morphable_synth.parts import part
from morphable_synth.scene import LightChoice
from morphable_synth.skin import plain_table

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


def light_layers(
    layers: list[Layer], light: CameraLight, center: Float[np.ndarray, "3"], face_px: float
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return normals, irradiance over pi, and openness of the vertices of one person's layers, shadows included."""
    coarse = face_px < _FEW_LIGHTS_PX
    directions, power = (light.few_directions, light.few_power) if coarse else (light.directions, light.power)
    frames = np.stack([light_frame(direction) for direction in directions])
    size = 0 if face_px < _NO_SHADOW_PX else _SMALL_MAP_SIZE if coarse else _MAP_SIZE
    maps = np.empty((len(directions), size, size), np.float32)
    if size:
        xyz, triangles = _casters(layers)
        for k in range(len(directions)):
            shadow_map(xyz, triangles, center, _RADIUS_M, frames[k], maps[k])
    out = []
    for layer in layers:
        normal = layer.normal if layer.normal is not None else vertex_normals(layer.xyz_cam, layer.triangles)
        irradiance, openness = np.empty_like(normal), np.empty(len(normal), np.float32)
        bias = _BIAS_M * (3.0 if layer.transparent else 1.0) * (2.0 if coarse else 1.0)
        wrap = np.array(layer.wrap, np.float32)
        arrays = (directions, power, light.ambient, frames, maps)
        gather_light(
            layer.xyz_cam, normal, layer.transparent, wrap, *arrays, center, _RADIUS_M, bias, irradiance, openness
        )
        out.append((normal, irradiance * np.float32(layer.shade), openness * np.float32(layer.shade)))
    return out


def _casters(layers: list[Layer]) -> tuple[np.ndarray, np.ndarray]:
    casting = [layer for layer in layers if layer.casts_shadow]
    offsets = np.cumsum([0, *(len(layer.xyz_cam) for layer in casting)])
    triangles = np.concatenate([layer.triangles + offset for layer, offset in zip(casting, offsets, strict=False)])
    return np.concatenate([layer.xyz_cam for layer in casting]), triangles.astype(np.int32)


@dataclass(frozen=True)
class LitScene:
    """A soup, and which of its triangles are opaque."""

    soup: Soup
    opaque: Int[np.ndarray, " opaque"]
    transparent: Int[np.ndarray, " transparent"]
    head_start: Int[np.ndarray, " people"]
    """First triangle of each person's head layer."""


def build_soup(
    people: list[list[Layer]], light: CameraLight, centers: list[np.ndarray], sizes_px: list[float]
) -> LitScene:
    """Light every person and join all layers."""
    rows: dict[str, list[np.ndarray]] = {name: [] for name in Soup._fields}
    opaque: list[np.ndarray] = []
    transparent: list[np.ndarray] = []
    head_start: list[int] = []
    vertices = triangles = 0
    for face, (layers, center, size) in enumerate(zip(people, centers, sizes_px, strict=True)):
        lit = light_layers(layers, light, center, size)
        head_start.append(triangles)
        for layer, (normal, irradiance, openness) in zip(layers, lit, strict=True):
            count = len(layer.triangles)
            _append(rows, layer, face, vertices)
            for name, value in (("normal", normal), ("irradiance", irradiance), ("openness", openness)):
                rows[name].append(value)
            (transparent if layer.transparent else opaque).append(np.arange(triangles, triangles + count))
            vertices, triangles = vertices + len(layer.xyz_cam), triangles + count
    joined = {name: np.ascontiguousarray(np.concatenate(values)) for name, values in rows.items()}
    return LitScene(Soup(**joined), _joined(opaque), _joined(transparent), np.array(head_start, np.int64))


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, np.int64)


def _append(rows: dict[str, list[np.ndarray]], layer: Layer, face: int, vertices: int) -> None:
    count, material = len(layer.triangles), layer.material
    number = len(rows["texture"])
    rows["xyz_cam"].append(np.asarray(layer.xyz_cam, np.float32))
    rows["tint"].append(np.broadcast_to(np.asarray(layer.tint, np.float32), layer.xyz_cam.shape))
    rows["triangles"].append((layer.triangles + vertices).astype(np.int32))
    uv = layer.corner_uv if layer.corner_uv is not None else np.zeros((count, 3, 2), np.float32)
    rows["corner_uv"].append(np.asarray(uv, np.float32))
    rows["material"].append(np.full(count, number, np.int32))
    rows["part"].append(np.broadcast_to(np.asarray(layer.part, np.int32), (count,)))
    rows["face"].append(np.full(count, face, np.int32))
    lut = material.lut if material.lut is not None else _PLAIN
    rows["texture"].append(np.array([material.texture], np.int64))
    rows["detail_texture"].append(np.array([material.detail_texture if material.detail_mix > 0 else -1], np.int64))
    rows["detail_mix"].append(np.array([material.detail_mix], np.float32))
    rows["lut"].append(np.asarray(lut, np.float32)[None])
    rows["specular"].append(np.array([material.specular], np.float32))
    rows["alpha_gain"].append(np.array([material.alpha_gain], np.float32))
    rows["depth_bias_m"].append(np.array([material.depth_bias_m], np.float32))


_PLAIN = plain_table()
OCCLUDER = part("occluder")
