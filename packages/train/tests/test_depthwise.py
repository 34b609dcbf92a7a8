import copy

import pytest
import torch

from morphable_detector_head import DetectorConfig, build_detector
from morphable_train.runs.depthwise import speed_up_depthwise


@pytest.mark.parametrize("name", ["mobilenet_v2_tf", "mobilenet_v3_small"])
def test_the_fast_gradient_is_the_gradient(name):
    torch.manual_seed(0)
    plain = build_detector(DetectorConfig(backbone=name, width=8, center_width=8, parameter_width=8))
    fast = copy.deepcopy(plain)
    assert speed_up_depthwise(fast) == 4
    assert list(plain.state_dict()) == list(fast.state_dict())
    image = torch.rand(2, 3, 64, 96)
    results = []
    for network in (plain, fast):
        features = network.features(image).fused
        features.square().sum().backward()
        results.append((features.detach(), [p.grad for p in network.backbone.parameters()]))
    assert torch.equal(results[0][0], results[1][0])
    for a, b in zip(results[0][1], results[1][1], strict=True):
        assert float((a - b).norm()) <= 1e-4 * float(a.norm()) + 1e-6  # another order of float32 sums


def test_dense_and_unit_stride_layers_stay():
    network = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3, stride=2), torch.nn.Conv2d(4, 4, 3, groups=4, bias=False))
    assert speed_up_depthwise(network) == 0
