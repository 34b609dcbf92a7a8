"""Wavefront OBJ files as ICT-FaceKit writes them: one mesh, texture coordinates, materials, any polygon."""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from morphable.files import reader


@dataclass(frozen=True)
class ObjMesh:
    """A triangulated mesh as stored: own unit and frame, v of the texture upwards."""

    vertices: Float[np.ndarray, "verts 3"]
    uv: Float[np.ndarray, "uv_verts 2"]
    triangles: Int[np.ndarray, "tris 3"]
    uv_triangles: Int[np.ndarray, "tris 3"]
    """Equal to `triangles` where the file has no texture coordinates."""
    materials: tuple[str, ...]
    triangle_material: Int[np.ndarray, " tris"]


@reader("mesh must be a whole Wavefront file")
def read_obj(path: Path) -> ObjMesh:
    """Read a mesh from an `.obj` or `.obj.gz` file; polygons become triangle fans.

    Raises:
        ValueError: If the file holds no mesh or a line that is not Wavefront's.
    """
    vertices: list[list[float]] = []
    uv: list[list[float]] = []
    corners: list[list[list[int]]] = []
    materials: dict[str, int] = {}
    material = materials.setdefault("default", 0)
    labels: list[int] = []
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        for number, line in enumerate(file, start=1):
            kind, *rest = line.split() or [""]
            try:
                if kind == "v":
                    vertices.append([float(x) for x in rest[:3]])
                elif kind == "vt":
                    uv.append([float(x) for x in rest[:2]])
                elif kind == "usemtl":
                    material = materials.setdefault(rest[0], len(materials))
                elif kind == "f":
                    fan = _fan([_corner(text) for text in rest])
                    corners += fan
                    labels += [material] * len(fan)
            except (ValueError, IndexError) as error:
                raise ValueError(f"{path}: line {number} must be a Wavefront statement, got {line[:60]!r}") from error
    if not vertices or not corners:
        raise ValueError(f"{path} must hold vertices and faces, got {len(vertices)} and {len(corners)}")
    used = sorted(set(labels))
    index = np.asarray(corners)
    has_uv = bool((index[..., 1] >= 0).all())
    return ObjMesh(
        vertices=np.asarray(vertices),
        uv=np.asarray(uv).reshape(-1, 2),
        triangles=index[..., 0],
        uv_triangles=index[..., 1] if has_uv else index[..., 0],
        materials=tuple(name for name, index in materials.items() if index in used),
        triangle_material=np.searchsorted(used, labels),
    )


@reader("mesh must be a whole Wavefront file")
def read_obj_vertices(path: Path) -> Float[np.ndarray, "verts 3"]:
    """Read only the vertices, for shapes that share another file's topology."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        rows = [line.split()[1:4] for line in file if line.startswith("v ")]
    try:
        return np.asarray(rows, dtype=np.float64).reshape(-1, 3)
    except ValueError as error:
        raise ValueError(f"{path} must hold three numbers per vertex: {error}") from error


def _corner(text: str) -> list[int]:
    """Return the 0-based vertex and texture index of a corner like `12/7/3`; -1 without texture."""
    fields = text.split("/")
    return [int(fields[0]) - 1, int(fields[1]) - 1 if len(fields) > 1 and fields[1] else -1]


def _fan(polygon: list[list[int]]) -> list[list[list[int]]]:
    """Split a polygon into triangles around its first corner."""
    return [[polygon[0], polygon[i], polygon[i + 1]] for i in range(1, len(polygon) - 1)]
