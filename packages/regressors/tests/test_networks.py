"""Shapes, sizes and laws of the networks."""

import pytest
import torch
from torch import nn

from morphable_regressors import FaceParser, count_operations
from morphable_regressors.dfmvr import DFMVR, DFMVRConfig, repeat_views
from morphable_regressors.involution import Involution2d
from morphable_regressors.mobile_frnet import MobileFRNet, MobileFRNetConfig
from morphable_regressors.mulen_unet import MulEnUNet
from morphable_regressors.parsing import PARSER_BACKBONES, PARSING_CLASSES
from morphable_regressors.prnet import PRNet
from morphable_regressors.rednet import Bottleneck, RedNet50


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("attention", "parameters", "operations"), [(True, 2.60e6, 0.120e9), (False, 2.40e6, 0.110e9)])
def test_mobile_frnet_has_the_size_of_the_papers_table(attention, parameters, operations):
    counts = count_operations(MobileFRNet(MobileFRNetConfig(attention=attention)), noise(1, 3, 120, 120))
    assert counts.parameters == pytest.approx(parameters, rel=0.03)
    assert counts.total == pytest.approx(operations, rel=0.03)


def test_counter_reproduces_the_papers_rows():
    from torchvision import models

    for name, operations in (
        ("mobilenet_v2", 0.109e9),
        ("densenet121", 0.800e9),
        ("resnext50_32x4d", 1.319e9),
    ):
        counts = count_operations(getattr(models, name)(num_classes=62), noise(1, 3, 120, 120))
        assert counts.total == pytest.approx(operations, rel=0.007), name


def test_prnet_layer_by_layer():
    network = PRNet()
    blocks = [module for module in network.encoder if hasattr(module, "branch")]
    assert [block.norm.num_features for block in blocks] == [32, 32, 64, 64, 128, 128, 256, 256, 512, 512]
    assert [block.branch[3].conv.stride[0] for block in blocks] == [2, 1] * 5
    assert [block.branch[3].conv.in_channels for block in blocks] == [
        16,
        16,
        32,
        32,
        64,
        64,
        128,
        128,
        256,
        256,
    ]
    widths = [layer.conv.out_channels for layer in network.decoder]
    assert widths == [512, 256, 256, 256, 128, 128, 128, 64, 64, 64, 32, 32, 16, 16, 3, 3, 3]
    strides = [layer.conv.stride[0] for layer in network.decoder]
    assert strides == [1, 2, 1, 1, 2, 1, 1, 2, 1, 1, 2, 1, 2, 1, 1, 1, 1]
    assert isinstance(network.decoder[-1].activation, nn.Sigmoid)


def test_prnets_decoder_starts_open():
    """From closed layers, 500 steps of training had not reached the mean face."""
    from morphable_regressors.prnet import SameDeconv

    torch.manual_seed(0)
    network = PRNet(width=4).train()
    shares = []
    for layer in [module for module in network.decoder if isinstance(module, SameDeconv)][:-1]:
        layer.activation.register_forward_hook(lambda _, __, output: shares.append(float((output > 0).float().mean())))
    network(noise(4, 3, 64, 64))
    assert len(shares) == 16
    assert min(shares) > 0.9


def test_prnet_keeps_the_size_and_bounds_the_positions():
    with torch.no_grad():
        positions = PRNet(width=4).eval()(noise(2, 3, 64, 64))
    assert positions.shape == (2, 3, 64, 64)
    assert positions.min() >= 0
    assert positions.max() <= 1.1 * 64


def test_same_padding_puts_the_odd_pixel_right_and_bottom():
    # TensorFlow's SAME for kernel 4, stride 1 pads 1 before and 2 behind: with a kernel that is 1 at its first cell,
    # the output is the input moved by one pixel to the right and down.
    from morphable_regressors.prnet import SameConv, SameDeconv

    conv = SameConv(1, 1, kernel=4)
    nn.init.zeros_(conv.conv.weight)
    conv.conv.weight.data[0, 0, 0, 0] = 1
    image = torch.arange(36.0).reshape(1, 1, 6, 6)
    torch.testing.assert_close(conv(image)[0, 0, 1:, 1:], image[0, 0, :-1, :-1])
    deconv = SameDeconv(1, 1, stride=1, activation=nn.Identity())
    deconv.norm = nn.Identity()
    nn.init.zeros_(deconv.conv.weight)
    deconv.conv.weight.data[0, 0, 1, 1] = 1  # the transposed operation crops [1:-2], so this cell is the identity
    torch.testing.assert_close(deconv(image), image)


def test_mulen_unet_and_rednet_have_the_design_sizes():
    counts = count_operations(MulEnUNet(), noise(1, 3, 4, 32, 32))
    assert counts.parameters == pytest.approx(80e6, rel=0.01)
    # Multiply-adds grow with the pixels: 72 G at 224x224.
    assert counts.multiply_adds * (224 / 32) ** 2 == pytest.approx(72e9, rel=0.01)
    # RedNet-50 has 15.5 M parameters with its 1000-class layer of 2.05 M.
    assert count_operations(RedNet50(), noise(1, 3, 64, 64)).parameters == pytest.approx(13.5e6, rel=0.01)


