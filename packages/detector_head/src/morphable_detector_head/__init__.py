"""WM3DR's network: from a picture to face centers and morphable-model parameters in one forward pass."""

from morphable_detector_head.decode import decode_centers
from morphable_detector_head.detector import Detections, DetectorConfig, FaceDetector, build_detector
from morphable_detector_head.official import load_official
from morphable_detector_head.presets import PRESETS
from morphable_detector_head.targets import encode_centers
from morphable_detector_head.weights import load_detector, save_detector

__version__ = "0.1.0"

__all__ = [
    "PRESETS",
    "Detections",
    "DetectorConfig",
    "FaceDetector",
    "build_detector",
    "decode_centers",
    "encode_centers",
    "load_detector",
    "load_official",
    "save_detector",
]
