"""Triangle meshes in from OBJ, PLY, OFF, STL, NPZ and BNT files, and out as PLY with one color per vertex.

trimesh reads PLY, OFF and STL. OBJ has a reader of its own: trimesh splits vertices at texture seams, takes corner 0
for a vertex and leaves out faces of two corners, and a vertex that is counted twice changes a mean over vertices.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from morphable_evalkit.files import atomic_path, read_npz, read_text, refusing
from morphable_evalkit.scans.bosphorus import read_bnt
from morphable_evalkit.scans.mesh import Mesh


def read_mesh(path: Path) -> Mesh:
    r"""Read a mesh by its suffix: .obj, .ply, .off, .stl, .npz (`vertices`, `triangles`), .bnt (Bosphorus).

    Vertices keep their order; polygons become fans of triangles. An STL file repeats a vertex for every triangle:
    equal ones are joined.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Another suffix, or a damaged file; the message names the file and what is wrong in it.

    Example:
        >>> _ = Path("square.obj").write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3 4\n")
        >>> read_mesh(Path("square.obj")).triangles
        array([[0, 1, 2],
               [0, 2, 3]])
    """
    if not path.is_file():
        raise FileNotFoundError(f"mesh must exist, got {path}")
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        raise ValueError(f"mesh must end in {', '.join(MESH_SUFFIXES)}, got {path.name}")
    expected, read = _READERS[suffix]
    with refusing(path, expected):
        mesh = read(path)
    if len(mesh.vertices) == 0:
        raise ValueError(f"{path} must hold vertices, got none")
    if len(mesh.triangles) and not 0 <= mesh.triangles.min() <= mesh.triangles.max() < len(mesh.vertices):
        raise ValueError(f"triangles of {path} must name vertices below {len(mesh.vertices)}")
    return mesh


def write_ply(path: Path, mesh: Mesh, colors: UInt8[np.ndarray, "verts 3"]) -> None:
    """Write a binary PLY with colored vertices, whole or not at all."""
    record = np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)])
    vertices = np.empty(len(mesh.vertices), record)
    vertices["xyz"], vertices["rgb"] = mesh.vertices, colors
    faces = np.empty(len(mesh.triangles), np.dtype([("count", "u1"), ("corners", "<i4", 3)]))
    faces["count"], faces["corners"] = 3, mesh.triangles
    names = [f"property float {axis}" for axis in "xyz"] + [f"property uchar {c}" for c in ("red", "green", "blue")]
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(vertices)}",
        *names,
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    with atomic_path(path) as temporary:
        temporary.write_bytes("\n".join([*header, ""]).encode() + vertices.tobytes() + faces.tobytes())


def _read_obj(path: Path) -> Mesh:
    """Read `v` and `f` lines; vertex colors, texture indices and normals are left out."""
    vertices: list[list[str]] = []
    triangles: list[tuple[str, str, str]] = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.split()
        if words[:1] == ["v"]:
            if len(words) < 4:
                raise ValueError(f"a vertex of {len(words) - 1} numbers in line {number}")
            vertices.append(words[1:4])
        elif words[:1] == ["f"]:
            if len(words) < 4:
                raise ValueError(f"a face of {len(words) - 1} corners in line {number}")
            corners = [corner.split("/", 1)[0] for corner in words[1:]]
            triangles += [(corners[0], corners[i], corners[i + 1]) for i in range(1, len(corners) - 1)]
    points = np.array(vertices, dtype=np.float64).reshape(-1, 3)
    rows = np.array(triangles, dtype=np.int64).reshape(-1, 3)
    return Mesh(points, np.where(rows > 0, rows - 1, rows + len(points)))


def _read_ply(path: Path) -> Mesh:
    """Read vertices and faces; per-face texture coordinates split no vertex."""
    from trimesh.exchange.ply import load_ply

    with path.open("rb") as file, _strict_numbers():
        if file.readline().strip() != b"ply":
            raise ValueError("another header")
        file.seek(0)
        content = load_ply(file, fix_texture=False, skip_materials=True)
    _check_ply(content["metadata"]["_ply_raw"])
    if "vertices" not in content:
        return Mesh(np.empty((0, 3)), np.empty((0, 3), np.int64))
    faces = content.get("faces")
    return Mesh(content["vertices"].astype(np.float64), _fans(np.empty((0, 3)) if faces is None else faces))


def _check_ply(elements: Mapping[str, Any]) -> None:
    """Refuse elements with fewer rows than the header promises, and lists whose lengths are not the first one's."""
    for name, element in elements.items():
        data = element.get("data")
        columns = data.values() if isinstance(data, dict) else [data]
        if element["length"] and any(column is None or len(column) != element["length"] for column in columns):
            raise ValueError(f"fewer rows of {name!r} than the {element['length']} of the header")
        for field in (data.dtype.names or ()) if isinstance(data, np.ndarray) else ():
            column = data[field]
            if column.dtype.names and len(column) and (column["f0"] != column["f0"][0]).any():
                raise ValueError(f"lists of several lengths in {field!r}; triangulate the mesh")


