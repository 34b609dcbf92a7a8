"""The network with its top-K decoding as one graph: torch.export, ONNX, OpenVINO."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from morphable import MorphableModel
from morphable.extras import import_extra
from morphable.files import atomic_path

from .detector import DEFAULT_MIN_SCORE, DEFAULT_TOP_K, SIZE_MULTIPLE_PX, DetectorConfig, FaceDetector
from .face_head.crops import CROP_PX
from .face_head.network import FaceHead
from .mesh_graph import MESH_OUTPUTS, MeshDecoder

if TYPE_CHECKING:
    from torch.export import ExportedProgram

DISTRIBUTION = "morphable-detector-head"
INPUT_NAMES = ("image", "top_k", "min_score")
"""Inputs of exported graphs: pictures, most faces per picture, probability that a face must exceed. The last two are
missing where they were fixed at the export."""
EXPORT_TOP_K = 32
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
MAX_BATCH = 256
MAX_SIDE = 128
"""Largest side of an exported graph's input, in multiples of 32 pixels."""
EXAMPLE_HW = (256, 320)
ONNX_OPSET = 20
CONFIG_KEY = "morphable_detector_config"
WEIGHTS_LOCATION = "weights"
"""Location that a graph without weights names for them: the tensors of a weights file, by name."""
PREFIX, HEAD_PREFIX = "detector.", "head."
"""What the names of weights begin with in the graph of a detector, and in that of a face head alone."""
_KEPT_NOTES = ("pkg.torch.onnx.name_scopes",)
"""What of the exporter's notes on a node stays in the file: quantization reads it."""


class GraphDetector(nn.Module):
    """A detector whose inputs and outputs are tensors; with a face model, meshes as well."""

    def __init__(
        self, detector: FaceDetector, limits: tuple[int, float] | None = None, model: MorphableModel | None = None
    ) -> None:
        super().__init__()
        self.detector, self.limits = detector, limits
        self.mesh = None if model is None else MeshDecoder(model)

    def forward(
        self,
        image: Float[Tensor, "batch 3 height width"],
        top_k: Int[Tensor, ""] | None = None,
        min_score: Float[Tensor, ""] | None = None,
    ) -> tuple[Tensor, ...]:
        """Detect; the results are in the order of `output_names`."""
        most, least = (top_k, min_score) if self.limits is None else self.limits
        assert most is not None
        assert least is not None
        found = self.detector.detect_unchecked(image, most, least)
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


def export_program(
    detector: FaceDetector,
    *,
    limits: tuple[int, float] | None = None,
    size_hw: tuple[int, int] | None = None,
    model: MorphableModel | None = None,
) -> "ExportedProgram":
    """Export with torch.export: any batch, and any size in multiples of 32 pixels.

    Args:
        detector: The network; must be in evaluation mode.
        limits: Fix most faces per picture and the score that a face must exceed; by default they are inputs.
        size_hw: Fix the batch to one and the size to this; dynamic if None.
        model: The face model that the network was trained with, for outputs `MESH_OUTPUTS`.

    Raises:
        ValueError: The network is in training mode.
    """
    if detector.training:
        raise ValueError("detector must be in evaluation mode, got training mode; call detector.eval()")
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    rows, cols = (torch.export.Dim(name, min=2, max=MAX_SIDE) for name in ("height_32", "width_32"))
    names = INPUT_NAMES if limits is None else INPUT_NAMES[:1]
    shapes: dict[str, Any] = {name: {} for name in names}
    if size_hw is None:
        shapes["image"] = {0: batch, 2: SIZE_MULTIPLE_PX * rows, 3: SIZE_MULTIPLE_PX * cols}
    image = torch.zeros(2 if size_hw is None else 1, 3, *(size_hw or EXAMPLE_HW))
    example = (image, torch.tensor(DEFAULT_TOP_K), torch.tensor(DEFAULT_MIN_SCORE))[: len(names)]
    wrapped = GraphDetector(detector, limits, model)
    return torch.export.export(wrapped, example, dynamic_shapes=shapes, strict=False)


def export_onnx(
    detector: FaceDetector,
    path: Path,
    *,
    limits: tuple[int, float] | None = None,
    size_hw: tuple[int, int] | None = None,
    model: MorphableModel | None = None,
    with_weights: bool = True,
) -> None:
    """Write an ONNX file with the outputs `output_names`, and `MESH_OUTPUTS` where it gets a face model.

    Args:
        detector: The network; must be in evaluation mode, on the CPU.
        path: The `.onnx` file; replaced in one step. The configuration is in its metadata.
        limits: Fix most faces per picture and the score that a face must exceed; by default they are inputs.
        size_hw: Fix the batch to one and the size to this; dynamic if None.
        model: The face model that the network was trained with.
        with_weights: Put the weights into the file. A graph without them serves all weights of one configuration.

    Raises:
        ModuleNotFoundError: The extra `onnx` is not installed.
        ValueError: The network is in training mode.
    """
    import_extra("onnxscript", DISTRIBUTION, "onnx")
    write_graph(
        export_program(detector, limits=limits, size_hw=size_hw, model=model),
        path,
        weights={PREFIX + name for name in detector.state_dict()},
        input_names=INPUT_NAMES if limits is None else INPUT_NAMES[:1],
        output_names=(*output_names(detector), *(() if model is None else MESH_OUTPUTS)),
        metadata={CONFIG_KEY: config_json(detector.config)},
        with_weights=with_weights,
    )


