"""Meshes bound to MakeHuman's base mesh: hair, eyes, teeth, clothes (``.mhclo`` + ``.obj``, or three.js JSON)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from morphable.files import refusing

HM08_VERTICES = 19158
"""Vertices of MakeHuman's base mesh, helpers included."""
_AXES = ("x_scale", "y_scale", "z_scale")
_BASE_SCALE = ((5399, 11998, 1.4340), (791, 881, 2.4098), (962, 5320, 2.0001))
"""Vertex pairs and their distance along x, y, z on ``base.obj`` (decimeters); used where a file names none."""


@dataclass(frozen=True)
class ProxyMesh:
    """A mesh whose vertices follow three vertices each of the hm08 base mesh."""

    triangles: Int[np.ndarray, "tris 3"]
    corner_uv: Float[np.ndarray, "tris 3 2"]
    """Texture coordinates of each corner: u right, v down."""
    reference: Int[np.ndarray, "verts 3"]
    weights: Float[np.ndarray, "verts 3"]
    offsets: Float[np.ndarray, "verts 3"]
    """Offsets in units of the scale pairs."""
    scale: tuple[tuple[int, int, float], ...]
    """Per axis: two hm08 vertices and the distance at which an offset of one is one meter-like unit."""
    hides: Int[np.ndarray, " hidden"]
    """hm08 vertices of the skin underneath that are not drawn."""

    def bind(self, hm08: Float[np.ndarray, "hm08 3"]) -> Float[np.ndarray, "verts 3"]:
        """Return the vertices on a given body, in the unit and frame of ``hm08``."""
        size = [abs(hm08[i, axis] - hm08[j, axis]) / length for axis, (i, j, length) in enumerate(self.scale)]
        corners = hm08[self.reference]
        points = np.einsum("vk,vkc->vc", self.weights, corners) + self.offsets * np.array(size, np.float32)
        return np.asarray(points, np.float32)

    def subset(self, keep: np.ndarray) -> "ProxyMesh":
        """Return the mesh with only the triangles where ``keep`` holds, unused vertices removed."""
        used, compact = np.unique(self.triangles[keep], return_inverse=True)
        triangles = compact.reshape(-1, 3).astype(np.int32)
        binding = (self.reference[used], self.weights[used], self.offsets[used])
        return ProxyMesh(triangles, self.corner_uv[keep], *binding, self.scale, self.hides)


def read_proxy(path: Path) -> ProxyMesh:
    """Read a proxy mesh from a ``.mhclo`` (its ``.obj`` beside it) or a three.js ``.json`` file.

    Raises:
        FileNotFoundError: The file, or the ``.obj`` it names, is absent.
        ValueError: The file does not have the format it claims, or refers to another base mesh.
    """
    with refusing("mesh must be a whole MakeHuman proxy", path, next_step="fetch it again"):
        return _read_threejs(path) if path.suffix == ".json" else _read_mhclo(path)


def _read_mhclo(path: Path) -> ProxyMesh:
    scale: dict[str, tuple[int, int, float]] = {}
    rows: list[tuple[list[int], list[float], list[float]]] = []
    obj_name = ""
    hidden: list[str] = []
    section = ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in _AXES:
            scale[words[0]] = (int(words[1]), int(words[2]), float(words[3]))
        elif words[0] == "obj_file":
            obj_name = " ".join(words[1:])
        elif words[0] in ("verts", "delete_verts"):
            section = words[0]
        elif section == "verts" and words[0].isdigit():
            rows.append(_binding_row(words))
        elif section == "delete_verts" and words[0].isdigit():
            hidden += words
    if not rows:
        raise ValueError(f"{path} must bind at least one vertex, got no rows after 'verts'; fetch it again")
    obj = path.parent / obj_name if obj_name else path.with_suffix(".obj")
    triangles, corner_uv, vertices = read_obj(obj)
    if vertices > len(rows):
        raise ValueError(f"{path} must bind each of the {vertices} vertices of {obj.name}, got {len(rows)} rows")
    pairs = tuple(scale.get(axis, default) for axis, default in zip(_AXES, _BASE_SCALE, strict=True))
    return _proxy(triangles, corner_uv, rows[:vertices], pairs, _ranges(hidden), path)


def _ranges(words: list[str]) -> np.ndarray:
    """Expand ``3 5 - 7`` to 3, 5, 6, 7."""
    out: list[int] = []
    for word in " ".join(words).replace(" - ", "-").split():
        first, _, last = word.partition("-")
        out += range(int(first), int(last or first) + 1)
    return np.array(out, np.int32)


