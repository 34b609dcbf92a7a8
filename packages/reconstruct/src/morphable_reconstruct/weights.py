"""The weights file (docs/weights_file.md): safetensors tensors with checked JSON metadata."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from morphable import MorphableModel
from morphable_reconstruct.exports.atomic import atomic_path

FORMAT = "morphable-weights"
FORMAT_VERSION = "1"
BUNDLED_FOLDER = Path(__file__).parent / "weights"
BUNDLED_NAMES = ("mobile", "mobile-research")
_HASHED_BUFFERS = ("mean", "identity_basis", "expression_basis", "mean_albedo", "albedo_basis", "triangles")
_Record = TypeVar("_Record")
_REQUIRED = {"format", "format_version", "name", "architecture", "model", "license", "training_data"}
_OPTIONAL = {"inference", "results"}


@dataclass(frozen=True, kw_only=True)
class ModelReference:
    """The face model whose coefficients the network predicts."""

    name: str
    sha256: str
    num_identity: int
    num_expression: int
    num_albedo: int


@dataclass(frozen=True, kw_only=True)
class InferenceDefaults:
    """Settings the weights were validated with."""

    size_px: int = 512
    """Long side of the network's input."""
    min_score: float = 0.5
    """Detections below this probability are dropped."""


@dataclass(frozen=True, kw_only=True)
class WeightsInfo:
    """Everything of a weights file but the tensors."""

    name: str
    architecture: dict[str, Any]
    """Fields of the detector's configuration."""
    model: ModelReference
    license: str
    training_data: str
    inference: InferenceDefaults = field(default_factory=InferenceDefaults)
    results: dict[str, Any] = field(default_factory=dict)


def find_weights(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the file of bundled weights by name, or of any weights by path.

    Raises:
        FileNotFoundError: Nothing is there; the message says what to do.
    """
    text = os.fspath(name_or_path)
    if text in BUNDLED_NAMES:
        path = BUNDLED_FOLDER / f"{text}.safetensors"
        if not path.is_file():
            raise FileNotFoundError(
                f'the bundled weights "{text}" are missing from this installation ({path}); '
                "reinstall morphable-reconstruct, or pass the path of a weights file"
            )
        return path
    path = Path(text)
    if not path.is_file():
        names = " or ".join(BUNDLED_NAMES)
        raise FileNotFoundError(f"weights must be {names} or an existing file, got {text}; check the path")
    return path


def read_weights(path: str | os.PathLike[str]) -> tuple[WeightsInfo, dict[str, Tensor]]:
    """Read a weights file; floating tensors come back as float32.

    Raises:
        ValueError: Not a weights file, damaged, or of another format version.
    """
    try:
        with safe_open(os.fspath(path), framework="pt") as file:
            info = _parse_metadata(file.metadata() or {}, path)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"weights must be a whole safetensors file, got {path}: {error}; fetch it again") from error
    return info, {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}


def write_weights(path: str | os.PathLike[str], info: WeightsInfo, state: Mapping[str, Tensor]) -> None:
    """Write a weights file with float16 tensors, atomically."""
    tensors = {name: (t.half() if t.is_floating_point() else t).contiguous().cpu() for name, t in state.items()}
    metadata = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": info.name,
        "architecture": json.dumps(info.architecture),
        "model": json.dumps(asdict(info.model)),
        "license": info.license,
        "training_data": info.training_data,
        "inference": json.dumps(asdict(info.inference)),
        "results": json.dumps(info.results),
    }
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def model_sha256(model: MorphableModel) -> str:
    """Hash the numbers of a face model, independent of the file they came from."""
    digest = hashlib.sha256()
    for name in _HASHED_BUFFERS:
        array = getattr(model, name).detach().cpu().numpy()
        dtype = "<i4" if array.dtype.kind == "i" else "<f2"
        digest.update(f"{name}{list(array.shape)}".encode())
        digest.update(np.ascontiguousarray(array.astype(dtype)).tobytes())
    return digest.hexdigest()


def reference_to(model: MorphableModel) -> ModelReference:
    """Describe a face model for a weights file."""
    return ModelReference(
        name=model.name,
        sha256=model_sha256(model),
        num_identity=model.num_identity,
        num_expression=model.num_expression,
        num_albedo=model.num_albedo,
    )


def check_model(info: WeightsInfo, model: MorphableModel) -> None:
    """Refuse a face model the network was not trained with.

    Raises:
        ValueError: The model's numbers differ from those the weights were trained with.
    """
    expected, given = info.model, reference_to(model)
    if expected.sha256 == given.sha256:
        return
    raise ValueError(
        f'model must be the one the weights "{info.name}" were trained with ({_shown(expected)}), '
        f"got {_shown(given)}; install the matching versions of morphable and morphable-reconstruct, "
        "or pass the right model"
    )


def _shown(model: ModelReference) -> str:
    """A face model in one line."""
    sizes = f"{model.num_identity}/{model.num_expression}/{model.num_albedo}"
    return f"{model.name} {sizes}, sha256 {model.sha256[:12]}"


def _parse_metadata(metadata: dict[str, str], path: str | os.PathLike[str]) -> WeightsInfo:
    """Check the metadata's keys and turn them into typed fields."""
    if metadata.get("format") != FORMAT:
        raise ValueError(f'weights must be a file of format "{FORMAT}", got {path}; see docs/weights_file.md')
    version = metadata.get("format_version")
    if version != FORMAT_VERSION:
        raise ValueError(
            f"weights must have format version {FORMAT_VERSION}, got {version} in {path}; "
            "install the version of morphable-reconstruct they were made for"
        )
    missing, unknown = _REQUIRED - set(metadata), set(metadata) - _REQUIRED - _OPTIONAL
    if missing or unknown:
        raise ValueError(
            f"weights must have the documented keys, got missing {sorted(missing)}, unknown {sorted(unknown)}"
        )
    try:
        return WeightsInfo(
            name=metadata["name"],
            architecture=_json_object(metadata, "architecture"),
            model=_build(ModelReference, _json_object(metadata, "model")),
            license=metadata["license"],
            training_data=metadata["training_data"],
            inference=_build(InferenceDefaults, _json_object(metadata, "inference")),
            results=_json_object(metadata, "results"),
        )
    except (json.JSONDecodeError, TypeError) as error:
        raise ValueError(f"weights must have JSON metadata as documented, got {path}: {error}") from error


def _json_object(metadata: Mapping[str, str], key: str) -> dict[str, Any]:
    """One JSON object of the metadata; an absent optional one is empty."""
    value = json.loads(metadata.get(key, "{}"))
    if not isinstance(value, dict):
        raise TypeError(f"{key} must be a JSON object, got {type(value).__name__}")
    return value


def _build(record: type[_Record], values: dict[str, Any]) -> _Record:
    """Fill a dataclass from JSON, refusing unknown and missing fields by name."""
    names = {item.name for item in fields(record)}  # type: ignore[arg-type]
    if unknown := set(values) - names:
        raise TypeError(f"unknown fields {sorted(unknown)}")
    return record(**values)
