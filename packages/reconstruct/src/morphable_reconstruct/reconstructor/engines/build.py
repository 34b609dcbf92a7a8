"""From weights and options to a running engine."""

import os
from pathlib import Path

from morphable import InferenceDefaults, MorphableModel, check_model, read_weights
from morphable_detector_head import FaceDetector, load_official
from morphable_detector_head.layout import ParameterLayout
from morphable_detector_head.weights import detector_from
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.engines.base import Engine
from morphable_reconstruct.reconstructor.engines.torch_engine import TorchEngine
from morphable_reconstruct.reconstructor.weights import file_sha256, find_weights

OFFICIAL_SUFFIXES = frozenset({".pth", ".pt"})
"""Files taken for the official WM3DR checkpoint."""
GRAPH_SUFFIXES = frozenset({".onnx", ".xml"})
"""Files taken for exported graphs."""


def build_engine(
    weights: str | os.PathLike[str], model: MorphableModel, config: ReconstructConfig
) -> tuple[Engine, InferenceDefaults]:
    """Load weights for a face model into the engine of the configuration."""
    path = find_weights(weights)
    if path.suffix in GRAPH_SUFFIXES:
        from morphable_reconstruct.reconstructor.engines.exported import load_graph

        return load_graph(path, config, model), InferenceDefaults()
    detector, defaults = load_detector(path, model)
    if not config.face_head:
        detector.face_head = None
    if config.engine == "torch":
        return TorchEngine(detector, config.device, config.precision), defaults
    from morphable_reconstruct.reconstructor.engines.exported import build_exported

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
    return detector_from(info, state, path), info.inference


def _check_sizes(layout: ParameterLayout, model: MorphableModel) -> None:
    """Refuse a face model with other numbers of coefficients: the official checkpoint names no model."""
    expected = (layout.num_identity, layout.num_expression, layout.num_albedo)
    given = (model.num_identity, model.num_expression, model.num_albedo)
    if expected != given or model.name == "open":
        raise ValueError(
            f"model must be BFM 2009 with {expected} coefficients for the official checkpoint, got {model.name} "
            f"with {given}; convert yours with `morphable convert bfm09` and pass it as model"
        )
