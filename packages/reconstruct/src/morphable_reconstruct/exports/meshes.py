"""OBJ with material and textures, and PLY with colors: plain meshes of a scene."""

import io
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Shaped, UInt8
from PIL import Image

from morphable.files import atomic_path, write_bytes
from morphable.geometry import AXES_FLIP
from morphable.landmarks import SCAN_POINTS
from morphable_reconstruct.drawing.colors import lit_vertex_colors, to_bytes
from morphable_reconstruct.drawing.layers import render_depth
from morphable_reconstruct.drawing.unwrapping import texture_mesh
from morphable_reconstruct.exports.layout import mesh_triangles
from morphable_reconstruct.exports.textures import face_texture
from morphable_reconstruct.faces.rows import Face, SceneRows
from morphable_reconstruct.photographs.naming import NUMBERED_SUFFIXES, safe_stem

CAMERA_TO_UPRIGHT = np.array(AXES_FLIP, dtype=np.float32)
"""Camera space to the frame mesh viewers expect: y up, z toward the viewer."""


def write_obj(
    scene: SceneRows, path: Path, *, texture: str = "photo", texture_px: int | None = None, mesh: str = "head"
) -> tuple[Path, ...]:
    """Write `path`, its .mtl and one texture per face beside it; y up, meters, camera at the origin.

    The files that others refer to have names of plain ASCII, which every program finds, whatever `path` is called.

    Returns:
        The files, `path` first.
    """
    stem, kept = safe_stem(path.stem), mesh_triangles(scene.model, mesh)
    library = path.with_name(f"{stem}.mtl")
    written, materials = [path, library], []
    depth_m = render_depth(scene) if texture in ("photo", "delit") and len(scene) else None
    for index, face in enumerate(scene):
        name = _face_name(stem, index)
        pixels = face_texture(face, kind=texture, size_px=texture_px, depth_m=depth_m)
        lines = [f"newmtl {name}", "Ka 0 0 0", "Kd 1 1 1", "Ks 0 0 0", "illum 1"]
        if pixels is not None:
            written.append(path.with_name(f"{name}.png"))
            write_bytes(written[-1], _png(pixels))
            lines.append(f"map_Kd {name}.png")
        materials.append("\n".join(lines))
    write_bytes(library, ("\n\n".join(materials) + "\n").encode())
    with atomic_path(path) as temporary, temporary.open("w", encoding="ascii") as file:
        file.write(f"# morphable-reconstruct; meters, y up, camera at the origin\nmtllib {stem}.mtl\n")
        uv = texture_mesh(scene.model).uv.cpu().numpy() * (1.0, -1.0) + (0.0, 1.0)
        file.write(_lines("vt %.6f %.6f", uv))
        for index, face in enumerate(scene):
            name, first = _face_name(stem, index), 1 + index * scene.model.num_vertices
            _write_face(file, face, name, first=first, kept=kept)

    return tuple(written)


def _face_name(stem: str, index: int) -> str:
    """Name of a face's object, material and texture."""
    return (stem + NUMBERED_SUFFIXES["face"].format(index)).removesuffix(".png")


def _write_face(file: io.TextIOWrapper, face: Face, name: str, *, first: int, kept: Bool[np.ndarray, " tris"]) -> None:
    """One object: positions, normals, triangles; texture coordinates are shared by all faces."""
    vertices = face.vertices_cam_m * CAMERA_TO_UPRIGHT
    normals = face.model.normals(torch.from_numpy(vertices)).numpy()
    file.write(f"o {name}\n")
    file.write(_lines("v %.6f %.6f %.6f", vertices))
    file.write(_lines("vn %.4f %.4f %.4f", normals))
    file.write(f"usemtl {name}\n")
    corner = face.model.triangles.cpu().numpy()[kept] + first
    coordinate = face.model.uv_triangles.cpu().numpy()[kept] + 1
    columns = np.stack([corner, coordinate, corner], axis=-1).reshape(len(corner), 9)
    file.write(_lines("f %d/%d/%d %d/%d/%d %d/%d/%d", columns))


def write_ply(scene: SceneRows, path: Path) -> None:
    """Write all faces as one binary PLY with lit vertex colors; y up, meters, camera at the origin."""
    vertices = (scene.vertices_cam_m.numpy() * CAMERA_TO_UPRIGHT).reshape(-1, 3)
    first = np.arange(len(scene))[:, None, None] * scene.model.num_vertices
    triangles = (scene.model.triangles.cpu().numpy() + first).reshape(-1, 3)
    vertex_type = np.dtype([("position", "<f4", 3), ("color", "u1", 3)])
    triangle_type = np.dtype([("count", "u1"), ("corner", "<i4", 3)])
    vertex_rows = np.zeros(len(vertices), dtype=vertex_type)
    triangle_rows = np.zeros(len(triangles), dtype=triangle_type)
    vertex_rows["position"] = vertices
    vertex_rows["color"] = to_bytes(lit_vertex_colors(scene).numpy()).reshape(-1, 3)
    triangle_rows["count"], triangle_rows["corner"] = 3, triangles
    header = (
        "ply\nformat binary_little_endian 1.0\ncomment morphable-reconstruct; meters, y up, camera at the origin\n"
        f"element vertex {len(vertex_rows)}\nproperty float x\nproperty float y\nproperty float z\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\n"
        f"element face {len(triangle_rows)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    write_bytes(path, header.encode() + vertex_rows.tobytes() + triangle_rows.tobytes())


def write_landmarks7(scene: SceneRows, path: Path) -> None:
    """Write the seven points of the largest face that `evalkit rmse` aligns with a scan, in the frame of the mesh.

    Seven lines of x, y, z: eye corners from the person's right to left, nose bottom, right and left mouth corner.
    """
    size = np.prod(scene.box_xyxy_px[:, 2:] - scene.box_xyxy_px[:, :2], axis=1)
    points = scene.landmarks68_cam_m[int(size.argmax()), list(SCAN_POINTS)] * CAMERA_TO_UPRIGHT
    write_bytes(path, _lines("%.6f %.6f %.6f", points).encode())


def _lines(row: str, values: Shaped[np.ndarray, "rows cols"]) -> str:
    """Format all rows at once; several times faster than `numpy.savetxt`."""
    return (row + "\n") * len(values) % tuple(values.ravel().tolist())


def _png(pixels: UInt8[np.ndarray, "rows cols 3"]) -> bytes:
    """Encode as PNG."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