def _binding_row(words: list[str]) -> tuple[list[int], list[float], list[float]]:
    if len(words) == 1:
        return [int(words[0])] * 3, [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    offsets = [float(word) for word in words[6:9]] or [0.0, 0.0, 0.0]
    return [int(word) for word in words[:3]], [float(word) for word in words[3:6]], offsets


def _proxy(
    triangles: np.ndarray,
    corner_uv: np.ndarray,
    rows: list[tuple[list[int], list[float], list[float]]],
    scale: tuple[tuple[int, int, float], ...],
    hides: np.ndarray,
    path: Path,
) -> ProxyMesh:
    reference = np.array([row[0] for row in rows], np.int32)
    if reference.min() < 0 or reference.max() >= HM08_VERTICES:
        raise ValueError(f"{path} must refer to hm08 vertices below {HM08_VERTICES}, got {reference.max()}")
    weights, offsets = (np.array([row[k] for row in rows], np.float32) for k in (1, 2))
    return ProxyMesh(triangles, corner_uv, reference, weights, offsets, scale, hides)


def read_obj(path: Path) -> tuple[Int[np.ndarray, "tris 3"], Float[np.ndarray, "tris 3 2"], int]:
    """Read triangles, corner texture coordinates (v down) and the number of vertices of a Wavefront file.

    Raises:
        ValueError: The file is damaged.
    """
    with refusing("mesh must be a whole Wavefront file", path, next_step="fetch it again"):
        return _read_obj(path)


def _read_obj(path: Path) -> tuple[Int[np.ndarray, "tris 3"], Float[np.ndarray, "tris 3 2"], int]:
    """Parse the lines of a Wavefront file."""
    uv: list[tuple[float, float]] = []
    polygons: list[list[tuple[int, int]]] = []
    vertices = 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            vertices += 1
        elif words[0] == "vt":
            uv.append((float(words[1]), 1.0 - float(words[2])))
        elif words[0] == "f":
            corners = [word.split("/") for word in words[1:]]
            polygons.append([(int(c[0]) - 1, int(c[1]) - 1 if len(c) > 1 and c[1] else 0) for c in corners])
    if not polygons:
        raise ValueError(f"{path} must hold at least one polygon, got none; fetch it again")
    return *_fan(polygons, uv or [(0.0, 0.0)]), vertices


def _read_threejs(path: Path) -> ProxyMesh:
    data = json.loads(path.read_text(encoding="utf-8"))
    meta = data["metadata"]
    uv = np.array(data["uvs"][0], np.float32).reshape(-1, 2)
    polygons = list(_threejs_polygons(data["faces"]))
    triangles, corner_uv = _fan(polygons, [(float(u), 1.0 - float(v)) for u, v in uv])
    rows = list(zip(meta["ref_vIdxs"], meta["weights"], meta["offsets"], strict=True))
    hides = np.flatnonzero(np.array(meta.get("deleteVerts", []), np.int32)).astype(np.int32)
    return _proxy(triangles, corner_uv, rows, _BASE_SCALE, hides, path)


def _threejs_polygons(stream: list[int]) -> Iterator[list[tuple[int, int]]]:
    """Decode three.js' face stream (format 3): a bit mask, then corners, material and texture indices."""
    quad, material, face_uv, corner_uv, other = 1, 2, 4, 8, 0xF0
    at = 0
    while at < len(stream):
        kind = stream[at]
        corners = 4 if kind & quad else 3
        if kind & (other | face_uv) or not kind & corner_uv:
            raise ValueError(f"three.js face kind must have corner texture coordinates only, got {kind}")
        vertex = stream[at + 1 : at + 1 + corners]
        at += 1 + corners + (1 if kind & material else 0)
        yield list(zip(vertex, stream[at : at + corners], strict=True))
        at += corners


def _fan(
    polygons: list[list[tuple[int, int]]], uv: list[tuple[float, float]]
) -> tuple[Int[np.ndarray, "tris 3"], Float[np.ndarray, "tris 3 2"]]:
    """Split polygons into triangles around their first corner."""
    fans = [(p[0], p[k], p[k + 1]) for p in polygons for k in range(1, len(p) - 1)]
    fans = [fan for fan in fans if len({corner[0] for corner in fan}) == 3]  # MakeHuman repeats a corner in triangles
    corners = np.array(fans, np.int32)
    return np.ascontiguousarray(corners[..., 0]), np.array(uv, np.float32)[corners[..., 1]]
