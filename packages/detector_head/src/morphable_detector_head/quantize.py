"""Static int8 quantization for CPUs, calibrated on photographs.

Convolutions become int8. What decides which cell is a face and what its numbers are stays in float32: the
normalization over channels, the last layer of the center head, the decoding, and the parameter head, which costs next
to nothing because it runs at the found cells only.
"""

import ast
import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from morphable.decoding import open_picture
from morphable.extras import import_extra
from morphable.files import atomic_path, refusing

from .engines import feeds
from .export import DISTRIBUTION, save_openvino
from .letterbox import letterbox, network_input

ONNX_TYPES = ("Conv", "Add", "Concat", "Clip", "Relu", "GlobalAveragePool", "MaxPool")
"""ONNX Runtime has no int8 transposed convolution, and its int8 multiplications only cost."""
INT8_SCOPES = ("detector.backbone", "detector.aggregation", "detector.center_head.hidden")
FLOAT_SCOPES = ("detector.aggregation.norm",)
SCOPES_KEY = "pkg.torch.onnx.name_scopes"
"""Where PyTorch's exporter notes the modules that a node comes from."""


def calibration_images(
    folder: Path, *, size_px: int = 512, limit: int = 128
) -> Iterator[Float[np.ndarray, "1 3 side side"]]:
    """Read photographs of a folder as the network's input (`letterbox`), in the order of their names.

    Args:
        folder: Holds `.jpg`, `.jpeg` or `.png` files with faces as they will come.
        size_px: Side of the square inputs, a multiple of 32 pixels.
        limit: At most this many photographs.

    Raises:
        FileNotFoundError: The folder holds none.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    if not paths:
        raise FileNotFoundError(f"{folder} must hold .jpg or .png photographs, got none; pass another folder")
    for path in paths[:limit]:
        with refusing("photograph must be a whole picture", path), open_picture(path) as file:
            pixels = np.array(file.convert("RGB"))
        canvas, _ = letterbox(pixels, size_px, square=True)
        yield network_input(canvas[None]).numpy()


def quantize_onnx(onnx_path: Path, path: Path, images: Iterable[Float[np.ndarray, "batch 3 height width"]]) -> None:
    """Quantize an exported ONNX file for ONNX Runtime (weights per channel, activations 8 bit).

    Args:
        onnx_path: File written by `export_onnx`.
        path: The int8 `.onnx` file.
        images: Pictures for calibration, RGB in [0, 1]; see `calibration_images`.

    Raises:
        ModuleNotFoundError: The extra `onnx` is not installed.
        ValueError: There are no pictures.
    """
    import_extra("onnxruntime", DISTRIBUTION, "onnx")
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    pictures = _listed(images)
    with atomic_path(path) as temporary, tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(onnx_path), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(temporary),
            _reader(pictures),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(ONNX_TYPES),
            nodes_to_exclude=_float_nodes(onnx_path),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"ActivationSymmetric": False, "CalibMovingAverage": True},
        )


def quantize_openvino(onnx_path: Path, path: Path, images: Iterable[Float[np.ndarray, "batch 3 height width"]]) -> None:
    """Quantize an exported ONNX file for OpenVINO (NNCF post-training quantization).

    Args:
        onnx_path: File written by `export_onnx`.
        path: The int8 `.xml` file; the weights lie beside it.
        images: Pictures for calibration, RGB in [0, 1]; see `calibration_images`.

    Raises:
        ModuleNotFoundError: The extra `openvino` is not installed.
        ValueError: There are no pictures.
    """
    nncf: Any = import_extra("nncf", DISTRIBUTION, "openvino")
    openvino: Any = import_extra("openvino", DISTRIBUTION, "openvino")
    pictures = _listed(images)
    model = openvino.convert_model(onnx_path)
    kept = set(_float_nodes(onnx_path))
    names = [operation.get_friendly_name() for operation in model.get_ordered_ops()]
    with _quiet("nncf"):
        quantized = nncf.quantize(
            model,
            nncf.Dataset(pictures, lambda picture: feeds(torch.from_numpy(picture))[0]),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(pictures),
            ignored_scope=nncf.IgnoredScope(names=[name for name in names if name in kept], validate=False),
        )
    save_openvino(quantized, path)


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a library's progress reports out of standard output, warnings excepted."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _float_nodes(onnx_path: Path) -> list[str]:
    """Name the nodes that stay in float32, and their outputs (OpenVINO names operations by either)."""
    import onnx

    names: list[str] = []
    for node in onnx.load(onnx_path).graph.node:
        noted = {entry.key: entry.value for entry in node.metadata_props}.get(SCOPES_KEY, "[]")
        scopes: list[str] = ast.literal_eval(noted)
        in_int8 = any(scope.startswith(INT8_SCOPES) for scope in scopes)
        if not in_int8 or any(scope.startswith(FLOAT_SCOPES) for scope in scopes):
            names += [node.name, *node.output]
    return names


def _listed(images: Iterable[np.ndarray]) -> list[np.ndarray]:
    pictures = list(images)
    if not pictures:
        raise ValueError("images must hold at least one picture, got none; pass some tens for calibration")
    return pictures


def _reader(pictures: list[np.ndarray]) -> Any:
    """Wrap pictures as ONNX Runtime's calibrator reads them."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # untyped base
        def __init__(self) -> None:
            self.remaining = iter(pictures)

        def get_next(self) -> dict[str, np.ndarray] | None:
            picture = next(self.remaining, None)
            return None if picture is None else feeds(torch.from_numpy(picture))[0]

    return Reader()
