"""Perception-level loss: distance between embeddings of a face-recognition network (WM3DR, equation 11)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from morphable.extras import import_extra
from morphable.files import refusing

from ._reduce import face_mean, keep_present

FACENET_SIZE_PX = 160
"""Side of the square face crops that InceptionResnetV1 was trained on."""

Embedder = Callable[[Tensor], Tensor]
"""From square RGB face crops in [0, 1] (faces, 3, side, side) to one vector per face."""


def perception_loss(
    rendered: Float[Tensor, "faces 3 height width"],
    photograph: Float[Tensor, "faces 3 height width"],
    embedder: Embedder,
    *,
    present: Bool[Tensor, " faces"] | None = None,
) -> Float[Tensor, ""]:
    """Compare rendered faces with their photographs in the space of an embedder.

    Args:
        rendered: Face regions of the rendered picture, RGB; the gradient flows into these.
        photograph: The same regions of the photograph; no gradient.
        embedder: Frozen network, e.g. `facenet_embedder`. It is not run without faces.
        present: False on padding.

    Returns:
        The squared distance of the embeddings, averaged over faces; zero without faces.

    >>> picture = torch.rand(1, 3, 8, 8)
    >>> bool(perception_loss(picture, picture, lambda pixels: pixels.flatten(1)) < 1e-6)
    True
    """
    if len(rendered) == 0:
        return rendered.sum()
    if present is not None:
        rendered = torch.where(present[:, None, None, None], rendered, 0.0)
        photograph = torch.where(present[:, None, None, None], photograph, 0.0)
    with torch.no_grad():
        target = embedder(photograph)
    return face_mean(keep_present(embedder(rendered) - target, present).square().sum(-1), present)


class FacenetEmbedder(nn.Module):
    """facenet-pytorch's InceptionResnetV1 behind the input convention of this package; frozen."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(requires_grad=False)

    def forward(self, crops: Float[Tensor, "faces 3 height width"]) -> Float[Tensor, "faces embedding"]:
        """Embed RGB crops in [0, 1]: resized to 160 px, scaled to [-1, 1]; the embedding has unit length."""
        sized = F.interpolate(crops, (FACENET_SIZE_PX, FACENET_SIZE_PX), mode="bilinear", align_corners=False)
        return self.network(sized * 2 - 1)

    def train(self, mode: bool = True) -> "FacenetEmbedder":
        """Stay in evaluation mode: a frozen embedder's statistics do not move."""
        return super().train(mode=False)


def facenet_embedder(weights: Path | None = None) -> FacenetEmbedder:
    """Build the embedder from facenet-pytorch (extra `perception`).

    Args:
        weights: Local file with InceptionResnetV1's state dictionary; None downloads VGGFace2's on first
            use, by facenet-pytorch's own code.

    Raises:
        ModuleNotFoundError: The extra is not installed.
        ValueError: The file is not of this network.
        OSError: The download failed.
    """
    network_class: Any = import_extra("facenet_pytorch", "morphable-losses", "perception").InceptionResnetV1
    if weights is None:
        try:
            return FacenetEmbedder(network_class(pretrained="vggface2"))
        except OSError as error:
            raise OSError(
                f"the weights of InceptionResnetV1 could not be fetched ({error}); pass weights=FILE"
            ) from error
    network = network_class(pretrained=None)
    with refusing("weights must be a complete file of tensors", weights):
        state = dict(torch.load(weights, map_location="cpu", weights_only=True))
    try:
        network.load_state_dict({key: value for key, value in state.items() if not key.startswith("logits.")})
    except Exception as error:  # other networks' names and shapes, and values that are no tensors
        reason = (str(error).splitlines()[1:] or [str(error)])[0].strip()
        raise ValueError(f"weights must be InceptionResnetV1's, got {weights}: {reason}") from error
    return FacenetEmbedder(network)
