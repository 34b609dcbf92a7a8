"""The compiled kernels against slow, obvious versions; what they leave out must not be missed."""

import numpy as np
import pytest

from morphable_synth import render_scene
from morphable_synth.kernels.rasterization import rasterize, reaching
from morphable_synth.rendering import renderer as rendering
from morphable_synth.scene.description import Scene

_SIZE = 24


def _triangles(rng: np.random.Generator, count: int) -> np.ndarray:
    """Screen triangles of all shapes: large and tiny ones, slivers, some with edges along rows, columns and centers."""
    corners = rng.uniform(-8, _SIZE + 8, (count, 3, 2))
    corners[::3] = corners[::3, :1] + rng.normal(0, 1.5, corners[::3].shape)
    corners[1::4] = np.round(corners[1::4] * 2) / 2
    corners[::5, 2] = corners[::5, :2].mean(1) + rng.normal(0, 0.05, (len(corners[::5]), 2))
    return np.concatenate([corners, rng.uniform(0.5, 2.0, (count, 3, 1))], -1).astype(np.float32)


def _nearest(corners: np.ndarray) -> np.ndarray:
    """The triangle with the largest inverse depth at each pixel center; -1 for none."""
    y, x = np.mgrid[:_SIZE, :_SIZE] + 0.5
    best, owner = np.zeros((_SIZE, _SIZE)), np.full((_SIZE, _SIZE), -1)
    for number, ((ax, ay, az), (bx, by, bz), (cx, cy, cz)) in enumerate(corners.astype(np.float64)):
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-6:
            continue
        u = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
        v = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
        depth = u * az + v * bz + (1 - u - v) * cz
        nearer = (u >= 0) & (v >= 0) & (u + v <= 1) & (depth > best)
        best[nearer], owner[nearer] = depth[nearer], number
    return owner


def test_rasterizer_finds_the_triangles_that_testing_every_pixel_finds():
    corners = _triangles(np.random.default_rng(3), 400)
    different = total = 0
    for few in np.split(corners, 40):
        owner, zbuffer = np.full((_SIZE, _SIZE), -1, np.int32), np.zeros((_SIZE, _SIZE), np.float32)
        triangles = np.arange(3 * len(few), dtype=np.int32).reshape(-1, 3)
        rasterize(few.reshape(-1, 3), triangles, np.arange(len(few)), zbuffer, owner)
        different, total = different + int((owner != _nearest(few)).sum()), total + owner.size
    # none on the machine this was written on; a center on an edge may fall to either side where rounding differs
    assert different <= 0.0005 * total


def test_triangles_beyond_one_side_of_the_picture_are_not_drawn():
    # focal 100 px, picture of 100 px, depth 1 m: x = -0.6 m lies at pixel -10, 0.6 m at 110, 0 at 50
    xyz = np.array([[-0.6, 0, 1], [-0.7, 0.1, 1], [-0.6, 0.2, 1], [0.6, 0, 1], [0, 0.7, 1]], np.float32)
    triangles = np.array([[0, 1, 2], [0, 3, 2], [0, 1, 4]], np.int32)
    assert reaching(xyz, triangles, 100.0, 100).tolist() == [False, True, True]


def test_light_of_vertices_that_are_not_seen_does_not_matter(single_scene: Scene, monkeypatch: pytest.MonkeyPatch):
    picture = render_scene(single_scene).image
    monkeypatch.setattr(rendering, "seen_vertices", lambda stage, owner: np.ones(len(stage.soup.xyz_cam), bool))
    np.testing.assert_array_equal(render_scene(single_scene).image, picture)
