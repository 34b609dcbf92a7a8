"""Feature aggregation to stride 8 (Figure 3 of the paper)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

INITIAL_SCALE = 10.0
"""First value of the learned scale behind the normalization."""
SQUARE_FLOOR = 1e-12
"""Added to the squared length: an all-zero position stays zero, with bounded gradients."""


class L2Normalize(nn.Module):
    """Unit length per position over the channels, then a learned scale per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), INITIAL_SCALE))

    def forward(self, features: Float[Tensor, "batch c rows cols"]) -> Float[Tensor, "batch c rows cols"]:
        """Normalize every position."""
        length = features.float().square().sum(dim=1, keepdim=True).add(SQUARE_FLOOR).sqrt()
        return features / length * self.scale[:, None, None]


class Aggregation(nn.Module):
    """Brings three feature maps to stride 8 and fuses them."""

    def __init__(self, channels: tuple[int, int, int], width: int) -> None:
        super().__init__()
        c3, c4, c5 = channels
        self.lateral3 = nn.Conv2d(c3, width, 3, padding=1)
        self.lateral4 = nn.ConvTranspose2d(c4, width, 4, stride=2, padding=1)
        self.lateral5 = nn.ConvTranspose2d(c5, width, 4, stride=4)
        self.norm3, self.norm4, self.norm5 = L2Normalize(width), L2Normalize(width), L2Normalize(width)
        self.fuse = nn.Sequential(
            nn.Conv2d(3 * width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        for lateral in (self.lateral3, self.lateral4, self.lateral5):
            nn.init.xavier_normal_(lateral.weight)
            nn.init.zeros_(lateral.bias)  # type: ignore[arg-type]  # built with a bias

    def forward(
        self,
        c3: Float[Tensor, "batch c3 rows3 cols3"],
        c4: Float[Tensor, "batch c4 rows4 cols4"],
        c5: Float[Tensor, "batch c5 rows5 cols5"],
    ) -> Float[Tensor, "batch width rows3 cols3"]:
        """Fuse feature maps of strides 8, 16, 32."""
        levels = [self.norm3(self.lateral3(c3)), self.norm4(self.lateral4(c4)), self.norm5(self.lateral5(c5))]
        return self.fuse(torch.cat(levels, dim=1))
