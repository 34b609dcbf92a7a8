"""A scene as one GLB file: faces placed in meters, texture, named morph targets, the photograph's camera."""

import io
import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from morphable import MorphableModel
from morphable_reconstruct.drawing.layers import render_depth
from morphable_reconstruct.exports.gltf import GltfBuilder, SparseOffsets, sparse_offsets
from morphable_reconstruct.exports.layout import TexturedLayout, textured_layout
from morphable_reconstruct.exports.textures import LIT_KINDS, face_texture
from morphable_reconstruct.faces.camera import Camera
from morphable_reconstruct.faces.rows import Face, SceneRows

SMALLEST_OFFSET_M = 1e-5
"""Morph target offsets below a hundredth of a millimeter are not stored."""
UNLIT = "KHR_materials_unlit"
"""glTF extension for materials that are shown as they are."""
_NEAR_M = 0.01
_JPEG_QUALITY = 95
_KEPT_MODELS = 4


def scene_to_glb(
    scene: SceneRows, *, texture: str = "photo", texture_px: int | None = None, mesh: str = "head"
) -> bytes:
    """Encode a scene as binary glTF 2.0.

    The glTF frame is the camera's with y up and z toward the viewer; the photograph's camera stands at its
    origin. Every face is a node placed in meters whose mesh is the neutral shape of its identity; the
    model's expressions are morph targets by name (stored once, shared by all faces), and the weights are
    the face's activations, clamped to [0, 1], so that the file shows the photograph's expression and animates in any
    viewer.

    Args:
        scene: The faces and their camera.
        texture: `photo` (the photograph where it shows the face, its tone elsewhere; shown without further light),
            `delit` (the same without the photograph's light), `albedo` (the model's reflectance), or `none`.
        texture_px: Side of the square textures; by default as many texels as the photograph has pixels.
        mesh: `head`, or `face` without scalp, ears and neck.
    """
    builder = GltfBuilder()
    children = [add_camera(builder, scene.camera)]
    if len(scene):
        shared = GltfFaces(builder, scene.model, mesh=mesh, texture=texture)
        depth_m = render_depth(scene) if texture in ("photo", "delit") else None
        for index, face in enumerate(scene):
            pixels = face_texture(face, kind=texture, size_px=texture_px, depth_m=depth_m)
            children.append(shared.add_face(face, f"face_{index:02d}", pixels))
    return builder.finish(scene.name, children)


@lru_cache(maxsize=_KEPT_MODELS)
def _layout_and_targets(model: MorphableModel, mesh: str) -> tuple[TexturedLayout, tuple[SparseOffsets, ...]]:
    """Lay out a model's mesh and its morph targets; kept for the last few models."""
    layout = textured_layout(model, mesh)
    targets = (sparse_offsets(full[layout.source], smallest=SMALLEST_OFFSET_M) for full in expression_offsets(model))
    return layout, tuple(targets)