def _read_off(path: Path) -> Mesh:
    """Read an OFF file."""
    from trimesh.exchange.off import load_off

    with path.open("rb") as file:
        content = load_off(file)
    return Mesh(content["vertices"].astype(np.float64), _fans(content["faces"]))


def _read_stl(path: Path) -> Mesh:
    """Read a binary or ASCII STL file and join equal vertices."""
    from trimesh.exchange.stl import load_stl

    with path.open("rb") as file, _strict_numbers():
        content = load_stl(file)
    solids = content["geometry"].values() if "geometry" in content else [content]
    corners = np.concatenate(
        [np.empty((0, 3)), *(solid["vertices"][solid["faces"]].reshape(-1, 3) for solid in solids)]
    )
    vertices, index = np.unique(corners.astype(np.float64), axis=0, return_inverse=True)
    return Mesh(vertices, index.reshape(-1, 3).astype(np.int64))


def _read_npz(path: Path) -> Mesh:
    """Read the arrays `vertices` and `triangles`."""
    arrays = read_npz(path)
    missing = {"vertices", "triangles"} - set(arrays)
    if missing:
        raise ValueError(f"no array {' and no array '.join(sorted(missing))}")
    vertices, triangles = arrays["vertices"], arrays["triangles"]
    if vertices.ndim != 2 or vertices.shape[1] != 3 or vertices.dtype.kind not in "fiu":
        raise ValueError(f"vertices of shape {vertices.shape} and type {vertices.dtype}")
    if triangles.ndim != 2 or triangles.shape[1] != 3 or triangles.dtype.kind not in "iu":
        raise ValueError(f"triangles of shape {triangles.shape} and type {triangles.dtype}")
    return Mesh(vertices.astype(np.float64), triangles.astype(np.int64))


def _fans(polygons: Any) -> Int[np.ndarray, "tris 3"]:
    """Turn polygons of one length into triangles, each fan in the place of its polygon."""
    rows = np.asarray(polygons, dtype=np.int64).reshape(len(polygons), -1)
    if not len(rows):
        return np.empty((0, 3), np.int64)
    if rows.shape[1] < 3:
        raise ValueError(f"faces of {rows.shape[1]} corners")
    fans = [rows[:, [0, i, i + 1]] for i in range(1, rows.shape[1] - 1)]
    return np.stack(fans, axis=1).reshape(-1, 3)


@contextmanager
def _strict_numbers() -> Iterator[None]:
    """Make NumPy raise where text is no number; older versions only warn and drop the rest of the line."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="string or file could not be read")
        yield


_READERS: Mapping[str, tuple[str, Callable[[Path], Mesh]]] = {
    ".obj": ("a Wavefront OBJ file", _read_obj),
    ".ply": ("a PLY file", _read_ply),
    ".off": ("an OFF file", _read_off),
    ".stl": ("an STL file", _read_stl),
    ".npz": ("a mesh as .npz file (vertices, triangles)", _read_npz),
    ".bnt": ("a Bosphorus .bnt file", read_bnt),
}
MESH_SUFFIXES = tuple(_READERS)
"""Suffixes of the files that `read_mesh` reads."""
