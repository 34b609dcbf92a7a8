"""The network's input is centered on the photograph's center, with one scale."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from morphable_detector_head.letterbox import PADDING_RGB, letterbox, network_input, plan_letterbox, unenlarged_side


def test_plan_of_a_landscape_photograph():
    # 1000 x 600 to 512: s = 0.512, the short side 307.2 px is padded to 320
    plan = plan_letterbox((600, 1000), 512)
    assert plan.input_hw == (320, 512)
    assert plan.scale == pytest.approx(0.512)
    # the photograph's center (500, 300) is the input's center; 100 px to the right is 51.2 px to the right
    np.testing.assert_allclose(plan.to_input(np.array([[500.0, 300.0], [600.0, 300.0]])), [[256, 160], [307.2, 160]])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([256, 512, 640]))
def test_round_trip_and_multiples_of_32(height, width, size):
    plan = plan_letterbox((height, width), size)
    points = np.array([[0.0, 0.0], [width, height], [width / 3, height / 7]])
    np.testing.assert_allclose(plan.to_photo(plan.to_input(points)), points, atol=1e-6 * max(height, width))
    assert all(side % 32 == 0 and side <= max(size, 32) for side in plan.input_hw)


@pytest.mark.parametrize("size_hw", [(601, 999), (300, 200), (33, 1000), (1, 1), (5, 4000), (512, 512)])
def test_a_ramp_keeps_its_place(size_hw):
    """A linear ramp resampled anywhere tells where the sample came from."""
    height, width = size_hw
    x = (np.arange(width) + 0.5) / width * 250.0
    ramp = np.repeat(np.repeat(np.rint(x)[None, :, None], height, 0), 3, 2).astype(np.uint8)
    canvas, plan = letterbox(ramp, 512)
    assert canvas.shape[:2] == plan.input_hw
    row = canvas[canvas.shape[0] // 2, :, 0].astype(float)
    columns = np.arange(canvas.shape[1]) + 0.5
    place = plan.to_photo(np.stack([columns, np.full_like(columns, canvas.shape[0] / 2)], 1))[:, 0]
    inside = (place > 0.02 * width) & (place < 0.98 * width)
    assert inside.any()
    # one gray level of rounding in the ramp and one in the result; measured 1.1
    assert np.abs(row[inside] - place[inside] / width * 250.0).max() < (1.5 if width > 1 else 126)


def test_padding_is_symmetric_and_of_the_mean_colour():
    canvas, _ = letterbox(np.zeros((100, 200, 3), np.uint8), 512)  # inner 256 x 512: none
    assert (canvas == 0).all()
    canvas, _ = letterbox(np.zeros((110, 200, 3), np.uint8), 512)  # inner 281.6 -> 280, padded to 288: 4 above, 4 below
    padded = (canvas == PADDING_RGB).all(2).all(1)
    assert padded.nonzero()[0].tolist() == [0, 1, 2, 3, 284, 285, 286, 287]


@pytest.mark.parametrize("size_hw", [(480, 640), (960, 1280), (1080, 1920), (256, 128)])
def test_whole_pictures_are_scaled_as_pillow_scales_them(size_hw):
    """Sizes whose scaled sides are even integers take a faster way."""
    pixels = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), np.uint8)
    canvas, plan = letterbox(pixels, 512)
    height, width = (round(side * plan.scale) for side in size_hw)
    expected = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)).astype(int)
    top, left = (canvas.shape[0] - height) // 2, (canvas.shape[1] - width) // 2
    apart = np.abs(canvas[top : top + height, left : left + width].astype(int) - expected)
    assert apart.max() <= 2  # rounded once along rows and once along columns
    assert apart.mean() < 0.5


def test_square_inputs_can_be_stacked():
    canvas, plan = letterbox(np.zeros((100, 200, 3), np.uint8), 512, square=True)
    assert canvas.shape == (512, 512, 3)
    assert (canvas[:128] == PADDING_RGB).all()
    assert (canvas[128:384] == 0).all()
    np.testing.assert_allclose(plan.to_input(np.array([[100.0, 50.0]])), [[256.0, 256.0]])


def test_the_networks_input_is_rgb_in_the_unit_interval():
    pixels = np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3)
    images = network_input(pixels)
    assert images.shape == (1, 3, 2, 4)
    torch.testing.assert_close(images[0, 1, 1, 3], torch.tensor(pixels[0, 1, 3, 1] / 255.0, dtype=torch.float32))


@pytest.mark.parametrize(
    ("photo_hw", "side"),
    [
        ((3000, 2000), 512),  # large: the size asked for
        ((338, 450), 448),  # 450 / 32 = 14.06: 14 * 32
        ((490, 100), 480),  # 490 / 32 = 15.3: 15 * 32
        ((500, 100), 512),  # 15.6: 16 * 32
        ((90, 120), 256),
    ],
)
def test_small_photographs_are_not_enlarged(photo_hw, side):
    assert unenlarged_side(photo_hw, 512) == side
    assert unenlarged_side(photo_hw, 224) == 224


def test_sizes_that_are_no_multiples_of_32_are_refused():
    with pytest.raises(ValueError, match="size_px must be a positive multiple of 32, got 500; try 512"):
        plan_letterbox((10, 10), 500)
