"""A small writer of binary glTF 2.0: buffers, accessors and the container."""

import json
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt32

_MAGIC, _VERSION = 0x46546C67, 2
_JSON_CHUNK, _BINARY_CHUNK = 0x4E4F534A, 0x004E4942
_FLOAT, _UINT32 = 5126, 5125
_VERTEX_TARGET, _INDEX_TARGET = 34962, 34963
_KINDS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}


@dataclass(frozen=True, eq=False)
class SparseOffsets:
    """Offsets of a morph target, those that are not zero."""

    count: int
    """Number of vertices."""
    moving: UInt32[np.ndarray, " moving"]
    """Indices of the vertices that move."""
    values: Float[np.ndarray, "moving 3"]
    bounds: dict[str, list[float]]


def sparse_offsets(offsets: Float[np.ndarray, "split 3"], *, smallest: float) -> SparseOffsets:
    """Keep the offsets of vertices that move by more than `smallest`, at least one."""
    moving = np.flatnonzero(np.abs(offsets).max(1) > smallest)
    if len(moving) == 0:
        moving = np.zeros(1, dtype=np.int64)
    kept = np.zeros_like(offsets)
    kept[moving] = offsets[moving]
    return SparseOffsets(len(offsets), moving.astype("<u4"), offsets[moving].astype("<f4"), _bounds(kept))


class GltfBuilder:
    """Collects one binary buffer and the JSON that describes it."""

    def __init__(self) -> None:
        self.document: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": "morphable-reconstruct"},
        }
        self._binary = bytearray()

    def add(self, section: str, item: dict[str, Any]) -> int:
        """Append to a top-level array and return the index."""
        items = self.document.setdefault(section, [])
        items.append(item)
        return len(items) - 1

    def add_vertices(self, values: Float[np.ndarray, "split axes"], *, bounds: bool = False) -> int:
        """Add a per-vertex attribute; positions need their bounds."""
        view = self._view(np.asarray(values, dtype="<f4"), _VERTEX_TARGET)
        accessor = {
            "bufferView": view,
            "componentType": _FLOAT,
            "count": len(values),
            "type": _KINDS[values.shape[1]],
        }
        return self.add("accessors", accessor | (_bounds(values) if bounds else {}))

    def add_indices(self, triangles: Int[np.ndarray, "tris 3"]) -> int:
        """Add the corners of triangles."""
        view = self._view(np.asarray(triangles, dtype="<u4"), _INDEX_TARGET)
        accessor = {"bufferView": view, "componentType": _UINT32, "count": triangles.size, "type": "SCALAR"}
        return self.add("accessors", accessor)

    def add_sparse_offsets(self, offsets: SparseOffsets) -> int:
        """Add morph target offsets."""
        sparse = {
            "count": len(offsets.moving),
            "indices": {"bufferView": self._view(offsets.moving, None), "componentType": _UINT32},
            "values": {"bufferView": self._view(offsets.values, None)},
        }
        accessor = {"componentType": _FLOAT, "count": offsets.count, "type": "VEC3", "sparse": sparse}
        return self.add("accessors", accessor | offsets.bounds)

    def add_image(self, data: bytes, mime_type: str, name: str) -> int:
        """Embed an encoded picture."""
        view = self._view(np.frombuffer(data, dtype=np.uint8), None)
        return self.add("images", {"bufferView": view, "mimeType": mime_type, "name": name})

    def add_animation(
        self, name: str, node: int, time_s: Float[np.ndarray, " frames"], curves: dict[str, Float[np.ndarray, "..."]]
    ) -> None:
        """Animate a node linearly between frames.

        Args:
            name: Name of the animation.
            node: Index of the node.
            time_s: Increasing times.
            curves: By path, `rotation` (x, y, z, w), `translation` or `weights`: a row per frame, of weights all
                numbers of all frames in one axis.
        """
        times = self._add_samples(time_s[:, None]) | _bounds(time_s[:, None])
        moment = self.add("accessors", times)
        samplers: list[dict[str, Any]] = []
        channels: list[dict[str, Any]] = []
        for path, values in curves.items():
            output = self.add("accessors", self._add_samples(values.reshape(len(values), -1)))
            channels.append({"sampler": len(samplers), "target": {"node": node, "path": path}})
            samplers.append({"input": moment, "output": output, "interpolation": "LINEAR"})
        self.add("animations", {"name": name, "samplers": samplers, "channels": channels})

    def _add_samples(self, values: Float[np.ndarray, "frames axes"]) -> dict[str, Any]:
        """Store what an animation runs through; return the accessor."""
        view = self._view(np.asarray(values, dtype="<f4"), None)
        return {
            "bufferView": view,
            "componentType": _FLOAT,
            "count": len(values),
            "type": _KINDS[values.shape[1]],
        }

    def finish(self, name: str, children: list[int]) -> bytes:
        """Put nodes into the one scene of the file and encode it."""
        root = self.add("nodes", {"name": name, "children": children})
        self.document["scenes"] = [{"name": name, "nodes": [root]}]
        self.document["scene"] = 0
        return self.to_glb()

    def to_glb(self) -> bytes:
        """Pack JSON and binary into one GLB file; glTF allows neither an empty array nor a buffer without bytes."""
        binary = _padded(bytes(self._binary), b"\0")
        buffers = {"buffers": [{"byteLength": len(binary)}]} if binary else {}
        text = _padded(json.dumps(self.document | buffers, separators=(",", ":")).encode(), b" ")
        chunks = struct.pack("<II", len(text), _JSON_CHUNK) + text
        if binary:
            chunks += struct.pack("<II", len(binary), _BINARY_CHUNK) + binary
        return struct.pack("<III", _MAGIC, _VERSION, 12 + len(chunks)) + chunks

    def _view(self, values: Shaped[np.ndarray, "..."], target: int | None) -> int:
        """Append bytes at a multiple of four."""
        self._binary += b"\0" * (-len(self._binary) % 4)
        data = np.ascontiguousarray(values).tobytes()
        view = {"buffer": 0, "byteOffset": len(self._binary), "byteLength": len(data)}
        self._binary += data
        return self.add("bufferViews", view | ({} if target is None else {"target": target}))


def _bounds(values: Float[np.ndarray, "split axes"]) -> dict[str, list[float]]:
    """Smallest and largest value per axis, of the float32 numbers that are stored."""
    stored = np.asarray(values, dtype=np.float32)
    return {"min": stored.min(0).tolist(), "max": stored.max(0).tolist()}


def _padded(data: bytes, filler: bytes) -> bytes:
    """Pad to a multiple of four bytes."""
    return data + filler * (-len(data) % 4)
