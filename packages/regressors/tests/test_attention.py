"""Attention modules and involution against slow references."""

import pytest
import torch

from morphable_regressors.attention import AttentionGate, SpatialGroupEnhance, SqueezeExcitation
from morphable_regressors.involution import Involution2d


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive_involution(layer: Involution2d, features: torch.Tensor) -> torch.Tensor:
    """Filter pixel by pixel, channel by channel."""
    kernels = layer.span(layer.reduce(layer.pool(features)))
    batch, channels, rows, cols = features.shape
    size, stride, reach = layer.kernel_size, layer.stride, layer.kernel_size // 2
    result = torch.zeros(batch, channels, rows // stride, cols // stride, dtype=features.dtype)
    for b in range(batch):
        for channel in range(channels):
            group = channel // (channels // layer.groups)
            for row in range(rows // stride):
                for col in range(cols // stride):
                    for i in range(size):
                        for j in range(size):
                            y, x = row * stride + i - reach, col * stride + j - reach
                            if 0 <= y < rows and 0 <= x < cols:
                                weight = kernels[b, group * size * size + i * size + j, row, col]
                                result[b, channel, row, col] += weight * features[b, channel, y, x]
    return result


def free_kernels(layer: Involution2d) -> Involution2d:
    """An involution whose kernels depend on the input alone; those of a fresh one hardly do."""
    torch.nn.init.normal_(layer.span.weight)
    torch.nn.init.zeros_(layer.span.bias)
    return layer


def test_a_fresh_involution_changes_little():
    layer = Involution2d(16).double().eval()
    features = randn(2, 16, 8, 8)
    with torch.no_grad():
        assert 0 < (layer(features) - features).square().mean() < 0.1


@pytest.mark.parametrize(("kernel_size", "stride"), [(3, 1), (3, 2), (7, 1)])
def test_involution_equals_the_naive_reference(kernel_size, stride):
    layer = Involution2d(8, kernel_size=kernel_size, stride=stride, group_channels=4, reduction=2)
    layer = free_kernels(layer).double().eval()
    features = randn(2, 8, 4, 6)
    with torch.no_grad():
        torch.testing.assert_close(layer(features), naive_involution(layer, features))


def test_squeeze_excitation_by_hand():
    # One channel: mean 2, squeeze weight 1 and bias 0 -> 2, excite weight 0.5, bias -1 -> sigmoid(0) = 0.5.
    layer = SqueezeExcitation(1, reduction=1).double()
    for parameter, value in zip(layer.parameters(), (1.0, 0.0, 0.5, -1.0), strict=True):
        parameter.data.fill_(value)
    features = torch.tensor([[[[1.0, 3.0]]]], dtype=torch.float64)
    torch.testing.assert_close(layer(features), features * 0.5)


def test_spatial_group_enhance_by_hand():
    # One group of one channel, values 1 and 3: mean 2, likeness 2 and 6, centered -2 and 2, std 2, normalized -1 and 1.
    layer = SpatialGroupEnhance(1, groups=1).double()
    layer.scale.data.fill_(1.0)
    layer.shift.data.fill_(0.0)
    features = torch.tensor([[[[1.0, 3.0]]]], dtype=torch.float64)
    gate = torch.sigmoid(torch.tensor([[[[-1.0, 1.0]]]], dtype=torch.float64))
    torch.testing.assert_close(layer(features), features * gate, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_spatial_group_enhance_equals_its_definition(memory_format):
    layer = SpatialGroupEnhance(6, groups=2).double()
    layer.scale.data.copy_(torch.tensor([0.7, -1.2])[:, None, None])
    features = randn(2, 6, 3, 4)
    grouped = features.unflatten(1, (2, 3))
    likeness = (grouped * grouped.mean(dim=(3, 4), keepdim=True)).sum(2)
    normalised = (likeness - likeness.mean(dim=(2, 3), keepdim=True)) / likeness.std(
        dim=(2, 3), keepdim=True, correction=0
    )
    gate = torch.sigmoid(layer.scale * normalised + layer.shift)
    expected = (grouped * gate[:, :, None]).flatten(1, 2)
    torch.testing.assert_close(layer(features.to(memory_format=memory_format)), expected)


def test_spatial_group_enhance_of_a_flat_picture_is_finite():
    layer = SpatialGroupEnhance(4, groups=2).double()
    features = torch.ones(1, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    layer(features).sum().backward()
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()


def test_attention_gate_scales_positions_alike_in_all_channels():
    layer = AttentionGate(skip_channels=3, gate_channels=2, hidden_channels=2).double().eval()
    skip = randn(1, 3, 4, 4)
    with torch.no_grad():
        ratio = layer(skip, randn(1, 2, 4, 4, seed=1)) / skip
    torch.testing.assert_close(ratio[:, 0], ratio[:, 1])
    assert ((ratio > 0) & (ratio < 1)).all()


def test_attention_gate_equals_its_definition():
    layer = AttentionGate(skip_channels=3, gate_channels=2, hidden_channels=2).double().eval()
    skip, gate = randn(1, 3, 2, 3), randn(1, 2, 2, 3, seed=1)
    weights = {name: tensor.double() for name, tensor in layer.state_dict().items()}

    def linear(name: str, values: torch.Tensor) -> torch.Tensor:
        out = weights[f"{name}.0.weight"][:, :, 0, 0] @ values + weights[f"{name}.0.bias"]
        mean, variance = weights[f"{name}.1.running_mean"], weights[f"{name}.1.running_var"]
        return (out - mean) / (variance + 1e-5).sqrt() * weights[f"{name}.1.weight"] + weights[f"{name}.1.bias"]

    expected = skip.clone()
    for row in range(2):
        for col in range(3):
            hidden = linear("from_skip", skip[0, :, row, col]) + linear("from_gate", gate[0, :, row, col])
            expected[0, :, row, col] *= torch.sigmoid(linear("weigh", hidden.clamp(min=0)))
    with torch.no_grad():
        torch.testing.assert_close(layer(skip, gate), expected)


def turned_on(layer: SpatialGroupEnhance) -> SpatialGroupEnhance:
    """A layer whose gates depend on its input; a fresh one's do not."""
    torch.nn.init.constant_(layer.scale, 0.8)
    return layer


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (free_kernels(Involution2d(4, kernel_size=3, group_channels=2, reduction=2)), (randn(2, 4, 4, 4),)),
        (SqueezeExcitation(4, reduction=2), (randn(2, 4, 3, 3),)),
        (turned_on(SpatialGroupEnhance(4, groups=2)), (randn(2, 4, 3, 3),)),
        (
            AttentionGate(skip_channels=3, gate_channels=2, hidden_channels=2),
            (randn(2, 3, 3, 3), randn(2, 2, 3, 3, seed=1)),
        ),
    ],
    ids=["involution", "se", "sge", "gate"],
)
def test_gradients(layer, inputs):
    layer = layer.double().eval()
    assert torch.autograd.gradcheck(layer, tuple(tensor.requires_grad_() for tensor in inputs))


def test_refusals():
    with pytest.raises(ValueError, match="groups must divide 6 channels, got 4"):
        SpatialGroupEnhance(6, groups=4)
    with pytest.raises(ValueError, match="kernel_size must be odd, got 4"):
        Involution2d(16, kernel_size=4)
