"""What runs a detector: PyTorch, ONNX Runtime or OpenVINO, behind one call."""

import re
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from morphable import FaceParameters
from morphable.extras import import_extra
from morphable.files import refusing

from .cells import parameters_from_cells
from .detector import DEFAULT_MIN_SCORE, DEFAULT_TOP_K, Detections, FaceDetector, check_image, look_closer
from .export import (
    DISTRIBUTION,
    FACE_HEAD_OUTPUTS,
    HEAD_PREFIX,
    INPUT_NAMES,
    OUTPUT_NAMES,
    PREFIX,
    WEIGHTS_LOCATION,
)
from .face_head.crops import CropFrames, cut_crops
from .face_head.network import FaceHead


@runtime_checkable
class Detector(Protocol):
    """Finds the faces of pictures of one size; safe to call from several threads."""

    def detect(self, images: Float[Tensor, "batch 3 height width"], *, top_k: int, min_score: float) -> Detections:
        """Find faces.

        Args:
            images: RGB in [0, 1], sides multiples of 32 pixels, on the CPU, as is the result.
            top_k: Most faces per picture.
            min_score: Probability that a face must exceed to be valid.

        Raises:
            ValueError: The images have another shape, type or size.
        """
        ...


class TorchDetector:
    """A detector in PyTorch on one device; decoding stays in float32, whatever the network's precision."""

    def __init__(
        self, detector: FaceDetector, device: str = "auto", precision: Literal["float32", "bfloat16"] = "float32"
    ) -> None:
        """Move the network to a device.

        Args:
            detector: The network.
            device: `cpu`, `cuda`, `cuda:1`, or `auto`, which takes a GPU where PyTorch sees one.
            precision: Arithmetic of its convolutions.

        Raises:
            ValueError: The device does not exist on this machine.
        """
        self.device = _device(device)
        self.network = detector.eval().to(self.device).to(memory_format=torch.channels_last)
        self._half = precision == "bfloat16"

    def detect(
        self,
        images: Float[Tensor, "batch 3 height width"],
        *,
        top_k: int = DEFAULT_TOP_K,
        min_score: float = DEFAULT_MIN_SCORE,
    ) -> Detections:
        """Find the faces of pictures; see `Detector.detect`."""
        check_image(images)
        with torch.inference_mode():
            if self.device.type == "cpu":
                found = _joined([self._detect(image[None], top_k, min_score) for image in images])
            else:
                found = self._detect(images, top_k, min_score)
        return found.map(_to_cpu)

    def _detect(self, images: Tensor, top_k: int, min_score: float) -> Detections:
        """`FaceDetector.detect` with its convolutions in the engine's precision."""
        moved = images.to(self.device, memory_format=torch.channels_last)
        if not self._half:
            return self.network.detect_unchecked(moved, top_k, min_score)
        network = self.network
        with torch.autocast(self.device.type, torch.bfloat16):
            features = network.features(moved)
            logits = network.center_head(features.fused)
        centers = network.centers(logits, top_k=top_k, min_score=min_score)
        with torch.autocast(self.device.type, torch.bfloat16):
            channels = network.channels_at(features, centers.cell)[-1]
        size_hw = (moved.shape[2], moved.shape[3])
        parameters = parameters_from_cells(channels.float(), centers.xy_px, size_hw, network.config.layout)
        found = Detections(parameters, centers.score, centers.xy_px, centers.valid)
        with torch.autocast(self.device.type, torch.bfloat16):
            return network.look_closer(moved, found, min_score=min_score)


