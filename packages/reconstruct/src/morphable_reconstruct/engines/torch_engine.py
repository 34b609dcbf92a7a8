"""The network in PyTorch, on CPU or GPU."""

import torch
from jaxtyping import Float
from torch import Tensor

from morphable_detector_head import Detections, FaceDetector


class TorchEngine:
    """Runs a detector on one device, in float32."""

    def __init__(self, detector: FaceDetector, device: str = "auto") -> None:
        """Move the detector to a device.

        Raises:
            ValueError: The device does not exist on this machine.
        """
        self.device = _device(device)
        self.detector = detector.eval().to(self.device).to(memory_format=torch.channels_last)

    def __call__(self, images: Float[Tensor, "batch 3 height width"], *, top_k: int, min_score: float) -> Detections:
        """Find the faces of RGB pictures in [0, 1]."""
        with torch.inference_mode():
            moved = images.to(self.device, memory_format=torch.channels_last)
            found = self.detector.detect(moved, top_k, min_score=min_score)
        return Detections(
            parameters=found.parameters.map(_to_cpu),
            score=_to_cpu(found.score),
            center_px=_to_cpu(found.center_px),
            valid=_to_cpu(found.valid),
        )


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
