"""Pictures of textured faces from any side."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from morphable_render import rasterize_faces, sample_image
from morphable_render.interpolation import scatter_to_image, surface_pixels
from morphable_render.uv import UvMesh, uv_at_surface


@dataclass(frozen=True)
class TexturedImage:
    """A picture of textured faces. Where `mask` is false, `rgb` is the background."""

    rgb: Float[Tensor, "rows cols 3"]
    """sRGB-encoded in [0, 1]."""
    mask: Bool[Tensor, "rows cols"]
    face: Int[Tensor, "rows cols"]
    """Index of the face that the pixel shows."""
    triangle: Int[Tensor, "rows cols"]


def render_textured(
    vertices_cam: Float[Tensor, "faces verts 3"],
    mesh: UvMesh,
    textures: Sequence[Float[Tensor, "_ _ 3"]],
    *,
    focal_px: float,
    background: Float[Tensor, "rows cols 3"],
    center_px: tuple[float, float] | None = None,
) -> TexturedImage:
    """Draw textured faces through a pinhole camera; a nearer face hides a farther one.

    Args:
        vertices_cam: Camera-frame vertices, meters.
        mesh: Triangles and texture coordinates, common to all faces.
        textures: One per face, in the layout of `mesh`; texels outside the islands must repeat those inside.
        focal_px: Focal length in pixels.
        background: Colors behind the faces; its size is the picture's.
        center_px: Principal point (x, y); the picture's center by default.
    """
    rows, cols, _ = background.shape
    moved = _recentered(vertices_cam, focal_px, (cols / 2, rows / 2), center_px)
    image_index = torch.zeros(len(moved), dtype=torch.int64)
    fragments = rasterize_faces(moved, mesh.triangles, image_index, focal_px=focal_px, size_hw=(rows, cols))
    pixels = surface_pixels(fragments, moved, mesh.triangles, focal_px=focal_px)
    at = uv_at_surface(pixels.triangle, pixels.barycentric, mesh)
    values = at.new_zeros(len(at), 3)
    for index, texture in enumerate(textures):
        inside = pixels.face == index
        values[inside] = sample_image(_reduced(texture, mesh, pixels.triangle[inside]), at[inside])
    picture = scatter_to_image(values, pixels, background[None])[0].clamp(0.0, 1.0)
    return TexturedImage(picture, fragments.mask[0], fragments.face[0], fragments.triangle[0])


def _recentered(
    vertices_cam: Tensor, focal_px: float, middle_px: tuple[float, float], center_px: tuple[float, float] | None
) -> Tensor:
    """Shear the vertices so that the picture's center, where the rasterizer's axis passes, is the principal point."""
    if center_px is None:
        return vertices_cam
    shift = vertices_cam.new_tensor([(center_px[axis] - middle_px[axis]) / focal_px for axis in (0, 1)])
    return torch.cat([vertices_cam[..., :2] + shift * vertices_cam[..., 2:], vertices_cam[..., 2:]], dim=-1)


def _reduced(texture: Tensor, mesh: UvMesh, triangle: Int[Tensor, " pixels"]) -> Tensor:
    """Halve a texture until its texels are about as large as the pixels that show it, against aliasing."""
    if len(triangle) == 0:
        return texture
    corners = mesh.uv[mesh.uv_triangles[triangle.unique()]]
    along, across = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = (along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0]).abs().sum() / 2
    texels_per_pixel = float(area) * texture.shape[0] * texture.shape[1] / len(triangle)
    planes = texture.permute(2, 0, 1)[None]
    while texels_per_pixel > 2.0 and min(planes.shape[2:]) % 2 == 0:
        planes, texels_per_pixel = F.avg_pool2d(planes, 2), texels_per_pixel / 4
    return planes[0].permute(1, 2, 0)
