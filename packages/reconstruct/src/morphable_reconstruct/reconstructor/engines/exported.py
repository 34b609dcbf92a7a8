"""The network under onnxruntime or OpenVINO, from a graph exported once and kept."""

import math
import os
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from morphable import MorphableModel
from morphable.extras import import_extra
from morphable_detector_head import Detections, FaceDetector
from morphable_detector_head.engines import OnnxDetector, OpenvinoDetector
from morphable_detector_head.export import export_onnx
from morphable_reconstruct.reconstructor.config import SIZE_STEP_PX, Precision, ReconstructConfig

_CELL_AREA_PX = 64
_GRAPH_VERSION = 1
_PROBE_HW = (512, 512)
"""Size of the empty picture that tells what a given graph predicts."""
_OPENVINO_HINTS: dict[str, Literal["f32", "bf16"]] = {"float32": "f32", "bfloat16": "bf16"}


class ExportedEngine:
    """Runs an exported graph on the CPU; the number of faces and the threshold are part of the graph."""

    def __init__(self, engine: str, path: Path, *, top_k: int, precision: Precision = "float32") -> None:
        self._detector = _open(engine, path, precision)
        self._top_k = top_k
        # onnxruntime's sessions may be shared by threads, OpenVINO's request may not
        self._lock = threading.Lock() if engine == "openvino" else None

    def __call__(self, images: Float[Tensor, "batch 3 height width"], *, top_k: int, min_score: float) -> Detections:
        """Find the faces of RGB pictures in [0, 1].

        Raises:
            ValueError: The input has fewer cells than the graph gives faces.
        """
        height, width = images.shape[2:]
        if height * width // _CELL_AREA_PX < self._top_k:
            raise ValueError(
                f"size_px must give at least {self._top_k} cells of 8x8 pixels with this engine, got {height}x{width}; "
                "raise size_px or lower max_faces"
            )
        if self._lock is None:
            found = self._detector.detect(images)
        else:
            with self._lock:
                found = self._detector.detect(images)
        return replace(found, valid=found.valid & (found.score > min_score))


def _open(engine: str, path: Path, precision: Precision) -> Any:
    """Load a graph into an engine."""
    if engine == "onnxruntime":
        return OnnxDetector(path)
    return OpenvinoDetector(path, precision=_OPENVINO_HINTS[precision])


def load_graph(path: Path, config: ReconstructConfig, model: MorphableModel) -> ExportedEngine:
    """Take a graph of `morphable_detector_head`'s export or quantization, e.g. in int8, as it is.

    Raises:
        ImportError: The engine is not installed.
        ValueError: The engine is torch, or the graph belongs to another face model.
    """
    if config.engine == "torch":
        raise ValueError(f"engine must be onnxruntime or openvino for {path.name}, got torch; set engine")
    _check_cpu(config)
    import_extra(config.engine, "morphable-reconstruct", config.engine)
    engine = ExportedEngine(config.engine, path, top_k=1)
    found = engine(torch.zeros(1, 3, *_PROBE_HW), top_k=1, min_score=0.0)
    face = found.parameters
    given = (face.identity.shape[-1], face.expression.shape[-1], face.albedo.shape[-1])
    expected = (model.num_identity, model.num_expression, model.num_albedo)
    if given != expected:
        raise ValueError(
            f"model must have the graph's {given} coefficients, got {model.name} with {expected}; "
            "pass the model the graph was exported with"
        )
    top_k = found.score.shape[1]
    if config.size_px is not None and config.size_px**2 // _CELL_AREA_PX < top_k:
        needed = math.ceil(math.sqrt(top_k * _CELL_AREA_PX) / SIZE_STEP_PX) * SIZE_STEP_PX
        raise ValueError(
            f"size_px must be at least {needed} with {path.name}, which gives {top_k} faces, got {config.size_px}"
        )
    return ExportedEngine(config.engine, path, top_k=top_k, precision=config.precision)


def _check_cpu(config: ReconstructConfig) -> None:
    """Exported graphs run on the CPU only, and ONNX Runtime has no bfloat16 there."""
    if config.engine == "onnxruntime" and config.precision != "float32":
        raise ValueError(f"precision must be float32 with the engine onnxruntime, got {config.precision}; try openvino")
    if config.device not in ("auto", "cpu"):
        raise ValueError(
            f"device must be cpu with the engine {config.engine}, got {config.device!r}; take the torch engine"
        )


def build_exported(
    detector: FaceDetector, weights_sha256: str, config: ReconstructConfig, min_score: float
) -> ExportedEngine:
    """Export a detector, or take the graph an earlier run has exported from the same weights and options.

    Raises:
        ImportError: The engine is not installed.
        ValueError: Another device than the CPU was asked for.
    """
    _check_cpu(config)
    import_extra(config.engine, "morphable-reconstruct", config.engine)
    max_faces = config.max_faces
    if config.size_px is not None:  # a picture as narrow as they come has this many cells
        max_faces = min(max_faces, config.size_px * SIZE_STEP_PX // _CELL_AREA_PX)
    passes = "" if config.face_head else "-single-shot"
    name = f"{weights_sha256[:32]}-{max_faces}-{min_score:g}{passes}-v{_GRAPH_VERSION}.onnx"
    path = cache_folder() / name
    if not path.is_file():
        import_extra("onnxscript", "morphable-reconstruct", config.engine)
        path.parent.mkdir(parents=True, exist_ok=True)
        export_onnx(detector, path, top_k=max_faces, min_score=min_score)
    return ExportedEngine(config.engine, path, top_k=max_faces, precision=config.precision)


def cache_folder() -> Path:
    """Where exported graphs are kept: `$XDG_CACHE_HOME/morphable`, by default `~/.cache/morphable`.

    A user without a home folder, as containers have them, gets a folder of the temporary ones.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "morphable"
    try:
        return Path.home() / ".cache" / "morphable"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"morphable-{os.getuid()}"
