"""The network as training calls it: raw outputs at chosen cells."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from morphable_detector_head import FaceDetector


def freeze_start(detector: FaceDetector) -> None:
    """Keep the backbone's layers up to stride 4 from learning, and their statistics from moving."""
    for layer in detector.backbone.start():
        layer.requires_grad_(False).eval()


def freeze_all_but_colors(detector: FaceDetector) -> None:
    """Keep everything but the color head from learning, and all statistics from moving.

    Raises:
        ValueError: The network has no color head.
    """
    if detector.color_head is None:
        raise ValueError("only_colors must be false for a network without color head; set detector.color_width")
    detector.requires_grad_(False).eval()
    detector.color_head.requires_grad_(True)


class CellPredictor(nn.Module):
    """A detector that leaves out what a stage does not train, and decodes nothing.

    Decoding (rotations, depth) stays outside, in float32; without a center loss the center head is neither run nor
    trained, which saves a tenth of stage 1.
    """

    def __init__(self, detector: FaceDetector, *, with_center: bool) -> None:
        super().__init__()
        self.detector, self.with_center = detector, with_center
        if not with_center:
            detector.center_head.requires_grad_(False)

    def forward(
        self, image: Float[Tensor, "batch 3 height width"], cell: Int[Tensor, "batch top"]
    ) -> tuple[tuple[Float[Tensor, "batch top channels"], ...], Float[Tensor, "batch rows cols"] | None]:
        """Return the raw parameters at the cells, estimate after estimate, and the center logits."""
        features = self.detector.features(image)
        logits = self.detector.center_head(features.fused) if self.with_center else None
        return self.detector.channels_at(features, cell), logits
