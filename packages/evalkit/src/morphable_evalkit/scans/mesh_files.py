"""Triangle meshes from OBJ, PLY and NPZ files, and PLY with one colour per vertex out."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from morphable_evalkit.scans.bosphorus import read_bnt
from morphable_evalkit.scans.mesh import Mesh

_PLY_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_PLY_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}

MESH_SUFFIXES = (".obj", ".ply", ".npz", ".bnt")


def read_mesh(path: Path) -> Mesh:
    """Read a mesh by its ending: .obj, .ply, .npz (`vertices`, `triangles`), .bnt (Bosphorus range image).

    Raises:
        FileNotFoundError: No such file.
        ValueError: Another ending, or content that is none of these.
    """
    if not path.is_file():
        raise FileNotFoundError(f"mesh must exist, got {path}")
    suffix = path.suffix.lower()
    if suffix not in MESH_SUFFIXES:
        raise ValueError(f"mesh must end in {', '.join(MESH_SUFFIXES)}, got {path.name}")
    if suffix == ".obj":
        mesh = _read_obj(path)
    elif suffix == ".ply":
        mesh = _read_ply(path)
    elif suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            mesh = Mesh(arrays["vertices"].astype(np.float64), arrays["triangles"].astype(np.int64))
    else:
        mesh = read_bnt(path)
    if len(mesh.vertices) == 0:
        raise ValueError(f"{path} must hold vertices, got none")
    if len(mesh.triangles) and not 0 <= mesh.triangles.min() <= mesh.triangles.max() < len(mesh.vertices):
        raise ValueError(f"triangles of {path} must name vertices below {len(mesh.vertices)}")
    return mesh


def write_ply(path: Path, mesh: Mesh, colors: UInt8[np.ndarray, "verts 3"]) -> None:
    """Write a binary PLY with coloured vertices by a temporary file and a rename."""
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
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes("\n".join([*header, ""]).encode() + vertices.tobytes() + faces.tobytes())
    temporary.replace(path)


def _read_obj(path: Path) -> Mesh:
    """Read `v` and `f` lines; polygons become fans, vertex colours and texture indices are ignored."""
    vertices: list[list[str]] = []
    triangles: list[tuple[str, str, str]] = []
    with path.open(errors="replace") as file:
        for line in file:
            if line.startswith("v "):
                vertices.append(line.split(None, 4)[1:4])
            elif line.startswith("f "):
                corners = [corner.split("/", 1)[0] for corner in line.split()[1:]]
                triangles += [(corners[0], corners[i], corners[i + 1]) for i in range(1, len(corners) - 1)]
    try:
        points = np.array(vertices, dtype=np.float64).reshape(-1, 3)
        rows = np.array(triangles, dtype=np.int64).reshape(-1, 3)
    except ValueError as error:
        raise ValueError(f"{path} must be a Wavefront OBJ file, got {error}") from error
    return Mesh(points, np.where(rows > 0, rows - 1, rows + len(points)))


def _read_ply(path: Path) -> Mesh:
    """Read an ASCII or binary PLY with x, y, z and a list of corners."""
    data = path.read_bytes()
    end = data.find(b"end_header")
    if not data.startswith(b"ply") or end < 0:
        raise ValueError(f"{path} must be a PLY file, got another header")
    body = data[data.index(b"\n", end) + 1 :]
    order, elements = _parse_ply_header(data[:end].decode("ascii", "replace"), path)
    if order == "=":
        return _read_ply_ascii(body.decode("ascii", "replace").split(), elements)
    return _read_ply_binary(body, elements, order)


_Elements = list[tuple[str, int, list[tuple[str, str, str]]]]
"""Name, count, and (property, type, list's count type or "") of every element."""


def _parse_ply_header(header: str, path: Path) -> tuple[str, _Elements]:
    """Read byte order and elements."""
    order = ""
    elements: _Elements = []
    for line in header.splitlines():
        words = line.split()
        if words[:1] == ["format"]:
            order = _PLY_ORDERS.get(words[1], "")
        elif words[:1] == ["element"]:
            elements.append((words[1], int(words[2]), []))
        elif words[:1] == ["property"] and words[1] == "list":
            elements[-1][2].append((words[4], words[3], words[2]))
        elif words[:1] == ["property"]:
            elements[-1][2].append((words[2], words[1], ""))
    if not order:
        raise ValueError(f"{path} must be ascii or binary PLY, got another format line")
    return order, elements


def _read_ply_ascii(words: list[str], elements: _Elements) -> Mesh:
    """Read the words of an ASCII body."""
    vertices, triangles, at = np.empty((0, 3)), [], 0
    for name, count, properties in elements:
        if not any(length for _, _, length in properties):
            table = np.array(words[at : at + count * len(properties)], dtype=np.float64).reshape(count, -1)
            at += table.size
            if name == "vertex":
                columns = [[p for p, _, _ in properties].index(axis) for axis in "xyz"]
                vertices = table[:, columns]
            continue
        for _ in range(count):
            length = int(words[at])
            corners = [int(word) for word in words[at + 1 : at + 1 + length]]
            at += 1 + length
            triangles += [(corners[0], corners[i], corners[i + 1]) for i in range(1, length - 1)]
    return Mesh(vertices, np.array(triangles, dtype=np.int64).reshape(-1, 3))


def _read_ply_binary(body: bytes, elements: _Elements, order: str) -> Mesh:
    """Read a binary body; lists must have one length throughout (triangles)."""
    vertices, triangles, at = np.empty((0, 3)), np.empty((0, 3), np.int64), 0
    for name, count, properties in elements:
        fields: list[tuple[str, str] | tuple[str, str, int]] = []
        for prop, kind, length_kind in properties:
            if length_kind:
                fields.append((f"{prop}_count", order + _PLY_TYPES[length_kind]))
                fields.append((prop, order + _PLY_TYPES[kind], 3))
            else:
                fields.append((prop, order + _PLY_TYPES[kind]))
        table = np.frombuffer(body, np.dtype(fields), count=count, offset=at)
        at += table.nbytes
        lists = [prop for prop, _, length_kind in properties if length_kind]
        if name == "vertex":
            vertices = np.stack([table[axis] for axis in "xyz"], axis=-1).astype(np.float64)
        elif name == "face" and lists:
            if (table[f"{lists[0]}_count"] != 3).any():
                raise ValueError("binary PLY must hold triangles only, got larger polygons; triangulate it")
            triangles = table[lists[0]].astype(np.int64)
    return Mesh(vertices, triangles)
