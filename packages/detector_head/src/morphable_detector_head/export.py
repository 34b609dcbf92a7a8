"""The network with its top-K decoding as one graph: torch.export, ONNX, OpenVINO."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from morphable import FaceParameters, MorphableModel
from morphable.extras import import_extra
from morphable.files import atomic_path

from .detector import DEFAULT_MIN_SCORE, SIZE_MULTIPLE_PX, Detections, FaceDetector
from .mesh_graph import MESH_OUTPUTS, MeshDecoder

if TYPE_CHECKING:
    from torch.export import ExportedProgram

DISTRIBUTION = "morphable-detector-head"
INPUT_NAME = "image"
OUTPUT_NAMES = (
    "score",
    "center_px",
    "valid",
    "identity",
    "expression",
    "albedo",
    "rotation",
    "translation",
    "illumination",
)
"""Outputs of every exported graph, in order: the fields of `Detections`."""
FACE_HEAD_OUTPUTS = ("points_px", "point_std_px")
"""Outputs that follow them where the network has a face head."""
EXPORT_TOP_K = 32
MAX_BATCH = 256
MAX_SIDE = 128
"""Largest side of an exported graph's input, in multiples of 32 pixels."""
EXAMPLE_HW = (256, 320)
ONNX_OPSET = 20
CONFIG_KEY = "morphable_detector_config"


class TopKDetector(nn.Module):
    """A detector whose output is a tuple of tensors with a fixed number of faces; with a face model, meshes as well."""

    def __init__(
        self, detector: FaceDetector, *, top_k: int, min_score: float, model: MorphableModel | None = None
    ) -> None:
        super().__init__()
        self.detector, self.top_k, self.min_score = detector, top_k, min_score
        self.mesh = None if model is None else MeshDecoder(model)

    def forward(self, image: Float[Tensor, "batch 3 height width"]) -> tuple[Tensor, ...]:
        """Detect; the results are in the order of `output_names`."""
        found = self.detector.detect_unchecked(image, self.top_k, self.min_score)
        face = found.parameters
        coefficients = (face.identity, face.expression, face.albedo)
        pose_and_light = (face.rotation_head, face.translation_m, face.illumination)
        located = [getattr(found, name) for name in FACE_HEAD_OUTPUTS]
        points = () if self.detector.face_head is None else tuple(located)
        meshes = () if self.mesh is None else self.mesh(image, face)
        return (found.score, found.center_px, found.valid, *coefficients, *pose_and_light, *points, *meshes)


def output_names(detector: FaceDetector) -> tuple[str, ...]:
    """Return the names of the outputs of a detector's exported graph; `MESH_OUTPUTS` follow where it has a model."""
    return OUTPUT_NAMES if detector.face_head is None else OUTPUT_NAMES + FACE_HEAD_OUTPUTS


def detections_from_outputs(outputs: tuple[Tensor, ...] | list[Tensor]) -> Detections:
    """Name the outputs of an exported graph.

    Args:
        outputs: Tensors in the order of `output_names`, without meshes.
    """
    score, center_px, valid, *face = outputs[: len(OUTPUT_NAMES)]
    points = dict(zip(FACE_HEAD_OUTPUTS, outputs[len(OUTPUT_NAMES) :], strict=False))
    return Detections(FaceParameters(*face), score, center_px, valid, **points)


def export_program(
    detector: FaceDetector,
    *,
    top_k: int = EXPORT_TOP_K,
    min_score: float = DEFAULT_MIN_SCORE,
    model: MorphableModel | None = None,
) -> "ExportedProgram":
    """Export with torch.export: any batch, any size in multiples of 32 pixels with at least `top_k` cells.

    Args:
        detector: The network; must be in evaluation mode.
        top_k: Faces per picture in the output.
        min_score: Probability that a face must exceed to be valid.
        model: The face model that the network was trained with, for outputs `MESH_OUTPUTS`.

    Raises:
        ValueError: The network is in training mode.
    """
    _check_mode(detector)
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    rows, cols = (torch.export.Dim(name, min=2, max=MAX_SIDE) for name in ("height_32", "width_32"))
    shapes = {INPUT_NAME: {0: batch, 2: SIZE_MULTIPLE_PX * rows, 3: SIZE_MULTIPLE_PX * cols}}
    example = torch.zeros(2, 3, *EXAMPLE_HW, device=detector.mean.device)
    wrapped = TopKDetector(detector, top_k=top_k, min_score=min_score, model=model)
    return torch.export.export(wrapped, (example,), dynamic_shapes=shapes, strict=False)


def export_onnx(
    detector: FaceDetector,
    path: Path,
    *,
    top_k: int = EXPORT_TOP_K,
    min_score: float = DEFAULT_MIN_SCORE,
    size_hw: tuple[int, int] | None = None,
    model: MorphableModel | None = None,
) -> None:
    """Write an ONNX file with the outputs `output_names`, and `MESH_OUTPUTS` where it gets a face model.

    Args:
        detector: The network; must be in evaluation mode.
        path: The `.onnx` file; replaced in one step. The configuration is in its metadata.
        top_k: Faces per picture in the output.
        min_score: Probability that a face must exceed to be valid.
        size_hw: Fix the batch to one and the size to this; dynamic if None.
        model: The face model that the network was trained with.

    Raises:
        ModuleNotFoundError: The extra `onnx` is not installed.
        ValueError: The network is in training mode.
    """
    import_extra("onnxscript", DISTRIBUTION, "onnx")
    if size_hw is None:
        program = export_program(detector, top_k=top_k, min_score=min_score, model=model)
    else:
        _check_mode(detector)
        wrapped = TopKDetector(detector, top_k=top_k, min_score=min_score, model=model)
        program = torch.export.export(wrapped, (torch.zeros(1, 3, *size_hw),), strict=False)
    onnx_program = torch.onnx.export(
        program,
        dynamo=True,
        opset_version=ONNX_OPSET,
        input_names=[INPUT_NAME],
        output_names=[*output_names(detector), *(() if model is None else MESH_OUTPUTS)],
        external_data=False,
        verbose=False,
    )
    assert onnx_program is not None
    onnx_program.model.metadata_props[CONFIG_KEY] = json.dumps(asdict(detector.config))
    with atomic_path(path) as temporary:
        onnx_program.save(temporary, external_data=False)


def export_openvino(onnx_path: Path, path: Path) -> None:
    """Convert an exported ONNX file to OpenVINO's `.xml` and `.bin`, in float32.

    Args:
        onnx_path: File written by `export_onnx`.
        path: The `.xml` file; the weights lie beside it.

    Raises:
        ModuleNotFoundError: The extra `openvino` is not installed.
    """
    openvino = import_extra("openvino", DISTRIBUTION, "openvino")
    save_openvino(openvino.convert_model(onnx_path), path)


def _check_mode(detector: FaceDetector) -> None:
    if detector.training:
        raise ValueError("detector must be in evaluation mode, got training mode; call detector.eval()")


def save_openvino(model: Any, path: Path) -> None:
    """Write an OpenVINO model's `.xml` and the `.bin` beside it, in float32; an earlier pair stays until both are."""
    import openvino

    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        written = Path(folder) / path.name
        openvino.save_model(model, written, compress_to_fp16=False)
        written.with_suffix(".bin").replace(path.with_suffix(".bin"))
        written.replace(path)
