"""Networks of others that find faces and their 68 points, loaded from files the user names."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from morphable.extras import import_extra
from morphable.files import refusing
from morphable.geometry import distinct_boxes
from morphable_train.data.labels import NUM_LANDMARKS
from morphable_train.preparation.alignment import build_face_alignment

Picture = UInt8[np.ndarray, "rows cols 3"]
MAX_DISAGREEMENT = 0.12
"""Points found in two successive crops may differ by this part of the face's size; more means there is no sure face."""
OUTSIDE_CROP = 0.5
"""Points may lie outside the crop by this part of its side; further out they are not what is asked of the network."""
MAX_IOU = 0.3
"""Boxes of one face overlap by more than this (intersection over union)."""
_PASSES = 3
_FIRST_SCALE = 1.2
"""The first crop is this much larger than the box a face finder gives."""
_GREY = 128.0
_DETECTOR_PX = 192
_DETECTOR_CELLS = 48


@runtime_checkable
class LandmarkFinder(Protocol):
    """Finds the faces of a picture and their landmarks."""

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return (faces, 68, 2) landmarks in pixels, corner at (0,0).

        No face is an empty array; a face whose points could not be found is NaN, and counted as refused.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class LandmarkModelConfig:
    """How a landmark network wants its input. The defaults are PFLD's."""

    kind: Literal["file", "face-alignment"] = "file"
    """Networks from the two files below, or those of the package face-alignment (extra `face-alignment`)."""
    path: Path | None = None
    """ONNX or tflite file of a fixed input size with 68 points (x, y) out, as shares of the crop from its top-left
    corner: 0 to 1 inside it; not used by face-alignment."""
    detector: Path | None = None
    """BlazeFace full-range tflite file that finds the faces of pictures without landmarks; of face-alignment: its
    S3FD file, downloaded if not given."""
    device: str = "cpu"
    """Where face-alignment runs."""
    colors: Literal["rgb", "bgr"] = "bgr"
    """Order of the color channels."""
    divisor: float = 255.0
    """Pixel values are divided by this ..."""
    offset: float = 0.0
    """... after this was subtracted."""
    box_scale: float = 1.1
    """Side of the square crop relative to the longer side of the box of the points."""
    min_score: float = 0.5
    """Faces the finder is less sure of are left out."""


def build_landmark_finder(config: LandmarkModelConfig) -> LandmarkFinder:
    """Load the networks.

    Raises:
        ValueError: A path is missing, not of a known kind, or of a network with another input or output.
        FileNotFoundError: A file does not exist.
        ModuleNotFoundError: A package of an extra is not installed.
    """
    if config.kind == "face-alignment":
        return build_face_alignment(config.device, config.detector)
    if config.path is None or config.detector is None:
        raise ValueError(
            "landmarks.path and landmarks.detector must be given for pictures without landmarks, got "
            f"{config.path} and {config.detector}; name an ONNX or tflite file for each, or pass "
            "--landmarks.kind face-alignment"
        )
    network = load_network(config.path)
    return ModelLandmarks(config, network, FaceBoxes(load_network(config.detector), config.min_score))


class Network:
    """A network of one picture in, some arrays out, whatever runs it."""

    def __init__(self, run: Callable[[np.ndarray], list[np.ndarray]], shape: Sequence[object], path: Path) -> None:
        """Wrap what runs it.

        Args:
            run: From a picture with a batch axis to the outputs.
            shape: The input's, as the file declares it; a free axis is no positive number.
            path: The file, for the error.

        Raises:
            ValueError: The input is no single square picture of a fixed size.
        """
        axes = [size if isinstance(size, int) and size > 0 else None for size in shape]
        self.run = run
        self.channels_first = len(axes) == 4 and axes[1] == 3
        sides = axes[2:] if self.channels_first else axes[1:3]
        size = sides[0] if len(axes) == 4 and axes[0] in (1, None) and 3 in (axes[1], axes[3]) else None
        if size is None or sides != [size, size]:
            raise ValueError(
                f"model must take one square RGB picture of a fixed size, got input {list(shape)} in {path}; "
                "export it with fixed height and width"
            )
        self.size_px = size


