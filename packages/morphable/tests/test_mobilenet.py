import pytest
import torch

from morphable.mobilenet import MobileNetV2


def test_it_is_torchvisions_network_with_the_same_random_start():
    models = pytest.importorskip("torchvision").models
    torch.manual_seed(7)
    own = MobileNetV2(num_classes=62).eval()
    torch.manual_seed(7)
    theirs = models.mobilenet_v2(num_classes=62).eval()
    state, expected = own.state_dict(), theirs.state_dict()
    assert list(state) == list(expected)
    assert all(torch.equal(state[name], expected[name]) for name in state)
    image = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(own(image), theirs(image))


def test_strides_and_channels_of_the_layers():
    features, sizes = torch.zeros(1, 3, 64, 96), []
    for layer in MobileNetV2().eval().features:
        features = layer(features)
        sizes.append(tuple(features.shape[1:]))
    assert len(sizes) == 19
    assert [sizes[last] for last in (3, 6, 13, 17)] == [(24, 16, 24), (32, 8, 12), (96, 4, 6), (320, 2, 3)]


def test_every_weight_gets_a_gradient():
    network = MobileNetV2(num_classes=3)
    network(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in network.parameters())
