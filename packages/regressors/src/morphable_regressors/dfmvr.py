"""DF-MVR: coefficients of one face from three views of it (Zhao et al., Deep Fusion MVR)."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from morphable_regressors.fusions import ConvFusion, UNetFusion
from morphable_regressors.mulen_unet import MulEnUNet
from morphable_regressors.rednet import RedNet50

POSE_NUMBERS = 6
"""Numbers of each view's pose: rotation 3, offset in the picture 2, depth 1."""
ILLUMINATION_NUMBERS = 27


@dataclass(frozen=True, kw_only=True)
class DFMVRConfig:
    """Shape of a DF-MVR network."""

    num_views: int = 3
    """Views of one face: left, front, right."""
    num_identity: int = 80
    """Identity modes of the face model."""
    num_expression: int = 64
    """Expression modes of the face model."""
    num_albedo: int = 80
    """Albedo modes of the face model."""
    width: float = 1.0
    """Factor on the channels; 0.25 is for two cores."""
    fusion: Literal["mulen_unet", "unet", "cnn"] = "mulen_unet"
    """How views are fused; the other two are v2 and v1 of the paper's ablation."""
    involution: bool = True
    """RedNet-50; without, the same layout with 3x3 convolutions, a ResNet-50 (v3)."""
    parsing_channel: bool = True
    """Whether a fourth channel holds the parsing of each view (v4 leaves it out)."""

    def __post_init__(self) -> None:
        """Check what the layers can take."""
        if not 1 <= self.num_views <= 3:
            raise ValueError(f"num_views must be 1, 2 or 3, got {self.num_views}; more views than three are not built")
        if self.width not in (0.25, 0.5, 1.0):
            raise ValueError(f"width must be 0.25, 0.5 or 1.0, got {self.width}")


@dataclass(frozen=True)
class MultiViewParameters:
    """DF-MVR's estimate of one face: shared coefficients, and a pose and a light of each view."""

    identity: Float[Tensor, "batch id"]
    expression: Float[Tensor, "batch expr"]
    albedo: Float[Tensor, "batch alb"]
    illumination: Float[Tensor, "batch 9 3"]
    """Spherical harmonics, shared by the views."""
    rotation_vector: Float[Tensor, "batch views 3"]
    """Rotation vector of `R_head`, in radians; `poses.view_poses` decodes all three."""
    offset: Float[Tensor, "batch views 2"]
    """Shift from the middle of the crop, in crop sides."""
    depth: Float[Tensor, "batch views"]
    """Logarithm of the depth relative to that of a mean face of the crop rule's size."""


_FUSIONS: dict[str, type[MulEnUNet] | type[UNetFusion] | type[ConvFusion]] = {
    "mulen_unet": MulEnUNet,
    "unet": UNetFusion,
    "cnn": ConvFusion,
}


class DFMVR(nn.Module):
    """MulEn-UNet, RedNet-50 and 1x1 heads."""

    def __init__(self, config: DFMVRConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DFMVRConfig()
        in_channels = 4 if config.parsing_channel else 3
        self.fusion: MulEnUNet | UNetFusion | ConvFusion = _FUSIONS[config.fusion](
            num_views=config.num_views, in_channels=in_channels, width=config.width
        )
        self.trunk = RedNet50(in_channels=self.fusion.out_channels, width=config.width, involution=config.involution)
        self.sizes = {
            "identity": config.num_identity,
            "expression": config.num_expression,
            "albedo": config.num_albedo,
            "illumination": ILLUMINATION_NUMBERS,
            "pose": POSE_NUMBERS * config.num_views,
        }
        self.heads = nn.ModuleDict({name: self._head(numbers) for name, numbers in self.sizes.items()})

    def _head(self, numbers: int) -> nn.Conv2d:
        """Return a 1x1 convolution that answers zero before training: the mean face."""
        head = nn.Conv2d(self.trunk.out_channels, numbers, 1)
        nn.init.zeros_(head.weight)
        if head.bias is not None:
            nn.init.zeros_(head.bias)
        return head

    def forward(self, views: Float[Tensor, "batch views channels rows cols"]) -> MultiViewParameters:
        """Regress a face; at the start of training it is the mean face.

        Args:
            views: RGB in [0, 1] and the parsing channel (`parsing_channel`), in the order left, front, right; a face
                with fewer pictures repeats one (`repeat_views`). Rows and columns must be multiples of 32.
        """
        pooled = self.trunk(self.fusion(views)).mean(dim=(2, 3), keepdim=True)
        out = {name: head(pooled).flatten(1) for name, head in self.heads.items()}
        pose = out["pose"].unflatten(1, (self.config.num_views, POSE_NUMBERS))
        return MultiViewParameters(
            out["identity"],
            out["expression"],
            out["albedo"],
            out["illumination"].unflatten(1, (3, 9)).transpose(1, 2),
            pose[..., :3],
            pose[..., 3:5],
            pose[..., 5],
        )


def repeat_views(
    views: Float[Tensor, "batch given channels rows cols"], num_views: int
) -> Float[Tensor, "batch views channels rows cols"]:
    """Fill up a face's pictures to `num_views` by repeating the last, the single-view scheme of DF-MVR.

    Raises:
        ValueError: If there is no picture, or more than `num_views`.
    """
    given = views.shape[1]
    if not 1 <= given <= num_views:
        raise ValueError(
            f"views must hold 1 to {num_views} pictures of a face, got {given}; "
            "leave some out: the network has one encoder for each of left, front, right"
        )
    return torch.cat([views, views[:, -1:].expand(-1, num_views - given, -1, -1, -1)], dim=1)