def load_network(path: Path) -> Network:
    """Open an ONNX or tflite file.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: It has another suffix or input.
    """
    if not path.is_file():
        raise FileNotFoundError(f"model must be an existing file, got {path}; check the path")
    if path.suffix == ".onnx":
        return _load_onnx(path)
    if path.suffix == ".tflite":
        return _load_tflite(path)
    raise ValueError(f"model must be an .onnx or .tflite file, got {path}")


def _load_onnx(path: Path) -> Network:
    onnxruntime = import_extra("onnxruntime", "morphable-train", "landmarks")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with refusing("model must be a complete ONNX file", path):
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    return Network(lambda batch: list(session.run(None, {entry.name: batch})), entry.shape, path)


def _load_tflite(path: Path) -> Network:
    kind = import_extra("ai_edge_litert.interpreter", "morphable-train", "landmarks").Interpreter
    with refusing("model must be a complete TensorFlow Lite file", path):
        interpreter = kind(str(path), num_threads=1)
        interpreter.allocate_tensors()
    entry, outputs = interpreter.get_input_details()[0], interpreter.get_output_details()

    def run(batch: np.ndarray) -> list[np.ndarray]:
        interpreter.set_tensor(entry["index"], batch)
        interpreter.invoke()
        return [interpreter.get_tensor(output["index"]) for output in outputs]

    return Network(run, [int(size) for size in entry["shape_signature"]], path)


def square_crop(
    image: Picture, center_px: Float[np.ndarray, "2"], side_px: float, size_px: int
) -> Float[np.ndarray, "size size 3"]:
    """Cut and scale a square, black outside the picture; pixel corners map to pixel corners."""
    left, top = center_px - side_px / 2
    window = (float(left), float(top), float(left + side_px), float(top + side_px))
    scale = side_px / size_px
    source = Image.fromarray(image)
    if scale > 1.0:
        source = source.reduce(max(1, int(scale)))
    ratio_x, ratio_y = image.shape[1] / source.width, image.shape[0] / source.height
    quad = (window[0] / ratio_x, window[1] / ratio_y, window[2] / ratio_x, window[3] / ratio_y)
    cut = source.transform((size_px, size_px), Image.Transform.EXTENT, quad, Image.Resampling.BILINEAR)
    return np.asarray(cut, np.float32)


def cut_window(
    picture: UInt8[np.ndarray, "rows cols *channels"], window_px: tuple[float, float, float, float], size_px: int
) -> UInt8[np.ndarray, "size size *channels"]:
    """Cut a window (left, top, right, bottom) of sub-pixel position and scale it to a square without aliasing.

    Raises:
        ValueError: It is larger than Pillow allows a picture to be.
    """
    source = Image.fromarray(picture)
    left, top = int(np.floor(window_px[0])) - 1, int(np.floor(window_px[1])) - 1
    right, bottom = int(np.ceil(window_px[2])) + 1, int(np.ceil(window_px[3])) + 1
    try:
        region = source.crop((left, top, right, bottom))
    except Image.DecompressionBombError as error:
        raise ValueError(f"face is too large: {error}") from error
    box = (window_px[0] - left, window_px[1] - top, window_px[2] - left, window_px[3] - top)
    return np.asarray(region.resize((size_px, size_px), Image.Resampling.BILINEAR, box=box))