def test_mulen_unet_layer_by_layer():
    network = MulEnUNet()
    assert [level[3].out_channels for level in network.encoders[0].levels] == [64, 128, 256, 512, 1024]
    assert [level.up.in_channels for level in network.levels] == [3072, 512, 256, 128]
    assert [len(level.gates) for level in network.levels] == [3, 3, 3, 3]
    assert network.out_channels == 256


def test_rednet_layer_by_layer():
    network = RedNet50(in_channels=256)
    blocks = [layer for layer in network.layers if isinstance(layer, Bottleneck)]
    involutions = [next(layer for layer in block.layers if isinstance(layer, Involution2d)) for block in blocks]
    channels = [256] * 3 + [512] * 4 + [1024] * 6 + [2048] * 3
    assert [block.layers[-1].num_features for block in blocks] == channels
    assert [layer.groups * 16 for layer in involutions] == [width // 4 for width in channels]
    assert [layer.stride for layer in involutions] == [1] * 3 + [2] + [1] * 3 + [2] + [1] * 5 + [2] + [1] * 2
    assert {layer.kernel_size for layer in involutions} == {7}
    assert {layer.reduce[0].in_channels // layer.reduce[0].out_channels for layer in involutions} == {4}
    stem = network.layers[0], network.layers[3], network.layers[6]
    assert [(layer.in_channels, layer.out_channels, layer.stride[0]) for layer in (stem[0], stem[2])] == [
        (256, 32, 2),
        (32, 64, 1),
    ]
    assert (stem[1].kernel_size, stem[1].groups) == (3, 2)
    assert network.out_channels == 2048


def test_rednet_is_bounded_on_inputs_larger_than_the_statistics_tell():
    """Sixteen involutions from random first weights, each quadratic in its input, had overflowed here."""
    torch.manual_seed(0)
    network = RedNet50(width=0.25)
    for step in range(20):
        network.train()(noise(8, 3, 64, 64, seed=step))
    with torch.no_grad():
        usual, larger = (network.eval()(noise(1, 3, 64, 64) * scale).abs().max() for scale in (1.0, 4.0))
    assert larger < 20 * usual


def test_counter_counts_what_transposed_convolutions_and_involutions_multiply():
    transposed = count_operations(nn.ConvTranspose2d(2, 3, 4, 1, bias=False), noise(1, 2, 5, 5))
    assert transposed.multiply_adds == 5 * 5 * 2 * 3 * 16
    layer = Involution2d(16, kernel_size=3, reduction=4)
    kernels = 6 * 6 * (16 * 4 + 4 * 9 + 9)
    assert count_operations(layer, noise(1, 16, 6, 6)).multiply_adds == kernels + 6 * 6 * 16 * 9


def test_dfmvr_starts_at_the_mean_face():
    config = DFMVRConfig(width=0.25, num_identity=8, num_expression=5, num_albedo=6)
    network = DFMVR(config).eval()
    with torch.no_grad():
        out = network(noise(2, 3, 4, 64, 64))
    assert out.identity.shape == (2, 8)
    assert out.illumination.shape == (2, 9, 3)
    assert out.rotation_vector.shape == (2, 3, 3)
    assert out.depth.shape == (2, 3)
    assert not out.identity.any()


def test_dfmvr_illumination_is_three_channels_of_nine_bands():
    network = DFMVR(DFMVRConfig(width=0.25)).eval()
    network.heads["illumination"].bias.data.copy_(torch.arange(27.0))
    with torch.no_grad():
        out = network(noise(1, 3, 4, 32, 32))
    torch.testing.assert_close(out.illumination[0, :, 0], torch.arange(9.0))


def test_missing_views_repeat_the_last():
    views = noise(1, 2, 4, 32, 32)
    filled = repeat_views(views, 3)
    torch.testing.assert_close(filled[:, 2], views[:, 1])
    with pytest.raises(ValueError, match=r"1 to 3 pictures of a face, got 4"):
        repeat_views(noise(1, 4, 4, 32, 32), 3)


@pytest.mark.parametrize("backbone", PARSER_BACKBONES)
def test_face_parser_gives_each_pixel_ten_scores(backbone):
    parser = FaceParser(backbone=backbone).eval()
    with torch.no_grad():
        logits = parser(noise(1, 3, 64, 96))
    assert logits.shape == (1, len(PARSING_CLASSES), 64, 96)


@pytest.mark.parametrize(
    "network",
    [
        MobileFRNet(),
        PRNet(width=4),
        RedNet50(width=0.25),
        FaceParser(),
        FaceParser(backbone="mobilenet_v2"),
    ],
    ids=lambda network: type(network).__name__,
)
def test_batch_equals_single(network):
    network.eval()
    images = noise(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network(images)[1:], network(images[1:]), atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MobileFRNetConfig(kernel_shares=((3, 0.5),)), "must sum to 1"),
        (lambda: DFMVRConfig(num_views=4), "must be 1, 2 or 3, got 4"),
        (lambda: DFMVRConfig(width=0.3), r"width must be 0.25, 0.5 or 1.0"),
        (lambda: PRNet(width=4)(noise(1, 3, 64, 96)), "square whose side is a multiple of 32"),
        (lambda: FaceParser()(noise(1, 3, 60, 64)), "multiples of 32, got 60x64"),
        (lambda: FaceParser(backbone="vgg"), "backbone must be one of resnet18, mobilenet_v2, got 'vgg'"),
        (lambda: MulEnUNet(width=0.25)(noise(1, 2, 4, 32, 32)), "must hold 3 pictures of a face, got 2"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
