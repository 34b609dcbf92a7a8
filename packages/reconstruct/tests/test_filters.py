"""Filters of whole planes, against PyTorch's pooling layers."""

import pytest
import torch
import torch.nn.functional as F

from morphable_reconstruct.drawing.filters import largest_around, mean_around


@pytest.fixture
def planes():
    return torch.randn(2, 23, 31, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("radius", [0, 1, 2, 3, 7, 40])
def test_the_largest_around_is_that_of_a_pooling_layer(planes, radius):
    padded = F.pad(planes, (radius,) * 4, value=-torch.inf)
    expected = F.max_pool2d(padded, 2 * radius + 1, stride=1)
    assert torch.equal(largest_around(planes, radius), expected)
    assert torch.equal(largest_around(planes[0], radius), expected[0])


@pytest.mark.parametrize("size", [1, 3, 9])
def test_the_mean_around_is_that_of_a_pooling_layer(planes, size):
    expected = F.avg_pool2d(planes, size, stride=1, padding=size // 2)
    torch.testing.assert_close(mean_around(planes, size), expected, atol=1e-6, rtol=0)
