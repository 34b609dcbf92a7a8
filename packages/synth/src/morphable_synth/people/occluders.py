"""Things between a face and the camera."""

import numpy as np

from morphable_synth.assets.parts import part
from morphable_synth.people.layers import SKIN_WRAP, Layer, Material, vertex_normals
from morphable_synth.scene.description import Blob

_AROUND, _ACROSS = 48, 10


def blob_layers(blob: Blob, centers: list[np.ndarray], focal_px: float) -> tuple[Layer, int]:
    """Return the shape as a domed sheet, and the number of the person it is lit with (the nearest on the picture)."""
    rng = np.random.default_rng(blob.seed)
    angle = np.linspace(0, 2 * np.pi, _AROUND, endpoint=False)
    outline = 1 + 0.12 * np.sin(2 * angle + rng.uniform(0, 6)) + 0.08 * np.sin(3 * angle + rng.uniform(0, 6))
    ring = np.linspace(0, 1, _ACROSS + 1)[1:, None]
    x, y = ring * outline * np.cos(angle) * blob.radius_px[0], ring * outline * np.sin(angle) * blob.radius_px[1]
    cos, sin = np.cos(blob.angle_rad), np.sin(blob.angle_rad)
    m_per_px = blob.depth_m / focal_px
    size = blob.half_size_px
    px, py = cos * x - sin * y + blob.center_px[0] - size, sin * x + cos * y + blob.center_px[1] - size
    dome = np.sqrt(np.clip(1 - ring**2, 0, 1)) * min(blob.radius_px) * m_per_px * 0.6 * np.ones_like(x)
    points = np.stack([px * m_per_px, py * m_per_px, blob.depth_m - dome], -1).reshape(-1, 3)
    middle = np.array(
        [[(blob.center_px[0] - size) * m_per_px, (blob.center_px[1] - size) * m_per_px, blob.depth_m - dome.max()]]
    )
    xyz = np.asarray(np.concatenate([points, middle]), np.float32)
    tint = np.asarray(np.array(blob.color) * np.exp(0.15 * rng.standard_normal((len(xyz), 1))), np.float32)
    owner = int(np.argmin([np.hypot(*(c[:2] / c[2] - middle[0, :2] / middle[0, 2])) for c in centers]))
    triangles = _disc(len(xyz) - 1)
    normal = vertex_normals(xyz, triangles)
    normal *= np.where(normal[:, 2:] > 0, -1.0, 1.0).astype(np.float32)
    material = Material(specular=(0.02, 2.0))
    layer = Layer("occluder", xyz, triangles, None, part("occluder"), material, tint, normal, wrap=SKIN_WRAP)
    return layer, owner


def _disc(middle: int) -> np.ndarray:
    index = np.arange(_ACROSS * _AROUND).reshape(_ACROSS, _AROUND)
    following = np.roll(index, -1, 1)
    a, b, c, d = index[:-1], following[:-1], following[1:], index[1:]
    quads = np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([a, d, c], -1).reshape(-1, 3)])
    cap = np.stack([np.full(_AROUND, middle), following[0], index[0]], -1)
    return np.concatenate([quads, cap]).astype(np.int32)
