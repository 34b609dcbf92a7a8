"""The weights file of networks that predict a face model's coefficients (docs/weights_file.md).

One safetensors file: the network's tensors, and metadata that names the network, the face model and the license.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from morphable.files import atomic_path, refusing
from morphable.model import MorphableModel
from morphable.records import Json, build_record, parse_object

FORMAT = "morphable-weights"
FORMAT_VERSION = "1"
_HASHED_BUFFERS = ("mean", "identity_basis", "expression_basis", "mean_albedo", "albedo_basis", "triangles")
_REQUIRED = {"format", "format_version", "name", "architecture", "model", "license", "training_data"}
POINT_STD_FACTOR = 1.37
"""The factor of weights that give none: that of `mobile` in November 2026 (`benchmarks/point_spread.py`). A network
trained on synthetic people expects smaller errors than photographs, and the people who marked their points, give."""
_OPTIONAL = {"inference", "results"}
_LENGTH_BYTES = 8
"""Size of the number at the beginning of a safetensors file, which is the length of the header."""
_OBJECTS = ("architecture", "model", "inference", "results")


@dataclass(frozen=True, kw_only=True)
class ModelReference:
    """The face model whose coefficients a network predicts.

    >>> morphable.reference_to(model).num_identity
    80
    """

    name: str
    sha256: str
    """`model_sha256` of it."""
    num_identity: int
    num_expression: int
    num_albedo: int


@dataclass(frozen=True, kw_only=True)
class InferenceDefaults:
    """Settings the weights were validated with.

    >>> morphable.InferenceDefaults(size_px=640).min_score
    0.5
    """

    size_px: int = 512
    """Long side of the network's input."""
    min_score: float = 0.5
    """Detections below this probability are dropped."""
    point_std_factor: float = POINT_STD_FACTOR
    """Factor on the standard deviations that the network expects of its points, fitted to photographs."""


@dataclass(frozen=True, kw_only=True)
class WeightsInfo:
    """Everything of a weights file but the tensors.

    >>> info = morphable.WeightsInfo(
    ...     name="mine",
    ...     architecture={"width": 8},
    ...     model=morphable.reference_to(model),
    ...     license="CC0-1.0",
    ...     training_data="none",
    ... )
    >>> info.inference.size_px
    512
    """

    name: str
    """Shown to the user."""
    architecture: dict[str, Json]
    """Fields of the network's configuration; `network` names it, absent for the detector."""
    model: ModelReference
    license: str
    """License of the weights."""
    training_data: str
    """What the network saw, in one line."""
    inference: InferenceDefaults = field(default_factory=InferenceDefaults)
    results: dict[str, Json] = field(default_factory=dict)
    """Measured numbers, for the model card."""


def model_sha256(model: MorphableModel) -> str:
    """Hash the numbers of a face model, independent of the file they came from.

    >>> len(morphable.model_sha256(model))
    64
    """
    digest = hashlib.sha256()
    for name in _HASHED_BUFFERS:
        array = getattr(model, name).detach().cpu().numpy()
        dtype = "<i4" if array.dtype.kind == "i" else "<f2"
        digest.update(f"{name}{list(array.shape)}".encode())
        digest.update(np.ascontiguousarray(array.astype(dtype)).tobytes())
    return digest.hexdigest()


