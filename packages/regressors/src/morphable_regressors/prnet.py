"""PRNet's network: from a crop to the UV position map of the face (Feng et al., ECCV 2018)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

ENCODER_WIDTHS = (2, 4, 8, 16, 32)
"""Widths of the five pairs of residual blocks, in units of the first convolution's."""
DECODER = ((32, 1, False), (16, 3, True), (8, 3, True), (4, 3, True), (2, 2, True), (1, 2, True))
"""Width, number of transposed convolutions, and whether the first of them doubles the size."""
OPEN_BIAS = 2.0
"""First bias of the decoder's batch norms: ReLU then lets nearly all values of unit variance pass."""
RANDOM_SHARE = 0.1
"""Factor on the random first kernel, to which the identity is added."""


def _pad_same(features: Tensor, kernel: int, stride: int) -> Tensor:
    """Pad as TensorFlow's SAME does for sizes that the stride divides: the odd pixel goes right and bottom."""
    total = kernel - stride
    before = total // 2
    return F.pad(features, (before, total - before, before, total - before))


class SameConv(nn.Module):
    """Convolution with TensorFlow's SAME padding, without bias."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, bias=False)

    def forward(
        self, features: Float[Tensor, "batch inputs rows cols"]
    ) -> Float[Tensor, "batch outputs out_rows out_cols"]:
        """Convolve; the size is divided by the stride."""
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        return self.conv(_pad_same(features, kernel, stride) if kernel > stride else features)


class SameDeconv(nn.Module):
    """Transposed 4x4 convolution with TensorFlow's SAME cropping, batch norm and activation."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, activation: nn.Module) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 4, stride, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.activation = activation

    def forward(
        self, features: Float[Tensor, "batch inputs rows cols"]
    ) -> Float[Tensor, "batch outputs out_rows out_cols"]:
        """Convolve; the size is multiplied by the stride."""
        full = self.conv(features)
        # SAME crops what SAME padding would have added to the output: 1 and 2 pixels at stride 1, 1 and 1 at stride 2.
        total = 4 - self.conv.stride[0]
        before = total // 2
        after = total - before
        return self.activation(self.norm(full[..., before:-after, before:-after]))


class ResidualBlock(nn.Module):
    """Bottleneck of kernels 1-4-1 at half width; batch norm and ReLU follow the sum."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        half = outputs // 2
        self.shortcut = (
            SameConv(inputs, outputs, kernel=1, stride=stride) if stride > 1 or inputs != outputs else nn.Identity()
        )
        self.branch = nn.Sequential(
            SameConv(inputs, half, kernel=1),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            SameConv(half, half, kernel=4, stride=stride),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            SameConv(half, outputs, kernel=1),
        )
        self.norm = nn.BatchNorm2d(outputs)

    def forward(
        self, features: Float[Tensor, "batch inputs rows cols"]
    ) -> Float[Tensor, "batch outputs out_rows out_cols"]:
        """Run the block."""
        return torch.relu(self.norm(self.shortcut(features) + self.branch(features)))


class PRNet(nn.Module):
    """The network called resfcn256: a residual encoder to 8x8, a transposed-convolution decoder back."""

    POSITION_SCALE = 1.1
    """The sigmoid's output times this and the crop's size is a position in pixels: points may leave the crop."""

    def __init__(self, *, width: int = 16) -> None:
        """Make the network.

        Args:
            width: Channels of the first convolution; 16 is the paper's.
        """
        super().__init__()
        encoder: list[nn.Module] = [
            SameConv(3, width, kernel=4),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        channels = width
        for multiple in ENCODER_WIDTHS:
            for stride in (2, 1):
                encoder.append(ResidualBlock(channels, width * multiple, stride=stride))
                channels = width * multiple
        decoder: list[nn.Module] = []
        for multiple, count, doubles in DECODER:
            for index in range(count):
                stride = 2 if doubles and index == 0 else 1
                decoder.append(SameDeconv(channels, width * multiple, stride=stride, activation=nn.ReLU(inplace=True)))
                channels = width * multiple
        for index in range(3):
            activation = nn.Sigmoid() if index == 2 else nn.ReLU(inplace=True)
            decoder.append(SameDeconv(channels, 3, stride=1, activation=activation))
            channels = 3
        self.encoder = nn.Sequential(*encoder)
        self.decoder = nn.Sequential(*decoder)
        _open(decoder)

    def forward(self, image: Float[Tensor, "batch 3 rows cols"]) -> Float[Tensor, "batch 3 rows cols"]:
        """Return the position map in pixels of the crop (x right, y down, z toward the viewer, from the map's plane).

        Args:
            image: RGB in [0, 1], 256x256 in the paper; rows and columns must be equal multiples of 32.
        """
        rows, cols = image.shape[-2:]
        if rows != cols or rows % 32:
            raise ValueError(f"image must be a square whose side is a multiple of 32, got {rows}x{cols}")
        return self.decoder(self.encoder(image)) * (self.POSITION_SCALE * rows)


@torch.no_grad()
def _open(decoder: list[nn.Module]) -> None:
    """Start the decoder as a nearly linear enlargement: open ReLUs, and identity where size and width stay.

    From random weights, the position of a texel and the picture would first have to find their way through 17 closed
    layers, the last of which have three channels.
    """
    for index, layer in enumerate(decoder):
        assert isinstance(layer, SameDeconv)
        kernel = layer.conv.weight
        if layer.conv.stride[0] == 1 and kernel.shape[0] == kernel.shape[1]:
            kernel *= RANDOM_SHARE
            kernel[:, :, 1, 1] += torch.eye(len(kernel))  # the tap that SAME cropping leaves in place
        if index < len(decoder) - 1:
            layer.norm.bias.fill_(OPEN_BIAS)
