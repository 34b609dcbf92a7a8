"""Meshes with vertex colors as files that other programs read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from morphable.files import atomic_path
from morphable.model import MorphableModel

MESH_SUFFIXES = (".glb", ".obj", ".ply")
_GLB = ".glb"


def write_meshes(
    path: Path,
    model: MorphableModel,
    vertices: Mapping[str, Float[Tensor, "verts 3"]],
    colors: Mapping[str, Float[Tensor, "verts 3"]],
) -> None:
    """Write meshes in the topology of a model with normals and colors.

    Args:
        path: File with a suffix among `MESH_SUFFIXES`.
        model: Whose triangles they have.
        vertices: Vertices of each mesh by its name, meters, +y up.
        colors: Their sRGB colors; what is outside [0, 1] is clamped.
    """
    import trimesh

    scene: Any = trimesh.Scene()
    for name, points in vertices.items():
        mesh = trimesh.Trimesh(
            points.numpy(),
            model.triangles.numpy(),
            vertex_normals=model.normals(points).numpy(),
            vertex_colors=(255 * colors[name].clamp(0, 1)).round().byte().numpy(),
            process=False,
        )
        scene.add_geometry(mesh, node_name=name, geom_name=name)
    with atomic_path(path) as temporary, torch.no_grad():
        if path.suffix.lower() == _GLB:
            export_glb: Any = trimesh.exchange.gltf.export_glb
            temporary.write_bytes(export_glb(scene, tree_postprocessor=_matte))
        else:
            scene.export(temporary)


def _matte(document: dict[str, Any]) -> None:
    """Give a glTF document's meshes a rough material: without one they are of metal, and dark."""
    surface = {"metallicFactor": 0.0, "roughnessFactor": 0.8}
    document["materials"] = [{"name": "face", "pbrMetallicRoughness": surface, "doubleSided": True}]
    for mesh in document["meshes"]:
        for primitive in mesh["primitives"]:
            primitive["material"] = 0