class HeadGraph(nn.Module):
    """A face head, its weights under names with `HEAD_PREFIX`."""

    def __init__(self, head: FaceHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, crops: Float[Tensor, "faces 3 crop crop"]) -> Float[Tensor, "faces channels"]:
        """Read crops."""
        return self.head(crops)


def export_face_head(head: FaceHead, path: Path) -> None:
    """Write the graph of a face head alone, without its weights; it serves all weights of the same names and shapes.

    Args:
        head: The face head; must be in evaluation mode, on the CPU.
        path: The `.onnx` file; replaced in one step.

    Raises:
        ModuleNotFoundError: The extra `onnx` is not installed.
    """
    import_extra("onnxscript", DISTRIBUTION, "onnx")
    example = torch.zeros(2, 3, CROP_PX, CROP_PX)
    shapes = {"crops": {0: torch.export.Dim("faces", min=1, max=MAX_BATCH)}}
    write_graph(
        torch.export.export(HeadGraph(head), (example,), dynamic_shapes=shapes, strict=False),
        path,
        weights={HEAD_PREFIX + name for name in head.state_dict()},
        input_names=("crops",),
        output_names=("channels",),
        with_weights=False,
    )


def write_graph(
    program: "ExportedProgram",
    path: Path,
    *,
    weights: set[str],
    input_names: Sequence[str],
    output_names: Sequence[str],
    metadata: Mapping[str, str] | None = None,
    with_weights: bool = True,
) -> None:
    """Write a program of torch.export as an ONNX file, with its weights or with references in their place.

    Args:
        program: The program.
        path: The file; replaced in one step.
        weights: Names of its weights.
        input_names: Names of the inputs.
        output_names: Names of the outputs.
        metadata: Notes in the file.
        with_weights: Whether the file holds the weights.
    """
    onnx_program = torch.onnx.export(
        program,
        dynamo=True,
        opset_version=ONNX_OPSET,
        input_names=list(input_names),
        output_names=list(output_names),
        external_data=False,
        optimize=with_weights,  # constants that the exporter computes from weights would be weights in the graph
        verbose=False,
    )
    assert onnx_program is not None
    _drop_notes(onnx_program.model, _KEPT_NOTES if with_weights else ())
    if not with_weights:
        without_weights(onnx_program.model, weights)
    onnx_program.model.metadata_props.update(metadata or {})
    with atomic_path(path) as temporary:
        onnx_program.save(temporary, external_data=False)


def config_json(config: DetectorConfig) -> str:
    """Return a configuration as it stands in the metadata of a graph."""
    return json.dumps(asdict(config), sort_keys=True)


def _drop_notes(model: Any, kept: tuple[str, ...]) -> None:
    """Drop the exporter's notes on where nodes come from."""
    model.graph.metadata_props.clear()
    for node in model.graph.all_nodes():
        for key in set(node.metadata_props) - set(kept):
            del node.metadata_props[key]


def without_weights(model: Any, names: set[str]) -> None:
    """Replace weights of an ONNX IR model by references to `WEIGHTS_LOCATION`, and simplify the rest of the graph."""
    from onnx_ir import ExternalTensor
    from onnxscript.optimizer import optimize_ir

    graph = model.graph
    weights = [graph.initializers.pop(name) for name in list(graph.initializers) if name in names]
    tensors = [weight.const_value for weight in weights]
    for weight in weights:  # as inputs they are nothing that the optimizer could compute with
        weight.const_value = None
        graph.inputs.append(weight)
    optimize_ir(model)
    for weight, tensor in zip(weights, tensors, strict=True):
        graph.inputs.remove(weight)
        if not weight.uses():
            continue
        kind = {"dtype": tensor.dtype, "shape": tensor.shape, "name": weight.name}
        weight.const_value = ExternalTensor(WEIGHTS_LOCATION, offset=0, length=tensor.nbytes, **kind)
        graph.register_initializer(weight)


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


def save_openvino(model: Any, path: Path) -> None:
    """Write an OpenVINO model's `.xml` and the `.bin` beside it, in float32; an earlier pair stays until both are."""
    import openvino

    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        written = Path(folder) / path.name
        openvino.save_model(model, written, compress_to_fp16=False)
        written.with_suffix(".bin").replace(path.with_suffix(".bin"))
        written.replace(path)
