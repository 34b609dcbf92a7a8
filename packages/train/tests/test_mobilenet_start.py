"""Per-face networks that start from a trained MobileNetV2."""

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import mobilenet_v2

from morphable_regressors import FaceParser
from morphable_regressors.attention import SqueezeExcitation
from morphable_regressors.systems import ParameterConfig, ParameterRegressor
from morphable_train.recipes.base.mobilenet_start import OPEN_GATE, start_from_mobilenet


@pytest.fixture(scope="module")
def trained():
    """A MobileNetV2 whose statistics are not those of a fresh one."""
    torch.manual_seed(0)
    network = mobilenet_v2(weights=None).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2.0)
    return network


@pytest.fixture(scope="module")
def image():
    return torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def weights(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("start") / "mobilenet.safetensors"
    save_file({name: value.contiguous() for name, value in trained.state_dict().items()}, path)
    return path


@pytest.mark.parametrize("backbone", ["mobile_frnet_plain", "mobilenet_v2"])
def test_without_attention_the_features_are_those_of_the_source(backbone, trained, weights, image):
    """Kernels of 5 and 7 that hold one of 3 in their middle filter alike."""
    regressor = ParameterRegressor(ParameterConfig(backbone=backbone)).eval()
    assert start_from_mobilenet(regressor, weights) == 104  # 52 convolutions, each with its norm
    network = regressor.network
    features = network.features if backbone == "mobile_frnet_plain" else network.network.features
    with torch.no_grad():
        torch.testing.assert_close(features(image * 2 - 1), trained.features(image * 2 - 1), atol=1e-4, rtol=1e-4)


def test_attention_starts_open(weights):
    regressor = ParameterRegressor()
    start_from_mobilenet(regressor, weights)
    gates = [module for module in regressor.modules() if isinstance(module, SqueezeExcitation)]
    assert len(gates) == 7
    assert all(bool((gate.excite.bias == OPEN_GATE).all()) for gate in gates)


def test_a_parser_takes_the_layers_down_to_a_32nd(trained, weights, image):
    parser = FaceParser(backbone="mobilenet_v2").eval()
    assert start_from_mobilenet(parser, weights) == 102
    context = parser.context
    with torch.no_grad():
        at_32 = context.to_32(context.to_16(context.to_8(context.stem(image * 2 - 1))))
        torch.testing.assert_close(at_32, trained.features[:18](image * 2 - 1), atol=1e-4, rtol=1e-4)


def test_layers_of_a_single_shot_network_are_found_under_its_prefix(trained, weights, tmp_path):
    stages = {
        f"backbone.stages.{stage}.{place}.{name.split('.', 2)[2]}": value
        for name, value in trained.state_dict().items()
        if name.startswith("features.") and int(name.split(".")[1]) < 18
        for start, stage in [(0, 0), (7, 1), (14, 2)]
        for place in [int(name.split(".")[1]) - start]
        if 0 <= place < (7 if stage < 2 else 4)
    }
    stages["parameter_head.output.weight"] = torch.zeros(3, 3, 1, 1)
    path = tmp_path / "detector.safetensors"
    save_file({name: value.half().contiguous() for name, value in stages.items()}, path)
    one, other = FaceParser(backbone="mobilenet_v2"), FaceParser(backbone="mobilenet_v2")
    assert start_from_mobilenet(one, path) == start_from_mobilenet(other, weights) == 102
    for name, value in one.context.to_32.state_dict().items():
        torch.testing.assert_close(value, other.context.to_32.state_dict()[name], atol=2e-3, rtol=2e-3)


def test_refusals(weights, tmp_path):
    with pytest.raises(FileNotFoundError, match="start must be a run, a checkpoint or a safetensors file"):
        start_from_mobilenet(ParameterRegressor(), tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match="start must be for mobile_frnet or parsing, got Linear"):
        start_from_mobilenet(torch.nn.Linear(1, 1), weights)
    with pytest.raises(ValueError, match="start must fit the network, got another layer"):
        start_from_mobilenet(FaceParser(backbone="resnet18"), weights)
    save_file({"layer.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="got none in"):
        start_from_mobilenet(ParameterRegressor(), tmp_path / "other.safetensors")
