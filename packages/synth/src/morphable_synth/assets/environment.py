"""Image-based light: Radiance files, a set of directional lights, prefiltered reflections, the background they show.

The environment frame has +x right, +y up, and the middle column of a latitude-longitude map along -z.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from morphable.files import refusing

_MIRROR_SHAPE = (64, 128)
_ROUGHNESS_BLUR_RAD = (0.0, 0.22, 0.5)
"""Half width of the reflection lobe of each prefiltered level."""


@dataclass(frozen=True)
class Environment:
    """A latitude-longitude radiance map with what is derived from it. Linear light, arbitrary unit."""

    name: str
    radiance: Float[np.ndarray, "rows cols 3"]
    mirror: Float[np.ndarray, "levels mirror_rows mirror_cols 3"]
    directions: Float[np.ndarray, "lights 3"]
    """Unit vectors toward the lights that stand for the map, strongest first."""
    power: Float[np.ndarray, "lights 3"]
    """Irradiance over pi that each light gives a surface facing it."""
    few_directions: Float[np.ndarray, "few 3"]
    """A coarser set of lights, for small faces."""
    few_power: Float[np.ndarray, "few 3"]


def read_radiance(path: Path) -> Float[np.ndarray, "rows cols 3"]:
    """Read a Radiance RGBE picture (``.hdr``), flat or run-length encoded.

    Raises:
        FileNotFoundError: The file is absent.
        ValueError: The file is not a Radiance picture or is cut short.
    """
    data = path.read_bytes()
    end = data.find(b"\n\n")
    size = data[end + 2 : data.find(b"\n", end + 2)].split() if end > 0 else []
    if not data.startswith(b"#?") or len(size) != 4 or size[0] != b"-Y" or size[2] != b"+X":
        raise ValueError(f"{path} must be a Radiance picture (-Y rows +X cols), got another format; convert it to .hdr")
    at = data.find(b"\n", end + 2) + 1
    with refusing("environment must be a whole Radiance picture", path, next_step="fetch it again"):
        pixels = _decode_scanlines(data, at, int(size[1]), int(size[3]))
        scale = np.ldexp(1.0, pixels[..., 3].astype(np.int32) - 136)
        return (pixels[..., :3] * scale[..., None]).astype(np.float32)


def _decode_scanlines(data: bytes, at: int, rows: int, cols: int) -> np.ndarray:
    if data[at : at + 2] != b"\x02\x02":
        return np.frombuffer(data, np.uint8, rows * cols * 4, at).reshape(rows, cols, 4)
    out = np.empty((rows, 4, cols), np.uint8)
    for row in range(rows):
        at += 4
        for channel in range(4):
            col = 0
            while col < cols:
                count = data[at]
                if count > 128:
                    count -= 128
                    out[row, channel, col : col + count] = data[at + 1]
                    at += 2
                else:
                    out[row, channel, col : col + count] = np.frombuffer(data, np.uint8, count, at + 1)
                    at += 1 + count
                col += count
    return out.transpose(0, 2, 1)


def directions_of_map(rows: int, cols: int) -> Float[np.ndarray, "rows cols 3"]:
    """Return the unit vector of each pixel of a latitude-longitude map."""
    polar = (np.arange(rows) + 0.5) / rows * np.pi
    azimuth = ((np.arange(cols) + 0.5) / cols - 0.5) * 2 * np.pi
    sine = np.sin(polar)[:, None]
    x, z = sine * np.sin(azimuth), -sine * np.cos(azimuth)
    y = np.broadcast_to(np.cos(polar)[:, None], x.shape)
    return np.stack([x, y, z], -1).astype(np.float32)


def require_light(mean: float, name: str) -> None:
    """Refuse the mean radiance of a map that lights nothing.

    Raises:
        ValueError: It is zero or not finite.
    """
    if not np.isfinite(mean) or mean <= 0:
        raise ValueError(f"radiance of {name} must be finite and not all black, got mean {mean}; replace the file")


def build_environment(
    name: str, radiance: Float[np.ndarray, "rows cols 3"], *, lights: int = 16, max_ratio: float = 4000.0
) -> Environment:
    """Derive lights and reflections from a map, scaled so that its mean irradiance over pi is one.

    Args:
        name: Kept in the result.
        radiance: Latitude-longitude map, linear light.
        lights: Number of directional lights (median cut: each stands for a region of the map of equal power).
        max_ratio: Brightest radiance kept, as a multiple of the mean; a bare sun disc is clipped to it.
    """
    small = _resize(radiance, _MIRROR_SHAPE)
    solid_angle = _solid_angle(*_MIRROR_SHAPE)
    mean = float((small.mean(-1) * solid_angle).sum() / (4 * np.pi))
    require_light(mean, name)
    small = np.minimum(small / mean, max_ratio)
    many, few = (_median_cut(small, solid_angle, count) for count in (lights, max(lights // 3, 1)))
    mirror = np.stack([_blurred(small, solid_angle, width) for width in _ROUGHNESS_BLUR_RAD])
    return Environment(name, (radiance / mean).astype(np.float32), mirror.astype(np.float32), *many, *few)


def _solid_angle(rows: int, cols: int) -> np.ndarray:
    edges = np.cos(np.linspace(0, np.pi, rows + 1))
    return np.repeat(((edges[:-1] - edges[1:]) * 2 * np.pi / cols)[:, None], cols, 1)


def _resize(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    size = (shape[1], shape[0])
    channels = [
        Image.fromarray(np.ascontiguousarray(image[..., c])).resize(size, Image.Resampling.BOX) for c in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels], -1)


def _median_cut(image: np.ndarray, solid_angle: np.ndarray, lights: int) -> tuple[np.ndarray, np.ndarray]:
    """Split the map into regions of equal power (Debevec 2005); one light at each region's centroid."""
    energy = image.mean(-1) * solid_angle
    regions = [(0, image.shape[0], 0, image.shape[1])]
    while len(regions) < lights:
        splittable = [r for r in regions if r[1] - r[0] > 1 or r[3] - r[2] > 1]
        region = max(splittable, key=lambda r: energy[r[0] : r[1], r[2] : r[3]].sum())
        regions.remove(region)
        regions += _halves(region, energy)
    direction = directions_of_map(*image.shape[:2])
    found, power = [], []
    for top, bottom, left, right in regions:
        window = (slice(top, bottom), slice(left, right))
        weight = energy[window][..., None] + 1e-12
        center = (direction[window] * weight).sum((0, 1))
        found.append(center / np.linalg.norm(center))
        power.append((image[window] * solid_angle[window][..., None]).sum((0, 1)) / np.pi)
    order = np.argsort([-p.sum() for p in power], kind="stable")
    return np.array(found, np.float32)[order], np.array(power, np.float32)[order]