class OnnxDetector:
    """A detector in ONNX Runtime, on the CPU."""

    def __init__(self, path: Path, *, state: Mapping[str, Tensor] | None = None, num_threads: int = 0) -> None:
        """Load a file of `export_onnx` or `quantize_onnx`.

        Args:
            path: The `.onnx` file.
            state: The weights by name, as a weights file holds them, for a graph without weights.
            num_threads: Threads of one run; all cores if 0.

        Raises:
            FileNotFoundError: There is no such file.
            ModuleNotFoundError: ONNX Runtime is not installed.
            ValueError: The file is damaged, is no exported detector, or the weights are not those it needs.
        """
        self._session = onnx_session(path, state=state, prefix=PREFIX, num_threads=num_threads)
        self._inputs = {entry.name for entry in self._session.get_inputs()}
        self._outputs = _output_names(self._inputs, [entry.name for entry in self._session.get_outputs()], path)

    def detect(
        self,
        images: Float[Tensor, "batch 3 height width"],
        *,
        top_k: int = DEFAULT_TOP_K,
        min_score: float = DEFAULT_MIN_SCORE,
    ) -> Detections:
        """Find the faces of pictures; see `Detector.detect`."""
        check_image(images)
        found = []
        for feed in feeds(images, top_k, min_score, self._inputs):
            outputs = self._session.run(self._outputs, feed)
            found.append(_limited([torch.from_numpy(array) for array in outputs], top_k, min_score))
        return _joined(found)


class OpenvinoDetector:
    """A detector in OpenVINO, on the CPU; int8 layers of a quantized file stay int8."""

    def __init__(
        self,
        path: Path,
        *,
        state: Mapping[str, Tensor] | None = None,
        num_threads: int = 0,
        precision: Literal["f32", "bf16"] = "f32",
    ) -> None:
        """Load a file of `export_openvino`, `quantize_openvino` or `export_onnx`.

        Args:
            path: The `.xml` or `.onnx` file.
            state: The weights by name, as a weights file holds them, for an `.onnx` graph without weights.
            num_threads: Threads of one run; OpenVINO's choice if 0.
            precision: Arithmetic of the floating-point layers. Left to itself OpenVINO takes bf16 where the
                processor has it.

        Raises:
            FileNotFoundError: There is no such file.
            ModuleNotFoundError: OpenVINO is not installed.
            ValueError: The file is damaged or is no exported detector.
        """
        self._model = openvino_model(path, state=state, prefix=PREFIX, num_threads=num_threads, precision=precision)
        inputs, outputs = (
            [name for port in ports for name in port.get_names()] for ports in (self._model.inputs, self._model.outputs)
        )
        self._inputs, self._outputs = set(inputs), _output_names(set(inputs), outputs, path)
        self._one_at_a_time = threading.Lock()

    def detect(
        self,
        images: Float[Tensor, "batch 3 height width"],
        *,
        top_k: int = DEFAULT_TOP_K,
        min_score: float = DEFAULT_MIN_SCORE,
    ) -> Detections:
        """Find the faces of pictures; see `Detector.detect`."""
        check_image(images)
        found = []
        for feed in feeds(images, top_k, min_score, self._inputs):
            with self._one_at_a_time:
                results = self._model(feed)
                outputs = [torch.from_numpy(results[name].copy()) for name in self._outputs]
            found.append(_limited(outputs, top_k, min_score))
        return _joined(found)


class CloserDetector:
    """A detector without a face head, and a face head that looks at crops of what the detector finds.

    Both halves are graphs of one engine; PyTorch cuts the crops between them, several times faster than ONNX Runtime.
    """

    def __init__(self, detector: Detector, head: FaceHead, channels: "HeadRun") -> None:
        """Put the halves together.

        Args:
            detector: Finds faces.
            head: Gives the channels their meaning.
            channels: Computes the channels of crops, as `onnx_head` and `openvino_head` do.
        """
        self._detector, self._head, self._run = detector, head, channels

    def detect(
        self,
        images: Float[Tensor, "batch 3 height width"],
        *,
        top_k: int = DEFAULT_TOP_K,
        min_score: float = DEFAULT_MIN_SCORE,
    ) -> Detections:
        """Find the faces of pictures; see `Detector.detect`."""
        check_image(images)
        return _joined([self._detect(image[None], top_k, min_score) for image in images])

    @torch.no_grad()
    def _detect(self, image: Tensor, top_k: int, min_score: float) -> Detections:
        """Find the faces of one picture."""
        least = min(min_score, self._head.config.min_center_score)
        found = self._detector.detect(image, top_k=top_k, min_score=least)
        return look_closer(image, found, self._head, min_score=min_score, channels=self._channels)

    def _channels(self, image: Tensor, frames: CropFrames) -> Float[Tensor, "1 top channels"]:
        """Run the head on some crops after the other, so that they stay in the processor's cache."""
        parts = []
        for start in range(0, frames.side_px.shape[1], _CROPS_AT_ONCE):
            rows = slice(start, start + _CROPS_AT_ONCE)
            tensors = {name: value[:, rows] for name, value in vars(frames).items() if isinstance(value, Tensor)}
            part = replace(frames, **tensors)  # type: ignore[arg-type]  # mypy takes a tensor for the focal length
            crops = cut_crops(image, part)[0].contiguous()
            parts.append(torch.from_numpy(self._run(crops.numpy())))
        return torch.cat(parts)[None]


