"""From weights and options to a running engine."""

import hashlib
import os
from pathlib import Path
from typing import Any

from morphable import MorphableModel
from morphable_detector_head import DetectorConfig, FaceDetector, ParameterLayout, build_detector, load_official
from morphable_reconstruct.config import ReconstructConfig
from morphable_reconstruct.engines.base import Engine
from morphable_reconstruct.engines.torch_engine import TorchEngine
from morphable_reconstruct.weights import InferenceDefaults, WeightsInfo, check_model, find_weights, read_weights

OFFICIAL_SUFFIXES = frozenset({".pth", ".pt"})
"""Files taken for the official WM3DR checkpoint."""
_COUNTER = "num_batches_tracked"
"""Batch normalisation's training counters, which inference does not need and averaged weights may lack."""
GRAPH_SUFFIXES = frozenset({".onnx", ".xml"})
"""Files taken for exported graphs."""


def build_engine(
    weights: str | os.PathLike[str], model: MorphableModel, config: ReconstructConfig
) -> tuple[Engine, InferenceDefaults]:
    """Load weights for a face model into the engine of the configuration."""
    path = find_weights(weights)
    if path.suffix in GRAPH_SUFFIXES:
        from morphable_reconstruct.engines.exported import load_graph

        return load_graph(path, config, model), InferenceDefaults()
    detector, defaults = load_detector(path, model)
    if config.engine == "torch":
        return TorchEngine(detector, config.device), defaults
    from morphable_reconstruct.engines.exported import build_exported

    min_score = defaults.min_score if config.min_score is None else config.min_score
    return build_exported(detector, file_sha256(path), config, min_score), defaults


def load_detector(path: Path, model: MorphableModel) -> tuple[FaceDetector, InferenceDefaults]:
    """Read a weights file, or the official WM3DR checkpoint, and check that it belongs to the face model.

    Raises:
        ValueError: It is damaged, of another version, or does not belong to the model.
    """
    if path.suffix in OFFICIAL_SUFFIXES:
        detector = load_official(path)
        _check_sizes(detector.config.layout, model)
        return detector, InferenceDefaults()
    info, state = read_weights(path)
    check_model(info, model)
    detector = build_detector(detector_config(info))
    counters = {name: value for name, value in detector.state_dict().items() if name.endswith(_COUNTER)}
    try:
        detector.load_state_dict(counters | state, strict=True)
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


def file_sha256(path: Path) -> str:
    """Hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_sizes(layout: ParameterLayout, model: MorphableModel) -> None:
    """Refuse a face model with other numbers of coefficients: the official checkpoint names no model."""
    expected = (layout.num_identity, layout.num_expression, layout.num_albedo)
    given = (model.num_identity, model.num_expression, model.num_albedo)
    if expected != given or model.name == "open":
        raise ValueError(
            f"model must be BFM 2009 with {expected} coefficients for the official checkpoint, got {model.name} "
            f"with {given}; convert yours with `morphable convert bfm09` and pass it as model"
        )
