"""The network in PyTorch, on CPU or GPU."""

import torch
from jaxtyping import Float
from torch import Tensor

from morphable_detector_head import Detections, FaceDetector
from morphable_detector_head.cells import parameters_from_cells
from morphable_detector_head.detector import check_image
from morphable_reconstruct.reconstructor.config import Precision


class TorchEngine:
    """Runs a detector on one device; what comes out is decoded in float32, whatever the network's precision."""

    def __init__(self, detector: FaceDetector, device: str = "auto", precision: Precision = "float32") -> None:
        """Move the detector to a device.

        Args:
            detector: The network.
            device: `cpu`, `cuda`, `cuda:1`, or `auto`.
            precision: Arithmetic of its convolutions.

        Raises:
            ValueError: The device does not exist on this machine.
        """
        self.device = _device(device)
        self._half = precision == "bfloat16"
        self.detector = detector.eval().to(self.device).to(memory_format=torch.channels_last)

    def __call__(self, images: Float[Tensor, "batch 3 height width"], *, top_k: int, min_score: float) -> Detections:
        """Find the faces of RGB pictures in [0, 1]."""
        with torch.inference_mode():
            moved = images.to(self.device, memory_format=torch.channels_last)
            check_image(moved)
            found = self._detect(moved, top_k, min_score)
        return Detections(
            parameters=found.parameters.map(_to_cpu),
            score=_to_cpu(found.score),
            center_px=_to_cpu(found.center_px),
            valid=_to_cpu(found.valid),
            points_px=None if found.points_px is None else _to_cpu(found.points_px),
            point_std_px=None if found.point_std_px is None else _to_cpu(found.point_std_px),
        )

    def _detect(self, images: Tensor, top_k: int, min_score: float) -> Detections:
        """`FaceDetector.detect` with its convolutions in the engine's precision."""
        detector = self.detector
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
            features = detector.features(images)
            logits = detector.center_head(features.fused)
        centers = detector.centers(logits, top_k=top_k, min_score=min_score)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
            channels = detector.channels_at(features, centers.cell)[-1]
        size_hw = (images.shape[2], images.shape[3])
        parameters = parameters_from_cells(channels.float(), centers.xy_px, size_hw, detector.config.layout)
        found = Detections(parameters, centers.score, centers.xy_px, centers.valid)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
            return detector.look_closer(images, found, min_score=min_score)


def _to_cpu(tensor: Tensor) -> Tensor:
    """An ordinary CPU tensor, outside inference mode."""
    return tensor.detach().cpu().clone()


def _device(name: str) -> torch.device:
    """A device that is there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device must be auto, cpu or cuda[:index], got {name!r}") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device must be on this machine, got {name!r} of {torch.cuda.device_count()} GPUs; try cpu")
    return device
