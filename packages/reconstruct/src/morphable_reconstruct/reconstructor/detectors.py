"""From weights and options to a running detector, with the graph that goes with the weights where one is needed."""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from morphable import InferenceDefaults, MorphableModel, check_model, read_weights
from morphable.extras import import_extra
from morphable_detector_head import DetectorConfig, FaceDetector, load_official
from morphable_detector_head.engines import Detector, OnnxDetector, OpenvinoDetector, TorchDetector
from morphable_detector_head.export import config_json, export_onnx
from morphable_detector_head.layout import ParameterLayout
from morphable_detector_head.weights import detector_config, detector_from
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.weights import BUNDLED_FOLDER, find_weights

OFFICIAL_SUFFIXES = frozenset({".pth", ".pt"})
"""Files taken for the official WM3DR checkpoint."""
GRAPH_SUFFIXES = frozenset({".onnx", ".xml"})
"""Files taken for exported graphs."""
GRAPH_FOLDER = BUNDLED_FOLDER / "graphs"
"""Graphs without weights, one for each configuration of a network (`packages/reconstruct/tools/build_graphs.py`)."""
_GRAPH_VERSION = 2
"""Changes with every change of what a graph computes for a configuration."""
_PROBE_HW = (256, 256)
"""Size of the noise that shows what a given graph predicts."""
_OPENVINO_HINTS: dict[str, Literal["f32", "bf16"]] = {"float32": "f32", "bfloat16": "bf16"}


def build_detector(
    weights: str | os.PathLike[str], model: MorphableModel, config: ReconstructConfig
) -> tuple[Detector, InferenceDefaults]:
    """Load weights for a face model into the engine of the configuration.

    Raises:
        FileNotFoundError: There are no such weights.
        ImportError: The engine is not installed.
        ValueError: The weights are damaged, of another version or for another face model, or the engine can't run them
            as the configuration says.
    """
    path = find_weights(weights)
    if path.suffix in GRAPH_SUFFIXES:
        return _given_graph(path, model, config), InferenceDefaults()
    if path.suffix in OFFICIAL_SUFFIXES:
        official = load_official(path)
        _check_sizes(official.config.layout, model)
        network, state, defaults = official.config, official.state_dict(), InferenceDefaults()
    else:
        info, state = read_weights(path)
        check_model(info, model)
        network, defaults = detector_config(info, path), info.inference
    if not config.face_head:
        network = replace(network, face_head=None)
        state = {name: tensor for name, tensor in state.items() if not name.startswith("face_head.")}
    graph = find_graph(network)
    engine = _chosen_engine(config, graph)
    if engine == "torch":
        return TorchDetector(detector_from(network, state, path), config.device, config.precision), defaults
    _check_cpu(engine, config)
    if graph is None:
        graph = _exported(detector_from(network, state, path), engine)
    return _open(engine, graph, config, state), defaults


def find_graph(network: DetectorConfig) -> Path | None:
    """Return the graph without weights of a network's configuration: a bundled one, or one that was exported."""
    places = (GRAPH_FOLDER / graph_name(network), cache_folder() / graph_name(network))
    return next((path for path in places if path.is_file()), None)


def graph_name(network: DetectorConfig) -> str:
    """Return the file name of the graph without weights of a configuration."""
    return f"{hashlib.sha256(config_json(network).encode()).hexdigest()[:16]}-v{_GRAPH_VERSION}.onnx"


def cache_folder() -> Path:
    """Return the folder that keeps exported graphs: `$XDG_CACHE_HOME/morphable`, by default `~/.cache/morphable`.

    A user without a home folder, as containers have them, gets a folder of the temporary ones.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "morphable"
    try:
        return Path.home() / ".cache" / "morphable"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"morphable-{os.getuid()}"


def _chosen_engine(config: ReconstructConfig, graph: Path | None) -> str:
    """Choose where `auto` leaves the choice: a GPU, or else ONNX Runtime, or else PyTorch."""
    if config.engine != "auto":
        return config.engine
    on_cpu = config.device == "cpu" or (config.device == "auto" and not torch.cuda.is_available())
    exact = config.precision == "float32"
    return "onnxruntime" if on_cpu and exact and graph and find_spec("onnxruntime") else "torch"


def _open(
    engine: str, path: Path, config: ReconstructConfig, state: Mapping[str, Tensor] | None
) -> OnnxDetector | OpenvinoDetector:
    """Load a graph into an engine, with as many threads as PyTorch has."""
    import_extra(engine, "morphable-reconstruct", engine)
    threads = torch.get_num_threads()
    if engine == "onnxruntime":
        return OnnxDetector(path, state=state, num_threads=threads)
    hint = _OPENVINO_HINTS[config.precision]
    return OpenvinoDetector(path, state=state, num_threads=threads, precision=hint)


def _exported(detector: FaceDetector, engine: str) -> Path:
    """Export the graph of a network once and keep it."""
    import_extra("onnxscript", "morphable-reconstruct", "openvino" if engine == "openvino" else "export")
    path = cache_folder() / graph_name(detector.config)
    path.parent.mkdir(parents=True, exist_ok=True)
    export_onnx(detector, path, with_weights=False)
    return path


def _given_graph(path: Path, model: MorphableModel, config: ReconstructConfig) -> Detector:
    """Take a graph of `morphable_detector_head`'s export or quantization, e.g. in int8, as it is."""
    if config.engine == "torch":
        raise ValueError(f"engine must be onnxruntime or openvino for {path.name}, got torch; set engine")
    by_suffix = "openvino" if path.suffix == ".xml" else "onnxruntime"
    engine = by_suffix if config.engine == "auto" else config.engine
    _check_cpu(engine, config)
    detector = _open(engine, path, config, None)
    face = detector.detect(torch.rand(1, 3, *_PROBE_HW), top_k=1, min_score=0.0).parameters
    given = (face.identity.shape[-1], face.expression.shape[-1], face.albedo.shape[-1])
    expected = (model.num_identity, model.num_expression, model.num_albedo)
    if given != expected:
        raise ValueError(
            f"model must have the graph's {given} coefficients, got {model.name} with {expected}; "
            "pass the model the graph was exported with"
        )
    return detector


def _check_cpu(engine: str, config: ReconstructConfig) -> None:
    """Refuse what exported graphs can't do: they run on the CPU only, and ONNX Runtime has no bfloat16 there."""
    if engine == "onnxruntime" and config.precision != "float32":
        raise ValueError(f"precision must be float32 with the engine onnxruntime, got {config.precision}; try openvino")
    if config.device not in ("auto", "cpu"):
        raise ValueError(f"device must be cpu with the engine {engine}, got {config.device!r}; take the torch engine")


def _check_sizes(layout: ParameterLayout, model: MorphableModel) -> None:
    """Refuse a face model with other numbers of coefficients: the official checkpoint names no model."""
    expected = (layout.num_identity, layout.num_expression, layout.num_albedo)
    given = (model.num_identity, model.num_expression, model.num_albedo)
    if expected != given or model.name == "open":
        raise ValueError(
            f"model must be BFM 2009 with {expected} coefficients for the official checkpoint, got {model.name} "
            f"with {given}; convert yours with `morphable convert bfm09` and pass it as model"
        )
