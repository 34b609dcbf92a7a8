"""Parts of photographs give what the whole photograph gives."""

import numpy as np
import pytest
import torch
from PIL import Image

from morphable_detector_head import resizing as module
from morphable_detector_head.resizing import reduced, resized
from morphable_reconstruct.drawing.parsing import _cut
from morphable_reconstruct.drawing.textures import _colors_at
from morphable_reconstruct.photographs.window import window
from morphable_regressors import cut_crops
from morphable_render import sample_image


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (333, 517, 3), np.uint8)


def test_edges_are_aligned_and_stay_in_the_photograph(pixels):
    part = window(pixels, np.array([70.5, -9.0]), np.array([130.2, 65.0]), align_px=64)
    assert part.corner_px.tolist() == [64, 0]
    np.testing.assert_array_equal(part.pixels, pixels[0:128, 64:192])
    beyond = window(pixels, np.array([900.0, 900.0]), np.array([950.0, 950.0]))
    assert beyond.pixels.shape == (1, 1, 3)


def test_large_parts_are_means(pixels):
    part = window(pixels, np.zeros(2), np.array([512.0, 256.0]), max_pixels=10_000)
    assert part.factor == 4  # 131,072 pixels: two halvings in each direction leave 8,192
    assert part.pixels.shape == (64, 128, 3)
    mean = pixels[:256, :512].reshape(64, 4, 128, 4, 3).mean((1, 3))
    assert np.abs(part.pixels - mean).max() <= 0.51


@pytest.mark.parametrize("size", [(64, 64), (500, 333), (31, 20)])
@pytest.mark.parametrize("box", [None, (10.25, 3.5, 515.75, 330.0)])
def test_resizing_is_pillows(pixels, size, box, monkeypatch):
    monkeypatch.setattr(module, "BAND_PIXELS", 7000)
    wanted = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)
    np.testing.assert_array_equal(resized(pixels, size, box=box, reducing_gap=2.0), np.asarray(wanted))
    monkeypatch.setattr(module, "MAX_PIXELS", 0)  # every picture is a large one
    found = resized(pixels, size, box=box, reducing_gap=2.0)
    np.testing.assert_allclose(found.astype(int), np.asarray(wanted).astype(int), atol=1)


def test_means_are_pillows(pixels, monkeypatch):
    monkeypatch.setattr(module, "BAND_PIXELS", 7000)
    wanted = np.asarray(Image.fromarray(pixels).reduce((5, 3)))
    np.testing.assert_array_equal(reduced(pixels, (5, 3)), wanted)


@pytest.mark.parametrize(
    ("scale", "corner"), [(0.9, (30.0, 40.0)), (0.21, (-60.0, -20.0)), (0.1, (100.0, 50.0)), (3.0, (480.0, 300.0))]
)
def test_a_crop_is_that_of_the_whole_photograph(pixels, scale, corner):
    matrix = torch.tensor([[scale, 0.0, -scale * corner[0]], [0.0, scale, -scale * corner[1]], [0.0, 0.0, 1.0]])
    whole = cut_crops(torch.from_numpy(pixels).permute(2, 0, 1).float() / 255.0, matrix[None], 48)
    # coordinates in float32 from another corner: 1e-4 pixels of noise, which differ by up to 1
    torch.testing.assert_close(_cut(pixels, matrix, 48), whole, atol=1e-3, rtol=0.0)


def test_colors_are_those_of_the_whole_photograph(pixels):
    px = torch.rand(500, 2, generator=torch.Generator().manual_seed(0)) * 180 + torch.tensor([120.0, 230.0])
    whole = sample_image(torch.from_numpy(pixels).float() / 255.0, px / torch.tensor([517.0, 333.0]))
    torch.testing.assert_close(_colors_at(pixels, px), whole, atol=1e-3, rtol=0.0)
