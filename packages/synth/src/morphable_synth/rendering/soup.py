"""Collect the layers of all people into one triangle soup."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from morphable_synth.assets.recoloring import plain_table
from morphable_synth.kernels.arrays import Soup
from morphable_synth.people.layers import Layer, vertex_normals


@dataclass(frozen=True)
class Stage:
    """Everything in a picture as one soup, and which of its triangles are opaque."""

    soup: Soup
    opaque: Int[np.ndarray, " opaque"]
    transparent: Int[np.ndarray, " transparent"]
    head_start: Int[np.ndarray, " people"]
    """First triangle of each person's head layer."""


def build_soup(people: list[list[Layer]]) -> Stage:
    """Join the layers of all people, still in the dark."""
    rows: dict[str, list[np.ndarray]] = {name: [] for name in Soup._fields}
    opaque: list[np.ndarray] = []
    transparent: list[np.ndarray] = []
    head_start: list[int] = []
    vertices = triangles = 0
    for face, layers in enumerate(people):
        head_start.append(triangles)
        for layer in layers:
            count = len(layer.triangles)
            _append(rows, layer, face, vertices)
            (transparent if layer.transparent else opaque).append(np.arange(triangles, triangles + count))
            vertices, triangles = vertices + len(layer.xyz_cam), triangles + count
    joined = {name: np.ascontiguousarray(np.concatenate(values)) for name, values in rows.items()}
    return Stage(Soup(**joined), _joined(opaque), _joined(transparent), np.array(head_start, np.int64))


def seen_vertices(stage: Stage, owner: Int[np.ndarray, "rows cols"]) -> Bool[np.ndarray, " verts"]:
    """Return which vertices belong to an opaque triangle that owns a pixel, or to a transparent one."""
    triangle_seen = np.zeros(len(stage.soup.triangles) + 1, bool)  # the last is the owner of the background, -1
    triangle_seen[owner] = True
    triangle_seen[stage.transparent] = True
    seen = np.zeros(len(stage.soup.xyz_cam), bool)
    seen[stage.soup.triangles[triangle_seen[:-1]]] = True
    return seen


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, np.int64)


def _append(rows: dict[str, list[np.ndarray]], layer: Layer, face: int, vertices: int) -> None:
    count, material = len(layer.triangles), layer.material
    number = len(rows["texture"])
    rows["xyz_cam"].append(np.asarray(layer.xyz_cam, np.float32))
    normal = layer.normal if layer.normal is not None else vertex_normals(layer.xyz_cam, layer.triangles)
    rows["normal"].append(normal)
    rows["irradiance"].append(np.zeros_like(normal))
    rows["openness"].append(np.zeros(len(normal), np.float32))
    rows["tint"].append(np.broadcast_to(np.asarray(layer.tint, np.float32), layer.xyz_cam.shape))
    rows["triangles"].append((layer.triangles + vertices).astype(np.int32))
    uv = layer.corner_uv if layer.corner_uv is not None else np.zeros((count, 3, 2), np.float32)
    rows["corner_uv"].append(np.asarray(uv, np.float32))
    rows["material"].append(np.full(count, number, np.int32))
    rows["part"].append(np.broadcast_to(np.asarray(layer.part, np.int32), (count,)))
    rows["face"].append(np.full(count, face, np.int32))
    lut = material.lut if material.lut is not None else _PLAIN
    rows["texture"].append(np.array([material.texture], np.int64))
    rows["detail_texture"].append(np.array([material.detail_texture if material.detail_mix > 0 else -1], np.int64))
    rows["detail_mix"].append(np.array([material.detail_mix], np.float32))
    rows["lut"].append(np.asarray(lut, np.float32)[None])
    rows["specular"].append(np.array([material.specular], np.float32))
    rows["alpha_gain"].append(np.array([material.alpha_gain], np.float32))
    rows["depth_bias_m"].append(np.array([material.depth_bias_m], np.float32))


_PLAIN = plain_table()
