"""The call every engine answers."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from morphable_detector_head import Detections


@runtime_checkable
class Engine(Protocol):
    """Runs the network on pictures of one size. Safe to call from several threads."""

    def __call__(self, images: Float[Tensor, "batch 3 height width"], *, top_k: int, min_score: float) -> Detections:
        """Find the faces of RGB pictures in [0, 1]; tensors come and go on the CPU."""
        ...