def reference_to(model: MorphableModel) -> ModelReference:
    """Describe a face model for a weights file.

    >>> morphable.reference_to(model).name == model.name
    True
    """
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

    >>> info = morphable.WeightsInfo(
    ...     name="mine", architecture={}, model=morphable.reference_to(model), license="CC0-1.0", training_data="none"
    ... )
    >>> morphable.check_model(info, model)
    """
    expected, given = info.model, reference_to(model)
    if expected.sha256 == given.sha256:
        return
    step = "install the version of morphable they were made with, or pass the right model"
    if expected.name != given.name:
        step = f"reconstruct with {expected.name!r}, then bring the faces of its .npz into yours: `morphable fit`"
    raise ValueError(
        f'model must be the one the weights "{info.name}" were trained with ({_shown(expected)}), '
        f"got {_shown(given)}; {step}"
    )


def read_weights(path: str | PathLike[str]) -> tuple[WeightsInfo, dict[str, Tensor]]:
    """Read a weights file; floating tensors come back as float32.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Not a weights file, damaged, or of another format version.

    >>> info = morphable.WeightsInfo(
    ...     name="mine", architecture={}, model=morphable.reference_to(model), license="CC0-1.0", training_data="none"
    ... )
    >>> morphable.write_weights(folder / "w.safetensors", info, {"weight": torch.ones(2)})
    >>> morphable.read_weights(folder / "w.safetensors")[1]["weight"]
    tensor([1., 1.])
    """
    return _read(path, with_tensors=True)


def read_weights_info(path: str | PathLike[str]) -> WeightsInfo:
    """Read the description in a weights file, without its tensors; raises as `read_weights` does.

    >>> info = morphable.WeightsInfo(
    ...     name="mine", architecture={}, model=morphable.reference_to(model), license="CC0-1.0", training_data="none"
    ... )
    >>> morphable.write_weights(folder / "w.safetensors", info, {"weight": torch.ones(2)})
    >>> morphable.read_weights_info(folder / "w.safetensors").name
    'mine'
    """
    return _read(path, with_tensors=False)[0]


def write_weights(
    path: str | PathLike[str], info: WeightsInfo, state: Mapping[str, Tensor], *, dtype: torch.dtype = torch.float16
) -> None:
    """Write a weights file; it is whole or absent.

    Args:
        path: The file, `.safetensors` by custom.
        info: The description to store.
        state: The network's `state_dict()`.
        dtype: Type that floating-point tensors are stored in.

    >>> info = morphable.WeightsInfo(
    ...     name="mine", architecture={}, model=morphable.reference_to(model), license="CC0-1.0", training_data="none"
    ... )
    >>> morphable.write_weights(folder / "w.safetensors", info, {"weight": torch.ones(2)})
    """
    tensors = {name: (t.to(dtype) if t.is_floating_point() else t).contiguous().cpu() for name, t in state.items()}
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
        _sort_metadata(temporary)


def _sort_metadata(path: Path) -> None:
    """Put the metadata of a safetensors file in order, so that the same weights give the same bytes.

    The library writes them in an order that differs from process to process. The header keeps its length.
    """
    with path.open("rb+") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        ordered = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        if len(ordered) <= length:  # letters may be escaped in several ways
            file.seek(_LENGTH_BYTES)
            file.write(ordered.ljust(length))


def _read(path: str | PathLike[str], *, with_tensors: bool) -> tuple[WeightsInfo, dict[str, Tensor]]:
    """Open the file once for both readers."""
    rule = "weights must be a whole safetensors file"
    try:
        with refusing(rule, path, next_step="fetch it again"), safe_open(path, framework="pt") as file:
            info = _parse_metadata(file.metadata() or {}, path)
            names = file.keys() if with_tensors else []
            tensors = {name: file.get_tensor(name) for name in names}
    except FileNotFoundError:
        raise FileNotFoundError(f"weights must be an existing file, got {path}; check the path") from None
    return info, {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}


def _shown(model: ModelReference) -> str:
    """A face model in one line."""
    sizes = f"{model.num_identity}/{model.num_expression}/{model.num_albedo}"
    return f"{model.name} {sizes}, sha256 {model.sha256[:12]}"


def _parse_metadata(metadata: Mapping[str, str], path: str | PathLike[str]) -> WeightsInfo:
    """Check the metadata's keys and turn them into typed fields."""
    if metadata.get("format") != FORMAT:
        raise ValueError(f'weights must be a file of format "{FORMAT}", got {path}; see docs/weights_file.md')
    version = metadata.get("format_version")
    if version != FORMAT_VERSION:
        raise ValueError(
            f"weights must have format version {FORMAT_VERSION}, got {version} in {path}; "
            "install the version of morphable they were made for"
        )
    missing, unknown = _REQUIRED - set(metadata), set(metadata) - _REQUIRED - _OPTIONAL
    if missing or unknown:
        raise ValueError(
            f"weights must have the documented keys, got missing {sorted(missing)}, unknown {sorted(unknown)} in {path}"
        )
    try:
        objects = {name: parse_object(metadata.get(name, "{}"), name) for name in _OBJECTS}
        return WeightsInfo(
            name=metadata["name"],
            architecture=objects["architecture"],
            model=build_record(ModelReference, objects["model"], "model"),
            license=metadata["license"],
            training_data=metadata["training_data"],
            inference=build_record(InferenceDefaults, objects["inference"], "inference"),
            results=objects["results"],
        )
    except ValueError as error:
        raise ValueError(f"weights must have JSON metadata as documented, got {path}: {error}") from error