def _halves(region: tuple[int, int, int, int], energy: np.ndarray) -> list[tuple[int, int, int, int]]:
    top, bottom, left, right = region
    window = energy[top:bottom, left:right]
    width = (right - left) * np.sin((top + bottom) / 2 / energy.shape[0] * np.pi)
    along_rows = (bottom - top) >= width if right - left > 1 else True
    if bottom - top == 1:
        along_rows = False
    profile = np.cumsum(window.sum(1 if along_rows else 0))
    cut = int(np.clip(np.searchsorted(profile, profile[-1] / 2) + 1, 1, len(profile) - 1))
    if along_rows:
        return [(top, top + cut, left, right), (top + cut, bottom, left, right)]
    return [(top, bottom, left, left + cut), (top, bottom, left + cut, right)]


def _blurred(image: np.ndarray, solid_angle: np.ndarray, width_rad: float) -> np.ndarray:
    """Average the map over a smooth lobe of the given half width around each direction."""
    if width_rad == 0.0:
        return image
    rows, cols = image.shape[0] // 4, image.shape[1] // 4
    lobes = directions_of_map(rows, cols).reshape(-1, 3)
    source = directions_of_map(*image.shape[:2]).reshape(-1, 3)
    weight = np.exp((lobes @ source.T - 1.0) / (width_rad**2)) * solid_angle.reshape(-1)
    coarse = (weight @ image.reshape(-1, 3)) / weight.sum(1, keepdims=True)
    coarse = coarse.reshape(rows, cols, 3).astype(np.float32)
    wrapped = np.concatenate([coarse[:, -1:], coarse, coarse[:, :1]], 1)
    size = (image.shape[1] + 8, image.shape[0])
    channels = [
        Image.fromarray(np.ascontiguousarray(wrapped[..., c])).resize(size, Image.Resampling.BILINEAR) for c in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels], -1)[:, 4:-4]


def procedural_environment(rng: np.random.Generator, *, lights: int = 16) -> Environment:
    """Build a made-up environment: a sky-to-ground gradient and one to three soft lamps."""
    direction = directions_of_map(*_MIRROR_SHAPE)
    up = direction[..., 1:2] * 0.5 + 0.5
    sky, ground = (rng.uniform(0.3, 1.0) * _tinted(rng, 0.15) for _ in range(2))
    image = ground + (sky - ground) * up**1.5
    for _ in range(int(rng.integers(1, 4))):
        towards = rng.normal(size=3)
        towards[1] = abs(towards[1]) * 0.8 + 0.1
        towards[2] += 0.6
        towards /= np.linalg.norm(towards)
        width = rng.uniform(0.05, 0.5)
        strength = rng.uniform(0.3, 2.5) / width**1.5
        image = image + strength * np.exp((direction @ towards - 1.0) / width**2)[..., None] * _tinted(rng, 0.2)
    return build_environment("procedural", image.astype(np.float32), lights=lights)


def _tinted(rng: np.random.Generator, spread: float) -> np.ndarray:
    warmth = rng.normal(0, spread)
    return np.array([1 + warmth, 1.0, 1 - warmth]).clip(0.3, 2.0)


def camera_view(
    environment: Environment, env_from_cam: Float[np.ndarray, "3 3"], *, focal_px: float, size_hw: tuple[int, int]
) -> Float[np.ndarray, "rows cols 3"]:
    """Look at the environment through the camera, as a background (linear light, bilinear)."""
    rows, cols = size_hw
    x = (np.arange(cols, dtype=np.float32) + 0.5 - cols / 2) / focal_px
    y = (np.arange(rows, dtype=np.float32) + 0.5 - rows / 2) / focal_px
    rays = np.stack([*np.meshgrid(x, y), np.ones((rows, cols), np.float32)], -1) @ env_from_cam.T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    height, width = environment.radiance.shape[:2]
    col = (np.arctan2(rays[..., 0], -rays[..., 2]) / (2 * np.pi) + 0.5) * width - 0.5
    row = np.clip(np.arccos(np.clip(rays[..., 1], -1, 1)) / np.pi * height - 0.5, 0, height - 1.001)
    c0, r0 = np.floor(col).astype(int), np.floor(row).astype(int)
    fc, fr = (col - c0)[..., None], (row - r0)[..., None]
    ca, cb = c0 % width, (c0 + 1) % width
    image = environment.radiance
    top = image[r0, ca] * (1 - fc) + image[r0, cb] * fc
    bottom = image[r0 + 1, ca] * (1 - fc) + image[r0 + 1, cb] * fc
    return np.asarray(top * (1 - fr) + bottom * fr, np.float32)
