import math

import pytest
import torch

from morphable.geometry.warping import flip_matrix, shrink_for, similarity_matrix, transform_points, warp


def ramp(rows: int, cols: int) -> torch.Tensor:
    """Channels hold each pixel center's x and y."""
    y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(cols) + 0.5, indexing="ij")
    return torch.stack([x, y])


def test_similarity_turns_right_to_down():
    # (10, 10) -> (20, 30); one pixel right of it, scaled by 2 and turned by +90 degrees, lies two pixels below
    matrix = similarity_matrix(
        torch.tensor([2.0]), torch.tensor([math.pi / 2]), torch.tensor([[10.0, 10.0]]), torch.tensor([[20.0, 30.0]])
    )
    moved = transform_points(torch.tensor([[[10.0, 10.0], [11.0, 10.0]]]), matrix)
    torch.testing.assert_close(moved, torch.tensor([[[20.0, 30.0], [20.0, 32.0]]]), atol=1e-5, rtol=0)


def test_flip_maps_edges_to_edges():
    moved = transform_points(torch.tensor([[[0.0, 5.0], [0.5, 5.0]]]), flip_matrix(torch.tensor([64.0])))
    torch.testing.assert_close(moved, torch.tensor([[[64.0, 5.0], [63.5, 5.0]]]))


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.9])
def test_pixels_and_points_move_together(scale):
    # a picture of coordinates: after the warp, the value at any pixel is the source position of that pixel's center
    generator = torch.Generator().manual_seed(0)
    angle = torch.rand(1, generator=generator)
    matrix = similarity_matrix(torch.tensor([scale]), angle, torch.tensor([[32.0, 24.0]]), torch.tensor([[40.0, 50.0]]))
    warped = warp(ramp(48, 64)[None], matrix, (80, 90))[0]
    centre = transform_points(torch.tensor([[[30.0, 22.0]]]), matrix)[0, 0]
    col, row = int(centre[0]), int(centre[1])
    back = transform_points(torch.tensor([[[col + 0.5, row + 0.5]]]), torch.linalg.inv(matrix))[0, 0]
    torch.testing.assert_close(warped[:, row, col], back, atol=1e-3, rtol=0)


def test_a_flip_warp_is_the_mirrored_picture():
    image = torch.rand(1, 3, 8, 10, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(warp(image, flip_matrix(torch.tensor([10.0])), (8, 10)), image.flip(3))


def test_shrinking_keeps_the_pixel_corner():
    small, remaining = shrink_for(ramp(64, 64), 0.2)
    assert small.shape == (2, 16, 16)
    assert remaining == pytest.approx(0.8)
    # the first of 16 pixels covers source pixels 0..3, whose mean center is 2.0
    torch.testing.assert_close(small[:, 0, 0], torch.tensor([2.0, 2.0]))
