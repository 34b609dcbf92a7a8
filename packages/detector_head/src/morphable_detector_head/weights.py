"""The detector's own file: safetensors with its configuration as JSON metadata."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .detector import DetectorConfig, FaceDetector, build_detector
from .files import read_state_dict
from .layout import ParameterLayout

FORMAT = "morphable-detector"
FORMAT_VERSION = 1


def save_detector(
    detector: FaceDetector,
    path: Path,
    *,
    dtype: torch.dtype = torch.float16,
    about: dict[str, str] | None = None,
) -> None:
    """Write a detector: weights, running statistics, configuration.

    Args:
        detector: The network.
        path: A `.safetensors` file; replaced in one step.
        dtype: Floating-point type of the stored weights.
        about: More metadata, e.g. `license`, `trained_on`, `recipe`.
    """
    state = {
        name: (value.to(dtype) if value.is_floating_point() else value).cpu().contiguous()
        for name, value in detector.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    metadata = {
        **(about or {}),
        "format": FORMAT,
        "version": str(FORMAT_VERSION),
        "config": json.dumps(asdict(detector.config)),
    }
    temporary = path.with_name(path.name + ".tmp")
    save_file(state, temporary, metadata)
    temporary.replace(path)


def read_about(path: Path) -> dict[str, str]:
    """Read the metadata of a detector file.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is truncated, or not a detector of a format version that this package reads.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; pass the path of a detector's .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path} must be a complete safetensors file, got: {error}; fetch it again") from error
    found = (metadata.get("format"), metadata.get("version"))
    if found != (FORMAT, str(FORMAT_VERSION)):
        raise ValueError(
            f"{path} must be of format {FORMAT} version {FORMAT_VERSION}, got {found[0]} version {found[1]}; "
            "write it with save_detector"
        )
    return metadata


def load_detector(path: Path, *, model_name: str | None = None) -> FaceDetector:
    """Read a detector, in float32 and in evaluation mode.

    Args:
        path: File written by `save_detector`.
        model_name: Morphable model that the caller will decode with; checked if given.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is truncated, of another format, of another morphable model, or its weights do not fit its
            configuration.
    """
    config = _config_from_json(read_about(path)["config"], path)
    if model_name is not None and model_name != config.model_name:
        raise ValueError(
            f"{path} must predict coefficients of the model {model_name!r}, got {config.model_name!r}; "
            "load that morphable model, or other weights"
        )
    detector = build_detector(config)
    own = detector.state_dict()
    state = read_state_dict(path)
    counters = {name: value for name, value in own.items() if name.endswith("num_batches_tracked")}
    state = {**counters, **{name: value.to(own[name].dtype) if name in own else value for name, value in state.items()}}
    try:
        detector.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise ValueError(f"{path} must fit its configuration, got: {reason}; fetch it again") from error
    return detector.eval()


def _config_from_json(text: str, path: Path) -> DetectorConfig:
    """Rebuild the configuration; unknown keys are refused."""
    content = json.loads(text)
    try:
        return DetectorConfig(**{**content, "layout": ParameterLayout(**content["layout"])})
    except (TypeError, KeyError) as error:
        raise ValueError(f"{path} must hold a known configuration, got: {error}; update this package") from error
