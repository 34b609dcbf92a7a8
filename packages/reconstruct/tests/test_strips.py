"""Depth and parts drawn in strips are those of the whole picture."""

import numpy as np
import pytest
from stand_ins import DotDetector, dotted

from morphable_reconstruct.drawing import layers
from morphable_reconstruct.drawing.layers import render_layers, render_strips
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor


@pytest.fixture
def scene(model):
    """Two faces."""
    settings = ReconstructConfig(min_score=0.4, size_px=320)
    return Reconstructor(DotDetector(), model, config=settings)(dotted((240, 320), [(100, 120), (250, 90)], dot_px=16))


def test_strips_are_the_whole_picture(scene, monkeypatch):
    whole = render_layers(scene)
    assert whole.mask.any()
    monkeypatch.setattr(layers, "STRIP_PIXELS", 37 * scene.camera.size_hw[1])
    strips = list(render_strips(scene))
    assert [strip.rows.stop - strip.rows.start for strip in strips[:-1]] == [37] * (len(strips) - 1)
    mask, depth_m, part = (np.concatenate([getattr(s, name) for s in strips]) for name in ("mask", "depth_m", "part"))
    # a shear in float32 moves edges by millionths of a pixel
    assert (mask != whole.mask).mean() < 1e-4
    both = mask & whole.mask
    np.testing.assert_allclose(depth_m[both], whole.depth_m[both], atol=1e-4)
    assert (part[both] != whole.part[both]).mean() < 1e-3
    np.testing.assert_array_equal(scene.parts > 0, mask)


def test_one_strip_is_the_layers_themselves(scene):
    # the layers interpolate depth between vertices, the strips take the rasterizer's own
    np.testing.assert_allclose(scene.depth_m, render_layers(scene).depth_m, rtol=1e-6)