_CROPS_AT_ONCE = 4
HeadRun = Callable[[Float[np.ndarray, "faces 3 crop crop"]], Float[np.ndarray, "faces channels"]]


def onnx_head(path: Path, *, state: Mapping[str, Tensor], num_threads: int = 0) -> HeadRun:
    """Open a graph of `export_face_head` in ONNX Runtime; see `onnx_session`."""
    session = onnx_session(path, state=state, prefix=HEAD_PREFIX, num_threads=num_threads)
    return lambda crops: session.run(None, {"crops": crops})[0]


def openvino_head(
    path: Path, *, state: Mapping[str, Tensor], num_threads: int = 0, precision: Literal["f32", "bf16"] = "f32"
) -> HeadRun:
    """Open a graph of `export_face_head` in OpenVINO; see `openvino_model`."""
    model = openvino_model(path, state=state, prefix=HEAD_PREFIX, num_threads=num_threads, precision=precision)
    one_at_a_time = threading.Lock()

    def run(crops: np.ndarray) -> np.ndarray:
        with one_at_a_time:
            return np.array(model({"crops": crops})["channels"])

    return run


_ERRORS_ONLY = 3
"""ONNX Runtime's level of messages."""


def onnx_session(
    path: Path, *, state: Mapping[str, Tensor] | None = None, prefix: str = "", num_threads: int = 0
) -> Any:
    """Open a graph in ONNX Runtime, on the CPU.

    Args:
        path: The `.onnx` file.
        state: Weights by name, for a graph without weights.
        prefix: What the names of weights in the graph begin with.
        num_threads: Threads of one run; all cores if 0.

    Raises:
        FileNotFoundError: There is no such file.
        ModuleNotFoundError: ONNX Runtime is not installed.
        ValueError: The file is damaged, or the weights are not those it needs.
    """
    onnxruntime: Any = import_extra("onnxruntime", DISTRIBUTION, "onnx")
    _check_file(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.log_severity_level = _ERRORS_ONLY
    # threads that wait must not take the cores from what comes between two pictures
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if state is not None:
        # ONNX Runtime refuses weights that a graph doesn't name, and names nothing before it has them
        named = set(re.findall(re.escape(prefix.encode()) + rb"[\w.]+", path.read_bytes()))
        used = {name: tensor for name, tensor in state.items() if (prefix + name).encode() in named}
        values = {prefix + name: tensor.float().contiguous().numpy() for name, tensor in used.items()}
        wrapped = [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in values.values()]
        options.add_external_initializers(list(values), wrapped)
    with refusing("model must be a complete ONNX file", path, next_step="export it again"):
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def openvino_model(
    path: Path,
    *,
    state: Mapping[str, Tensor] | None = None,
    prefix: str = "",
    num_threads: int = 0,
    precision: Literal["f32", "bf16"] = "f32",
) -> Any:
    """Compile a graph in OpenVINO, for the CPU.

    Args:
        path: The `.xml` or `.onnx` file.
        state: Weights by name, for an `.onnx` graph without weights.
        prefix: What the names of weights in the graph begin with.
        num_threads: Threads of one run; OpenVINO's choice if 0.
        precision: Arithmetic of the floating-point layers.

    Raises:
        FileNotFoundError: There is no such file.
        ModuleNotFoundError: OpenVINO is not installed.
        ValueError: The file is damaged.
    """
    openvino: Any = import_extra("openvino", DISTRIBUTION, "openvino")
    _check_file(path)
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    if num_threads:
        settings["INFERENCE_NUM_THREADS"] = num_threads
    with refusing("model must be complete", path, next_step="export it again"):
        graph = path if state is None else _filled(path, state, prefix)
        return openvino.compile_model(openvino.Core().read_model(graph), "CPU", settings)


def feeds(
    images: Float[Tensor, "batch 3 height width"],
    top_k: int = DEFAULT_TOP_K,
    min_score: float = DEFAULT_MIN_SCORE,
    names: Collection[str] = INPUT_NAMES,
) -> list[dict[str, Any]]:
    """Return the inputs of a graph that it has, one picture each: a processor gains nothing from a batch."""
    limits = (torch.tensor(top_k).numpy(), torch.tensor(min_score).numpy())
    pictures = images.detach().cpu().float().contiguous().numpy()
    whole = [dict(zip(INPUT_NAMES, (picture[None], *limits), strict=True)) for picture in pictures]
    return [{name: value for name, value in feed.items() if name in names} for feed in whole]


def detections_from_outputs(outputs: tuple[Tensor, ...] | list[Tensor]) -> Detections:
    """Name the outputs of an exported graph.

    Args:
        outputs: Tensors in the order of `output_names`, without meshes.
    """
    score, center_px, valid, *face = outputs[: len(OUTPUT_NAMES)]
    points = dict(zip(FACE_HEAD_OUTPUTS, outputs[len(OUTPUT_NAMES) :], strict=False))
    return Detections(FaceParameters(*face), score, center_px, valid, **points)


def _limited(outputs: list[Tensor], top_k: int, min_score: float) -> Detections:
    """Name the outputs of one picture, and apply limits that a graph without them lacks."""
    found = detections_from_outputs([output[:, :top_k] for output in outputs])
    return replace(found, valid=found.valid & (found.score > min_score))


def _joined(found: Sequence[Detections]) -> Detections:
    """Put the faces of pictures into one batch; those of pictures with fewer are padded with zeros."""
    if len(found) == 1:
        return found[0]
    most = max(one.score.shape[1] for one in found)

    def padded(value: Tensor) -> Tensor:
        return torch.cat([value, value.new_zeros(1, most - value.shape[1], *value.shape[2:])], 1)

    rows = [one.map(padded) for one in found]
    tensors = {name: [vars(row)[name] for row in rows] for name, value in vars(rows[0]).items() if value is not None}
    parameters = FaceParameters.concatenate(tensors.pop("parameters"))
    return Detections(parameters, **{name: torch.cat(values) for name, values in tensors.items()})


def _filled(path: Path, state: Mapping[str, Tensor], prefix: str) -> bytes:
    """Return a graph without weights with weights in it."""
    onnx: Any = import_extra("onnx", DISTRIBUTION, "openvino")
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        if any(entry.value == WEIGHTS_LOCATION for entry in tensor.external_data):
            value = state[tensor.name.removeprefix(prefix)].float().numpy()
            tensor.CopyFrom(onnx.numpy_helper.from_array(value, tensor.name))
    content: bytes = model.SerializeToString()
    return content


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; write it with `export_onnx`")


def _output_names(inputs: Collection[str], outputs: Collection[str], path: Path) -> list[str]:
    """Return the outputs that are read, of a face head too; refuse a graph that lacks others or the picture."""
    missing = [name for name in INPUT_NAMES[:1] if name not in inputs]
    missing += [name for name in OUTPUT_NAMES if name not in outputs]
    if missing:
        raise ValueError(
            f"{path} must have the outputs {', '.join(OUTPUT_NAMES)}, got none named {missing[0]}; "
            "write it with `export_onnx`"
        )
    return [*OUTPUT_NAMES, *(name for name in FACE_HEAD_OUTPUTS if name in outputs)]


def _to_cpu(tensor: Tensor) -> Tensor:
    """An ordinary CPU tensor, outside inference mode."""
    return tensor.detach().cpu().clone()


def _device(name: str) -> torch.device:
    """A device that is there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device must be auto, cpu or cuda[:index], got {name!r}") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device must be on this machine, got {name!r} of {torch.cuda.device_count()} GPUs; try cpu")
    return device
