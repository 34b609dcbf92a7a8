"""ICT-FaceKit (Li et al., CVPR 2020, MIT license): a folder of Wavefront meshes."""

import json
import re
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from morphable.files import reader, refusing
from morphable.importers.assemble import neutral_albedo, tiled_uv, vertex_points, with_contour
from morphable.importers.mirror import with_mirror
from morphable.importers.wavefront import read_obj, read_obj_vertices
from morphable.model_data import ModelData

METERS_PER_UNIT = 0.01
NEUTRAL = "generic_neutral_mesh"
INDICES = "vertex_indices.json"


@reader("folder must be ICT-FaceKit's")
def import_ict(folder: str | PathLike[str]) -> ModelData:
    """Read ICT-FaceKit's `FaceXModel` folder, complete or in part.

    The modes found are used: `identity000`, `identity001`, ... and the expressions that `vertex_indices.json` names;
    files may be `.obj` or `.obj.gz`. Identity coefficients are standard normal, expressions activations.

    Args:
        folder: The folder.

    Raises:
        FileNotFoundError: If the neutral mesh or the index file is missing.
        ValueError: If a file is damaged or does not share the neutral mesh's topology.
    """
    folder = Path(folder)
    neutral = read_obj(_require(folder, NEUTRAL))
    indices = _read_indices(folder / INDICES)
    meshes = {_stem(path): path for path in sorted(folder.iterdir()) if re.search(r"\.obj(\.gz)?$", path.name)}
    identities = [name for name in meshes if re.fullmatch(r"identity\d+", name)]
    expressions = [name for name in indices["expressions"] if name in meshes]
    mean = torch.from_numpy(neutral.vertices * METERS_PER_UNIT).float()
    center = mean.mean(0)
    triangles = torch.from_numpy(neutral.triangles)
    mean_albedo, albedo_basis = neutral_albedo(len(mean))
    uv = tiled_uv(neutral.uv)
    data = ModelData(
        name="ict-facekit",
        license="MIT (ICT-FaceKit, USC Institute for Creative Technologies)",
        source="https://github.com/ICT-VGL/ICT-FaceKit",
        mean=mean - center,
        identity_basis=_modes([meshes[name] for name in identities], neutral.vertices),
        expression_basis=_modes([meshes[name] for name in expressions], neutral.vertices),
        mean_albedo=mean_albedo,
        albedo_basis=albedo_basis,
        triangles=triangles,
        expression_names=tuple(expressions),
        uv=uv if len(uv) else None,
        uv_triangles=torch.from_numpy(neutral.uv_triangles) if len(uv) else None,
        part_names=tuple(_part_name(material) for material in neutral.materials),
        part_labels=torch.from_numpy(neutral.triangle_material),
        landmarks={"ibug68_3d": vertex_points(np.asarray(indices["idx_to_landmark_verts"]), triangles)},
    )
    return with_mirror(with_contour(data))


def _modes(paths: list[Path], neutral: np.ndarray) -> torch.Tensor:
    """Read shapes and return their differences from the neutral one, in meters."""
    modes = np.zeros((len(paths), *neutral.shape))
    for mode, path in zip(modes, paths, strict=True):
        vertices = read_obj_vertices(path)
        if vertices.shape != neutral.shape:
            raise ValueError(f"{path} must have the neutral mesh's {len(neutral)} vertices, got {len(vertices)}")
        mode[:] = (vertices - neutral) * METERS_PER_UNIT
    return torch.from_numpy(modes).float()


def _read_indices(path: Path) -> dict[str, Any]:
    """Read `vertex_indices.json`, checking what is used of it."""
    if not path.is_file():
        raise FileNotFoundError(f"folder must hold {INDICES}, got none in {path.parent}")
    with refusing("indices must be a JSON object", path):
        indices: dict[str, Any] = dict(json.loads(path.read_text()))
    for name, kind in (("expressions", str), ("idx_to_landmark_verts", int)):
        listed = indices.get(name)
        if not isinstance(listed, list) or not all(isinstance(entry, kind) for entry in listed):
            raise ValueError(f"{path} must hold {name}, a list of {'names' if kind is str else 'vertices'}")
    return indices


def _require(folder: Path, stem: str) -> Path:
    """Return the path of a mesh in either of its forms."""
    for path in (folder / f"{stem}.obj", folder / f"{stem}.obj.gz"):
        if path.is_file():
            return path
    raise FileNotFoundError(f"folder must hold {stem}.obj or {stem}.obj.gz, got {folder}")


def _stem(path: Path) -> str:
    """Return a mesh file's name without its endings."""
    return path.name.removesuffix(".gz").removesuffix(".obj")


def _part_name(material: str) -> str:
    """Turn a material like `M_ScleraLeft` into a part name like `sclera_left`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", material.removeprefix("M_")).lower()
