"""The model file: safetensors with JSON metadata and a format version (docs/model_file.md)."""

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from morphable.files import atomic_path, refusing
from morphable.geometry import SparseRows, SurfacePoints
from morphable.model_data import PLAIN_TENSORS, SUBDIVISION_PARTS, ModelData

FORMAT = "morphable-model"
FORMAT_VERSION = 1
METADATA_KEY = "morphable"
"""safetensors metadata maps strings to strings; ours is one JSON object under this key."""
TEXTS = ("name", "license", "source", "expression_prior")
REQUIRED = ("mean", "identity_basis", "expression_basis", "mean_albedo", "albedo_basis", "triangles")
BASES = ("identity_basis", "expression_basis", "albedo_basis")
INDEX_TYPES = (torch.uint8, torch.uint16, torch.int32, torch.int64)
"""Indices are stored in the first type that holds them."""
SIGNS = ("identity_flip", "albedo_flip")


def write_model_file(data: ModelData, path: str | PathLike[str], *, half: bool = False) -> None:
    """Write a model file under a temporary name and rename it, so that it is complete or absent.

    Args:
        data: What to write.
        path: File to write or replace.
        half: Store the bases as float16.
    """
    metadata = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "units": "metre",
        **{name: getattr(data, name) for name in TEXTS},
        "expression_names": list(data.expression_names or ()),
        "part_names": list(data.part_names),
        **({"mirror_residual": dict(data.mirror_residual)} if data.mirror_residual else {}),
    }
    tensors = {name: _compact(name, tensor, half) for name, tensor in data.tensors().items()}
    text = json.dumps(metadata, ensure_ascii=False, sort_keys=True)
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={METADATA_KEY: text})


def read_model_file(path: str | PathLike[str]) -> ModelData:
    """Read and check a model file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a complete model file this version can read; names the file and the field.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path must be a model file, got {path}; convert one with `morphable convert`")
    with refusing("path must be a complete safetensors file", path, next_step="copy or convert it again"):
        with safe_open(path, framework="pt") as file:
            metadata = _metadata(file.metadata())
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
        return _assemble(tensors, metadata)


def _metadata(raw: Mapping[str, str] | None) -> dict[str, Any]:
    """Parse and check the JSON metadata."""
    if raw is None or METADATA_KEY not in raw:
        raise ValueError(f"metadata must hold {METADATA_KEY!r}, got a safetensors file of another kind")
    try:
        metadata = json.loads(raw[METADATA_KEY])
    except json.JSONDecodeError as error:
        raise ValueError(f"metadata {METADATA_KEY!r} must be JSON: {error}") from error
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise ValueError(f"metadata field format must be {FORMAT!r}")
    version = metadata.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(f"metadata field format_version must be a positive integer, got {version!r}")
    if version > FORMAT_VERSION:
        raise ValueError(
            f"metadata field format_version must be at most {FORMAT_VERSION}, got {version}; upgrade morphable"
        )
    if metadata.get("units") != "metre":
        raise ValueError(f"metadata field units must be 'metre', got {metadata.get('units')!r}")
    for name in TEXTS:
        if not isinstance(metadata.get(name), str):
            raise ValueError(f"metadata field {name} must be text, got {metadata.get(name)!r}")
    for name in ("expression_names", "part_names"):
        names = metadata.get(name)
        if not isinstance(names, list) or not all(isinstance(entry, str) for entry in names):
            raise ValueError(f"metadata field {name} must be a list of texts, got {names!r}")
    residual = metadata.setdefault("mirror_residual", {})
    if not isinstance(residual, dict) or not all(isinstance(share, float | int) for share in residual.values()):
        raise ValueError(f"metadata field mirror_residual must map names to numbers, got {residual!r}")
    return metadata


def _assemble(tensors: dict[str, Tensor], metadata: dict[str, Any]) -> ModelData:
    """Turn named tensors into the data they describe, refusing unknown and missing names."""
    missing = [name for name in REQUIRED if name not in tensors]
    if missing:
        raise ValueError(f"tensors must include {', '.join(missing)}")
    left = {name: _widen(name, tensor) for name, tensor in tensors.items()}
    plain = {name: left.pop(name) for name in PLAIN_TENSORS if name in left}
    rows = [left.pop(f"subdivision.{part}") for part in SUBDIVISION_PARTS if f"subdivision.{part}" in left]
    if rows and len(rows) != len(SUBDIVISION_PARTS):
        raise ValueError(f"subdivision must have all of {', '.join(SUBDIVISION_PARTS)}")
    points = {}
    for name in [name.removesuffix(".triangle") for name in left if name.endswith(".triangle")]:
        if f"{name}.barycentric" not in left:
            raise ValueError(f"tensors must include {name}.barycentric")
        points[name] = SurfacePoints(left.pop(f"{name}.triangle"), left.pop(f"{name}.barycentric"))
    contour = points.pop("contour", None)
    regions = {name: left.pop(name) for name in list(left) if name.startswith("regions.")}
    unknown = [*left, *(name for name in points if not name.startswith("landmarks."))]
    if unknown:
        raise ValueError(f"tensors must be of format version {FORMAT_VERSION}, got unknown {', '.join(unknown)}")
    return ModelData(
        **{name: metadata[name] for name in TEXTS},
        expression_names=tuple(metadata["expression_names"]) or None,
        part_names=tuple(metadata["part_names"]),
        mirror_residual=metadata["mirror_residual"],
        subdivision=SparseRows(*rows) if rows else None,
        landmarks={name.removeprefix("landmarks."): value for name, value in points.items()},
        contour=contour,
        regions={name.removeprefix("regions."): mask.bool() for name, mask in regions.items()},
        **plain,  # type: ignore[arg-type]
    )


def _widen(name: str, tensor: Tensor) -> Tensor:
    """Bring a stored tensor to the type it is used in."""
    wants_index = _is_index(name) and not _is_matrix(name, tensor)
    if wants_index and tensor.is_floating_point():
        raise ValueError(f"{name} must hold integers, got {tensor.dtype}")
    if wants_index:
        return tensor.long()
    if name.startswith("regions."):
        return tensor
    if tensor.is_complex() or not (tensor.is_floating_point() or name in SIGNS):
        raise ValueError(f"{name} must hold floating-point numbers, got {tensor.dtype}")
    return tensor.to(torch.float64 if tensor.dtype == torch.float64 else torch.float32)


def _is_index(name: str) -> bool:
    """Whether a tensor of the file holds indices."""
    indices = ("triangles", "uv_triangles", "part_labels", "mirror_vertices", "expression_flip")
    return name in indices or name.endswith((".triangle", ".crow", ".col"))


def _is_matrix(name: str, tensor: Tensor) -> bool:
    """Whether a flip is stored as a matrix."""
    return name in (*SIGNS, "expression_flip") and tensor.ndim == 2


def _compact(name: str, tensor: Tensor, half: bool) -> Tensor:
    """Bring a tensor to the type it is stored in, on the CPU."""
    tensor = tensor.detach().cpu().contiguous()
    if _is_index(name) and not _is_matrix(name, tensor):
        largest = int(tensor.max()) if tensor.numel() else 0
        return tensor.to(next(kind for kind in INDEX_TYPES if largest <= torch.iinfo(kind).max))
    if name.startswith("regions."):
        return tensor.to(torch.uint8)
    if name in SIGNS and not _is_matrix(name, tensor):
        return tensor.to(torch.int8)
    return tensor.half() if half and name in BASES else tensor
