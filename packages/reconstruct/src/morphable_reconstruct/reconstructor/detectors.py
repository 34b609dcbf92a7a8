"""From weights and options to a running detector, with the graph that goes with the weights where one is needed."""

import hashlib
import json
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
from morphable_detector_head import DetectorConfig, load_official
from morphable_detector_head.engines import (
    CloserDetector,
    Detector,
    HeadRun,
    OnnxDetector,
    OpenvinoDetector,
    TorchDetector,
    onnx_head,
    openvino_head,
)
from morphable_detector_head.export import config_json, export_face_head, export_onnx
from morphable_detector_head.layout import ParameterLayout
from morphable_detector_head.weights import (
    FACE_HEAD_PREFIX,
    detector_config,
    detector_from,
    face_head_from,
    face_head_state,
)
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.weights import BUNDLED_FOLDER

OFFICIAL_SUFFIXES = frozenset({".pth", ".pt"})
"""Files taken for the official WM3DR checkpoint."""
GRAPH_SUFFIXES = frozenset({".onnx", ".xml"})
"""Files taken for exported graphs."""
GRAPH_FOLDER = BUNDLED_FOLDER / "graphs"
"""Graphs without weights, of networks and of face heads (`packages/reconstruct/tools/build_graphs.py`)."""
_GRAPH_VERSION = 3
"""Changes with every change of what a graph computes for a configuration."""
_PROBE_HW = (256, 256)
"""Size of the noise that shows what a given graph predicts."""
_OPENVINO_HINTS: dict[str, Literal["f32", "bf16"]] = {"float32": "f32", "bfloat16": "bf16"}


def build_detector(path: Path, model: MorphableModel, config: ReconstructConfig) -> tuple[Detector, InferenceDefaults]:
    """Load the weights in a file for a face model into the engine of the configuration.

    Raises:
        ImportError: The engine is not installed.
        ValueError: The weights are damaged, of another version or for another face model, or the engine can't run them
            as the configuration says.
    """
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
        state = _without_head(state)
    graphs = find_graphs(network, state)
    engine = _chosen_engine(config, bool(graphs))
    if engine == "torch":
        return TorchDetector(detector_from(network, state, path), config.device, config.precision), defaults
    _check_cpu(engine, config)
    if not graphs:
        graphs = _exported(network, state, path, engine)
    if network.face_head is None:
        return _open(engine, graphs[0], config, state), defaults
    head = face_head_from(network, state, path)
    return CloserDetector(
        _open(engine, graphs[0], config, state), head, _open_head(engine, graphs[1], config, state)
    ), defaults


def find_graphs(network: DetectorConfig, state: Mapping[str, Tensor]) -> list[Path]:
    """Return the graphs without weights of a network, bundled or exported earlier; none unless all are there."""
    found = [
        next((folder / name for folder in (GRAPH_FOLDER, cache_folder()) if (folder / name).is_file()), None)
        for name in graph_names(network, state)
    ]
    there = [path for path in found if path is not None]
    return there if len(there) == len(found) else []


def graph_names(network: DetectorConfig, state: Mapping[str, Tensor]) -> list[str]:
    """Return the file names of the graphs without weights of a network: what finds faces, and the face head if any.

    The first depends on the configuration, the second on the names and shapes of the face head's weights.
    """
    names = [f"{_digest(config_json(replace(network, face_head=None)))}-v{_GRAPH_VERSION}.onnx"]
    if network.face_head is not None:
        shapes = sorted((name, list(value.shape)) for name, value in face_head_state(state).items() if value.ndim)
        names.append(f"face-head-{_digest(json.dumps(shapes))}-v{_GRAPH_VERSION}.onnx")
    return names


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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


def _chosen_engine(config: ReconstructConfig, has_graphs: bool) -> str:
    """Choose where `auto` leaves the choice: a GPU, or else ONNX Runtime, or else PyTorch."""
    if config.engine != "auto":
        return config.engine
    on_cpu = config.device == "cpu" or (config.device == "auto" and not torch.cuda.is_available())
    exact = config.precision == "float32"
    return "onnxruntime" if on_cpu and exact and has_graphs and find_spec("onnxruntime") else "torch"


def _open(
    engine: str, path: Path, config: ReconstructConfig, state: Mapping[str, Tensor] | None
) -> OnnxDetector | OpenvinoDetector:
    """Load a graph into an engine, with as many threads as PyTorch has."""
    threads = torch.get_num_threads()
    if engine == "onnxruntime":
        return OnnxDetector(path, state=state, num_threads=threads)
    import_extra("openvino", "morphable-reconstruct", "openvino")
    hint = _OPENVINO_HINTS[config.precision]
    return OpenvinoDetector(path, state=state, num_threads=threads, precision=hint)


def _open_head(engine: str, path: Path, config: ReconstructConfig, state: Mapping[str, Tensor]) -> HeadRun:
    """Load the graph of a face head into an engine."""
    own, threads = face_head_state(state), torch.get_num_threads()
    if engine == "onnxruntime":
        return onnx_head(path, state=own, num_threads=threads)
    return openvino_head(path, state=own, num_threads=threads, precision=_OPENVINO_HINTS[config.precision])


def _exported(network: DetectorConfig, state: Mapping[str, Tensor], path: Path, engine: str) -> list[Path]:
    """Export the graphs of a network once and keep them; `path` is for the errors."""
    import_extra("onnxscript", "morphable-reconstruct", "openvino" if engine == "openvino" else "export")
    return export_graphs(network, state, path, cache_folder())


def export_graphs(network: DetectorConfig, state: Mapping[str, Tensor], path: Path, folder: Path) -> list[Path]:
    """Write the graphs without weights of a network that are not in a folder yet; return all of them.

    Args:
        network: Configuration of the network.
        state: Its weights.
        path: Where they were read, for errors.
        folder: Where the graphs go.
    """
    paths = [folder / name for name in graph_names(network, state)]
    folder.mkdir(parents=True, exist_ok=True)
    if not paths[0].is_file():
        bare = detector_from(replace(network, face_head=None), _without_head(state), path)
        export_onnx(bare, paths[0], with_weights=False)
    if network.face_head is not None and not paths[1].is_file():
        export_face_head(face_head_from(network, state, path), paths[1])
    return paths


def _without_head(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.startswith(FACE_HEAD_PREFIX)}


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
