"""The detector in a weights file (docs/weights_file.md): its configuration is the file's `architecture`."""

from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import entry_points
from os import PathLike, fspath
from pathlib import Path

import torch
from torch import Tensor

from morphable import (
    InferenceDefaults,
    MorphableModel,
    WeightsInfo,
    check_model,
    read_weights,
    reference_to,
    write_weights,
)
from morphable.files import refusing
from morphable.records import build_record

from .detector import DetectorConfig, FaceDetector, build_detector
from .face_head.network import FaceHead, build_face_head

FACE_HEAD_PREFIX = "face_head."
_COUNTER = "num_batches_tracked"
"""Batch normalization's training counters, which inference does not need and averaged weights lack."""

_MUST_FIT = "weights must fit the network they describe"
_NEXT_STEP = "install the version of morphable-detector-head they were made with"

BUNDLED_WEIGHTS = "morphable.weights"
"""Entry points of this group name folders with weights files; `morphable-reconstruct` has one."""


def find_weights(name_or_path: str | PathLike[str]) -> Path:
    """Return a weights file by its path, or one that an installed distribution brings by its name (`mobile`).

    Raises:
        FileNotFoundError: There is neither.
    """
    text = fspath(name_or_path)
    if Path(text).is_file():
        return Path(text)
    bundled = {
        file.stem: file for entry in entry_points(group=BUNDLED_WEIGHTS) for file in entry.load().glob("*.safetensors")
    }
    if text not in bundled:
        names = "".join(f", or {name}" for name in sorted(bundled))
        raise FileNotFoundError(f"weights must be an existing file{names}, got {text}; check the path")
    return bundled[text]


def save_detector(
    detector: FaceDetector,
    path: str | PathLike[str],
    model: MorphableModel,
    *,
    name: str,
    license: str,  # noqa: A002  (the metadata's own word)
    training_data: str,
    inference: InferenceDefaults | None = None,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a detector: weights, running statistics, configuration, and the face model it belongs to.

    Args:
        detector: The network.
        path: A `.safetensors` file; replaced in one step.
        model: The face model whose coefficients it predicts.
        name: Shown to the user.
        license: Of the weights.
        training_data: What the network saw, in one line.
        inference: Settings it was validated with.
        dtype: Type that floating-point tensors are stored in.

    >>> from morphable_detector_head import DetectorConfig, build_detector
    >>> detector = build_detector(DetectorConfig(backbone="mobilenet_v2", width=8, center_width=8, parameter_width=16))
    >>> save_detector(detector, folder / "w.safetensors", model, name="mine", license="CC0-1.0", training_data="none")
    """
    info = WeightsInfo(
        name=name,
        architecture=asdict(detector.config),
        model=reference_to(model),
        license=license,
        training_data=training_data,
        inference=inference or InferenceDefaults(),
    )
    state = {key: value for key, value in detector.state_dict().items() if not key.endswith(_COUNTER)}
    write_weights(path, info, state, dtype=dtype)


def load_detector(path: str | PathLike[str], model: MorphableModel | None = None) -> FaceDetector:
    """Read a detector, in float32 and in evaluation mode.

    Args:
        path: File written by `save_detector` or `morphable-train package`.
        model: Face model that the caller will decode with; checked if given.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is damaged, of another format or network, of another face model, or its weights do not fit its
            configuration.

    >>> from morphable_detector_head import DetectorConfig, build_detector
    >>> detector = build_detector(DetectorConfig(backbone="mobilenet_v2", width=8, center_width=8, parameter_width=16))
    >>> save_detector(detector, folder / "w.safetensors", model, name="mine", license="CC0-1.0", training_data="none")
    >>> load_detector(folder / "w.safetensors", model).config.width
    8
    """
    info, state = read_weights(path)
    if model is not None:
        check_model(info, model)
    return detector_from(detector_config(info, path), state, path)


def detector_from(config: DetectorConfig, state: Mapping[str, Tensor], path: str | PathLike[str]) -> FaceDetector:
    """Build the detector of a weights file that was read; `path` is for the errors."""
    with refusing(_MUST_FIT, path, next_step=_NEXT_STEP):
        with torch.device("meta"):  # a damaged configuration may describe a network that no memory holds
            skeleton = build_detector(config)
        counters = {key: value for key, value in skeleton.state_dict().items() if key.endswith(_COUNTER)}
        skeleton.load_state_dict(counters | dict(state), assign=True)
    detector = build_detector(config)
    detector.load_state_dict(state, strict=False)  # all but the counters
    return detector.eval()


def face_head_from(config: DetectorConfig, state: Mapping[str, Tensor], path: str | PathLike[str]) -> FaceHead:
    """Build the face head alone of a weights file with one; `path` is for the errors.

    Without the device `meta`, whose first use imports PyTorch's compiler.
    """
    shape, layout, own = config.face_head, config.layout, face_head_state(state)
    assert shape is not None
    sizes = {"num_identity": layout.num_identity, "num_expression": layout.num_expression}
    with refusing(_MUST_FIT, path, next_step=_NEXT_STEP):
        largest = max((side for value in own.values() for side in value.shape), default=0)
        if max(shape.width, *sizes.values()) > largest:
            raise ValueError(f"no tensor of the face head has more than {largest} rows or columns")
        head = build_face_head(shape, **sizes)
        counters = {key: value for key, value in head.state_dict().items() if key.endswith(_COUNTER)}
        head.load_state_dict(counters | own)
    return head.eval()


def face_head_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of the face head in a weights file, under the names that it gives them."""
    prefix = FACE_HEAD_PREFIX
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def detector_config(info: WeightsInfo, path: str | PathLike[str]) -> DetectorConfig:
    """Return the configuration in a weights file; `path` is for the errors.

    Raises:
        ValueError: The file is of another network, or has fields of a later version.
    """
    if "network" in info.architecture:
        raise ValueError(f"weights must be a detector's, got those of {info.architecture['network']} in {path}")
    try:
        return build_record(DetectorConfig, info.architecture, "architecture")
    except ValueError as error:
        raise ValueError(
            f"weights must describe a network this version knows, got {error} in {path}; "
            "upgrade morphable-detector-head"
        ) from error
