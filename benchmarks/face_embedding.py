"""MobileFaceNet (Chen et al. 2018), a face-recognition network, as a judge of likeness.

A picture goes in, a unit vector comes out. The weights are not part of the project: a PyTorch checkpoint whose
`net_state_dict` holds them.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image, ImageFilter
from torch import Tensor, nn

INPUT_HW = (112, 96)
REFERENCE_PX = np.array(
    [[30.2946, 51.6963], [65.5318, 51.5014], [48.0252, 71.7366], [33.5493, 92.3655], [62.7299, 92.2041]]
)
"""Where the network expects the eyes' centers, the tip of the nose and the corners of the mouth."""
_STAGES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
"""Expansion, channels, blocks and stride of each stage."""
_BLUR = 0.4
"""Standard deviation of the blur before shrinking, in source pixels per target pixel."""


class _Conv(nn.Module):
    """Convolution, batch norm and, unless linear, PReLU; modules named as in the checkpoint."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int, pad: int, groups: int, linear: bool
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, pad, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.prelu = None if linear else nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.conv(x))
        return x if self.prelu is None else self.prelu(x)


class _Bottleneck(nn.Module):
    """Inverted residual."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.PReLU(hidden),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.PReLU(hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


class FaceEmbedding(nn.Module):
    """The network; what it returns is the sum over the picture and its mirror image, of unit length."""

    def __init__(self, checkpoint: Path) -> None:
        """Read the weights.

        Args:
            checkpoint: PyTorch file that holds `net_state_dict`.
        """
        super().__init__()
        self.conv1 = _Conv(3, 64, 3, 2, 1, 1, linear=False)
        self.dw_conv1 = _Conv(64, 64, 3, 1, 1, 64, linear=False)
        self.blocks = nn.ModuleList()
        inputs = 64
        for expansion, outputs, count, first_stride in _STAGES:
            for index in range(count):
                self.blocks.append(_Bottleneck(inputs, outputs, expansion, first_stride if index == 0 else 1))
                inputs = outputs
        self.conv2 = _Conv(128, 512, 1, 1, 0, 1, linear=False)
        self.linear7 = _Conv(512, 512, (7, 6), 1, 0, 512, linear=True)
        self.linear1 = _Conv(512, 128, 1, 1, 0, 1, linear=True)
        self.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["net_state_dict"])
        self.eval()

    @torch.no_grad()
    def forward(self, pictures: Float[Tensor, "faces 3 112 96"]) -> Float[Tensor, "faces 128"]:
        """Embed RGB pictures in [0, 1], aligned by `align`."""
        scaled = (pictures * 255 - 127.5) / 128
        return F.normalize(self._once(scaled) + self._once(scaled.flip(-1)))

    def _once(self, x: Tensor) -> Tensor:
        x = self.dw_conv1(self.conv1(x))
        for block in self.blocks:
            x = block(x)
        return self.linear1(self.linear7(self.conv2(x))).flatten(1)

    def embed(self, crops: Sequence[Float[np.ndarray, "112 96 3"]]) -> Float[np.ndarray, "faces 128"]:
        """Embed a list of aligned crops."""
        return self(torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float()).numpy()


def align(
    picture: Float[np.ndarray, "rows cols 3"], landmarks68_px: Float[np.ndarray, "68 2"]
) -> Float[np.ndarray, "112 96 3"]:
    """Cut out a face as the network expects it, by the similarity that fits its five points best."""
    eyes = [landmarks68_px[36:42].mean(0), landmarks68_px[42:48].mean(0)]
    points = np.stack([*eyes, landmarks68_px[30], landmarks68_px[48], landmarks68_px[54]])
    system = np.zeros((10, 4))
    one, zero = np.ones((5, 1)), np.zeros((5, 1))
    system[0::2] = np.hstack([REFERENCE_PX[:, :1], -REFERENCE_PX[:, 1:], one, zero])
    system[1::2] = np.hstack([REFERENCE_PX[:, 1:], REFERENCE_PX[:, :1], zero, one])
    a, b, x, y = np.linalg.lstsq(system, points.ravel(), rcond=None)[0].tolist()
    image = Image.fromarray(np.uint8(np.clip(picture, 0, 1) * 255))
    shrink = float(np.hypot(a, b))
    if shrink > 1:
        image = image.filter(ImageFilter.GaussianBlur(_BLUR * shrink))
    height, width = INPUT_HW
    cut = image.transform(
        (width, height), Image.Transform.AFFINE, (a, -b, x, b, a, y), resample=Image.Resampling.BILINEAR
    )
    return np.asarray(cut, dtype=np.float64) / 255
