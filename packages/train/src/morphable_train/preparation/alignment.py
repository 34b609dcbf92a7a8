"""Landmarks by the package face-alignment (FAN, Bulat and Tzimiropoulos, ICCV 2017), where it is installed."""

import inspect
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from morphable.extras import import_extra
from morphable_train.data.labels import NUM_LANDMARKS

NETWORK_FILES = "2DFAN4-11f355bf06.pth.tar (version 1.5) or 2DFAN4-cd938726ad.zip (1.4)"
"""What face-alignment looks for in `$TORCH_HOME/hub/checkpoints` before it downloads."""


class FaceAlignmentFinder:
    """Finds faces and their 68 contour points with FAN's 2D network.

    Its positions agree with the pixel-corner convention to half a pixel: it rounds its crops to whole pixels.
    """

    def __init__(self, network: Any) -> None:
        """Wrap a `face_alignment.FaceAlignment`, or anything with its `get_landmarks_from_image`."""
        self._network = network

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return (faces, 68, 2) landmarks in pixels; no face is an empty array."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of pictures without a face
            found = self._network.get_landmarks_from_image(np.ascontiguousarray(image))
        points = np.array([] if found is None else found, np.float32)
        if points.size % (2 * NUM_LANDMARKS):
            raise ValueError(f"face-alignment must give 68 points of two coordinates, got shape {points.shape}")
        return points.reshape(-1, NUM_LANDMARKS, 2)


def build_face_alignment(device: str, detector: Path | None) -> FaceAlignmentFinder:
    """Load face-alignment's networks; it downloads those it does not find.

    Args:
        device: Where they run.
        detector: Local file of its face detector (S3FD); its own copy or download if not given.

    Raises:
        ModuleNotFoundError: The extra `face-alignment` is not installed.
        FileNotFoundError: The detector's file does not exist.
        OSError: A download failed.
    """
    package = import_extra("face_alignment", "morphable-train", "face-alignment")
    if detector is not None and not detector.is_file():
        raise FileNotFoundError(f"landmarks.detector must be an existing file, got {detector}; check the path")
    options = _options(package.FaceAlignment, device, detector)
    try:
        network = package.FaceAlignment(package.LandmarksType.TWO_D, **options)
    except OSError as error:
        raise OSError(
            f"face-alignment's weights could not be fetched ({error}); put {NETWORK_FILES} into "
            "$TORCH_HOME/hub/checkpoints and pass landmarks.detector"
        ) from error
    return FaceAlignmentFinder(network)


def _options(constructor: Any, device: str, detector: Path | None) -> dict[str, Any]:
    """Return the options of a `FaceAlignment`: version 1.5 compiles its networks by default, 1.4 can't."""
    options: dict[str, Any] = {"device": device, "flip_input": False}
    if "compile" in inspect.signature(constructor).parameters:
        options["compile"] = False
    if detector is not None:
        options["face_detector_kwargs"] = {"path_to_detector": str(detector)}
    return options
