"""Exported detectors under ONNX Runtime and OpenVINO, with the detector's own interface."""

from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from morphable.extras import import_extra
from morphable.files import refusing

from .detector import Detections, check_image
from .export import DISTRIBUTION, FACE_HEAD_OUTPUTS, INPUT_NAME, OUTPUT_NAMES, detections_from_outputs


class OnnxDetector:
    """A detector in ONNX Runtime, on the CPU."""

    def __init__(self, path: Path, *, num_threads: int = 0) -> None:
        """Load a file of `export_onnx` or `quantize_onnx`.

        Args:
            path: The `.onnx` file.
            num_threads: Threads of one run; all cores if 0.
        """
        onnxruntime: Any = import_extra("onnxruntime", DISTRIBUTION, "onnx")
        _check_file(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        with refusing("model must be a complete ONNX file", path, next_step="export it again"):
            self._session: Any = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._outputs = _output_names([output.name for output in self._session.get_outputs()], path)

    def detect(self, image: Float[Tensor, "batch 3 height width"]) -> Detections:
        """Find the faces of pictures; see `FaceDetector.detect`."""
        check_image(image)
        outputs = self._session.run(list(self._outputs), {INPUT_NAME: image.detach().cpu().float().numpy()})
        return detections_from_outputs([torch.from_numpy(output) for output in outputs])


class OpenvinoDetector:
    """A detector in OpenVINO, on the CPU; int8 layers of a quantized file stay int8."""

    def __init__(self, path: Path, *, num_threads: int = 0, precision: Literal["f32", "bf16"] = "f32") -> None:
        """Load a file of `export_openvino`, `quantize_openvino` or `export_onnx`.

        Args:
            path: The `.xml` or `.onnx` file.
            num_threads: Threads of one run; OpenVINO's choice if 0.
            precision: Arithmetic of the floating-point layers. Left to itself OpenVINO takes bf16 where the
                processor has it.
        """
        openvino: Any = import_extra("openvino", DISTRIBUTION, "openvino")
        _check_file(path)
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        if num_threads:
            settings["INFERENCE_NUM_THREADS"] = num_threads
        with refusing("model must be complete", path, next_step="export it again"):
            self._model: Any = openvino.compile_model(openvino.Core().read_model(path), "CPU", settings)
        self._outputs = _output_names([name for output in self._model.outputs for name in output.get_names()], path)

    def detect(self, image: Float[Tensor, "batch 3 height width"]) -> Detections:
        """Find the faces of pictures; see `FaceDetector.detect`."""
        check_image(image)
        results = self._model({INPUT_NAME: image.detach().cpu().float().contiguous().numpy()})
        outputs = [torch.from_numpy(results[name].copy()) for name in self._outputs]
        return detections_from_outputs(outputs)


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; write it with `export_onnx`")


def _output_names(names: list[str], path: Path) -> tuple[str, ...]:
    """Return the outputs that a graph has, of a face head too; refuse a graph that lacks others."""
    missing = [name for name in OUTPUT_NAMES if name not in names]
    if missing:
        raise ValueError(
            f"{path} must have the outputs {', '.join(OUTPUT_NAMES)}, got none named {missing[0]}; "
            "write it with `export_onnx`"
        )
    return OUTPUT_NAMES + tuple(name for name in FACE_HEAD_OUTPUTS if name in names)