class FaceBoxes:
    """BlazeFace full range: one anchor in each of 48 x 48 cells of a 192 px input."""

    def __init__(self, network: Network, min_score: float) -> None:
        if network.channels_first or network.size_px != _DETECTOR_PX:
            raise ValueError(
                f"landmarks.detector must take {_DETECTOR_PX} px with the channels last, got {network.size_px} px; "
                "name the file of BlazeFace full range"
            )
        self._network, self._min_score = network, min_score

    def __call__(self, image: Picture) -> Float[np.ndarray, "faces 4"]:
        """Return boxes (left, top, right, bottom) in pixels, surest first."""
        side = float(max(image.shape[:2]))
        middle = np.array([image.shape[1] / 2, image.shape[0] / 2])
        pixels = square_crop(image, middle, side, _DETECTOR_PX) / 127.5 - 1.0
        first, second = self._network.run(pixels[None].astype(np.float32))[:2]
        values, logits = (first[0], second[0]) if first.shape[-1] > 1 else (second[0], first[0])
        score = 1.0 / (1.0 + np.exp(-np.clip(logits[:, 0], -50, 50)))
        row, col = np.divmod(np.arange(len(values)), _DETECTOR_CELLS)
        anchor = (np.stack([col, row], 1) + 0.5) * (_DETECTOR_PX / _DETECTOR_CELLS)
        center, size = anchor + values[:, :2], values[:, 2:4]
        boxes = np.concatenate([center - size / 2, center + size / 2], 1) * (side / _DETECTOR_PX)
        boxes += np.tile(middle - side / 2, 2)
        order = np.argsort(-score)
        found = boxes[order][score[order] >= self._min_score]
        return found[distinct_boxes(torch.from_numpy(found), MAX_IOU).numpy()].astype(np.float32)


class ModelLandmarks:
    """Face boxes, then a landmark network whose crop follows its own points."""

    def __init__(self, config: LandmarkModelConfig, network: Network, boxes: Callable[[Picture], np.ndarray]) -> None:
        """Try the landmark network on a gray picture.

        Raises:
            ValueError: It does not give 68 points as shares of the crop.
        """
        self._config, self._network, self._boxes = config, network, boxes
        shares = self._shares(np.full((network.size_px, network.size_px, 3), _GREY, np.float32))
        if not _near_crop(shares):
            raise ValueError(
                "landmarks.path must be a network whose points are shares of its crop, 0 to 1, got "
                f"{shares.min():g} to {shares.max():g} on a gray picture; export it with its outputs divided by "
                "the side of its input"
            )

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Find the points of every face; NaN where successive crops do not agree on them."""
        found = [self.fit(image, box) for box in self._boxes(image)]
        return np.array(found, np.float32).reshape(-1, NUM_LANDMARKS, 2)

    def fit(self, image: Picture, box: Float[np.ndarray, "4"]) -> Float[np.ndarray, "68 2"]:
        """Find the points of one face; NaN if they do not settle."""
        unsettled = np.full((NUM_LANDMARKS, 2), np.nan, np.float32)
        center, side = (box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).max()) * _FIRST_SCALE
        points, change = np.zeros((NUM_LANDMARKS, 2), np.float32), np.inf
        for _ in range(_PASSES):
            before = points
            shares = self._shares(square_crop(image, center, side, self._network.size_px))
            if not _near_crop(shares):
                return unsettled
            points = (shares * side + center - side / 2).astype(np.float32)
            low, high = points.min(0), points.max(0)
            center, side = (low + high) / 2, float((high - low).max()) * self._config.box_scale
            change = float(np.linalg.norm(points - before, axis=1).mean()) / max(side, 1.0)
        return points if change <= MAX_DISAGREEMENT else unsettled

    def _shares(self, crop: Float[np.ndarray, "size size 3"]) -> Float[np.ndarray, "68 2"]:
        """One pass of the network: points in sides of the crop."""
        config = self._config
        pixels = (crop - config.offset) / config.divisor
        pixels = pixels[..., ::-1] if config.colors == "bgr" else pixels
        batch = pixels.transpose(2, 0, 1) if self._network.channels_first else pixels
        output = self._network.run(np.ascontiguousarray(batch[None], np.float32))[0].reshape(-1)
        if output.size != 2 * NUM_LANDMARKS:
            raise ValueError(f"landmarks.path must be a network of 68 points, got {output.size} numbers out")
        return output.reshape(NUM_LANDMARKS, 2)


def _near_crop(shares: Float[np.ndarray, "68 2"]) -> bool:
    """Whether all points are finite and in the crop or little outside."""
    return bool((np.abs(shares - 0.5) <= 0.5 + OUTSIDE_CROP).all())
