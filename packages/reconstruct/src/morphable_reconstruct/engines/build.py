"""From weights and options to a running engine."""

import os
from pathlib import Path
from typing import Any

from morphable import MorphableModel
from morphable_detector_head import DetectorConfig, FaceDetector, ParameterLayout, build_detector
from morphable_reconstruct.config import ReconstructConfig
from morphable_reconstruct.engines.base import Engine
from morphable_reconstruct.engines.torch_engine import TorchEngine
from morphable_reconstruct.weights import InferenceDefaults, WeightsInfo, check_model, find_weights, read_weights


def build_engine(
    weights: str | os.PathLike[str], model: MorphableModel, config: ReconstructConfig
) -> tuple[Engine, InferenceDefaults]:
    """Load weights for a face model into the engine of the configuration."""
    path = find_weights(weights)
    detector, defaults = load_detector(path, model)
    if config.engine == "torch":
        return TorchEngine(detector, config.device), defaults
    raise NotImplementedError(config.engine)


def load_detector(path: Path, model: MorphableModel) -> tuple[FaceDetector, InferenceDefaults]:
    """Read a weights file, or the official WM3DR checkpoint, and check that it belongs to the face model."""
    info, state = read_weights(path)
    check_model(info, model)
    detector = build_detector(detector_config(info))
    try:
        detector.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ValueError(
            f"weights must fit the network they describe, got {path}: {reason}; "
            "install the version of morphable-detector-head they were made with"
        ) from error
    return detector.eval(), info.inference


def detector_config(info: WeightsInfo) -> DetectorConfig:
    """Rebuild the detector's configuration, refusing fields this version does not know.

    Raises:
        ValueError: A field is unknown or out of range.
    """
    fields: dict[str, Any] = dict(info.architecture)
    try:
        layout = ParameterLayout(**fields.pop("layout", {}))
        return DetectorConfig(layout=layout, **fields)
    except TypeError as error:
        raise ValueError(
            f"weights must describe a network this version knows, got {error}; upgrade morphable-detector-head"
        ) from error