class GltfFaces:
    """Adds faces of one model to a file; what they have in common is stored once."""

    def __init__(self, builder: GltfBuilder, model: MorphableModel, *, mesh: str, texture: str) -> None:
        """Store texture coordinates, triangles and morph targets.

        Args:
            builder: The file.
            model: The faces' model.
            mesh: As for `scene_to_glb`.
            texture: Kind of the faces' textures, which decides whether viewers light them.
        """
        layout, targets = _layout_and_targets(model, mesh)
        self.builder, self.model, self.layout, self.unlit = builder, model, layout, texture in LIT_KINDS
        self.uv = builder.add_vertices(layout.uv)
        self.indices = builder.add_indices(layout.triangles)
        self.targets = [{"POSITION": builder.add_sparse_offsets(offsets)} for offsets in targets]

    def add_face(self, face: Face, name: str, pixels: UInt8[np.ndarray, "rows cols 3"] | None) -> int:
        """Add mesh, material and node of one face; return the node."""
        neutral = torch.from_numpy(neutral_vertices(face))
        normals = self.model.normals(neutral).numpy()[self.layout.source]
        primitive: dict[str, Any] = {
            "attributes": {
                "POSITION": self.builder.add_vertices(neutral.numpy()[self.layout.source], bounds=True),
                "NORMAL": self.builder.add_vertices(_unit(normals)),
                "TEXCOORD_0": self.uv,
            },
            "indices": self.indices,
            "material": self._add_material(name, pixels),
        }
        mesh: dict[str, Any] = {"name": name, "primitives": [primitive]}
        if self.targets:
            primitive["targets"] = self.targets
            mesh["weights"] = morph_weights(face)
            mesh["extras"] = {"targetNames": list(self.model.expression_names)}
        node = {
            "name": name,
            "mesh": self.builder.add("meshes", mesh),
            "rotation": quaternion_xyzw(face.rotation_head),
            "translation": (face.translation_m * (1.0, -1.0, -1.0)).tolist(),
            "extras": {"score": face.score},
        }
        return self.builder.add("nodes", node)

    def _add_material(self, name: str, pixels: UInt8[np.ndarray, "rows cols 3"] | None) -> int:
        """A rough, non-metallic material with the face's texture, unlit where the texture holds the light."""
        surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 0.8}
        if pixels is not None:
            if "samplers" not in self.builder.document:
                self.builder.add("samplers", {"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071})
            image = self.builder.add_image(_jpeg(pixels), "image/jpeg", name)
            surface["baseColorTexture"] = {"index": self.builder.add("textures", {"sampler": 0, "source": image})}
        material: dict[str, Any] = {"name": name, "pbrMetallicRoughness": surface, "doubleSided": True}
        if self.unlit:
            material["extensions"] = {UNLIT: {}}
            self.builder.document["extensionsUsed"] = [UNLIT]
        return self.builder.add("materials", material)


def morph_weights(face: Face) -> list[float]:
    """Weights of the morph targets: programs expect [0, 1] of activations; other coefficients stay as they are."""
    activations = face.model.expression_prior == "activation"
    return (face.expression.clip(0.0, 1.0) if activations else face.expression).tolist()


def neutral_vertices(face: Face) -> Float[np.ndarray, "verts 3"]:
    """Return the vertices of the face without its expression, model frame, meters."""
    with torch.no_grad():
        model, expression = face.model, torch.as_tensor(face.expression, dtype=torch.float32)
        zero = torch.zeros(model.num_identity)
        moved = model.decode_shape(zero, expression) - model.decode_shape(zero, torch.zeros_like(expression))
        return face.vertices_model_m - moved.numpy()


def expression_offsets(model: MorphableModel) -> Float[np.ndarray, "expr verts 3"]:
    """Displacement of every vertex at full activation of each expression, meters."""
    with torch.no_grad():
        zero = torch.zeros(1, model.num_identity)
        full = torch.eye(model.num_expression)
        neutral = model.decode_shape(zero, torch.zeros(1, model.num_expression))
        return (model.decode_shape(zero.expand(len(full), -1), full) - neutral).numpy()


def add_camera(builder: GltfBuilder, camera: Camera) -> int:
    """Add the photograph's camera at the origin; glTF cameras look along -z with y up."""
    height, width = camera.size_hw
    perspective = {"yfov": camera.vertical_fov_rad, "aspectRatio": width / height, "znear": _NEAR_M}
    index = builder.add("cameras", {"name": "photograph", "type": "perspective", "perspective": perspective})
    return builder.add("nodes", {"name": "photograph", "camera": index})


def quaternion_xyzw(rotation: Float[np.ndarray, "3 3"]) -> list[float]:
    """Unit quaternion of a rotation matrix, from its largest component (Shepperd's method)."""
    r = rotation.astype(np.float64)
    trace = np.trace(r)
    squares = np.array([*(1.0 + 2.0 * np.diag(r) - trace), 1.0 + trace]) / 4.0
    largest = int(squares.argmax())
    products = np.array(
        [
            [squares[0], (r[0, 1] + r[1, 0]) / 4, (r[0, 2] + r[2, 0]) / 4, (r[2, 1] - r[1, 2]) / 4],
            [(r[0, 1] + r[1, 0]) / 4, squares[1], (r[1, 2] + r[2, 1]) / 4, (r[0, 2] - r[2, 0]) / 4],
            [(r[0, 2] + r[2, 0]) / 4, (r[1, 2] + r[2, 1]) / 4, squares[2], (r[1, 0] - r[0, 1]) / 4],
            [(r[2, 1] - r[1, 2]) / 4, (r[0, 2] - r[2, 0]) / 4, (r[1, 0] - r[0, 1]) / 4, squares[3]],
        ]
    )
    quaternion = products[largest] / math.sqrt(squares[largest])
    return (quaternion / np.linalg.norm(quaternion)).tolist()


def _unit(normals: Float[np.ndarray, "split 3"]) -> Float[np.ndarray, "split 3"]:
    """Unit length to float32 precision, as glTF's validator wants it; a zero normal looks along z."""
    length = np.linalg.norm(normals.astype(np.float64), axis=1, keepdims=True)
    return np.where(length > 0.0, normals / np.where(length > 0.0, length, 1.0), [0.0, 0.0, 1.0])


def _jpeg(pixels: UInt8[np.ndarray, "rows cols 3"]) -> bytes:
    """JPEG without chroma subsampling."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return stream.getvalue()
