"""Pictures of one image's faces, textured and lit, in one camera and one z-buffer."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from morphable_render.interpolation import interpolate_at, scatter_to_image, surface_pixels
from morphable_render.lighting import lighting_normals, shade_sh
from morphable_render.normals import vertex_normals
from morphable_render.rasterization import Backend, rasterize_faces


@dataclass(frozen=True)
class FaceImage:
    """One rendered image. Where `mask` is false, `rgb` is the background and the other fields are zero."""

    rgb: Float[Tensor, "rows cols 3"]
    """sRGB-encoded, not clamped: strong light exceeds 1."""
    mask: Bool[Tensor, "rows cols"]
    depth_m: Float[Tensor, "rows cols"]
    """Camera-frame z, differentiable."""
    normals: Float[Tensor, "rows cols 3"]
    """Unit normals in the camera frame (+y down, +z into the scene)."""
    face: Int[Tensor, "rows cols"]
    """Index of the face that the pixel shows."""
    triangle: Int[Tensor, "rows cols"]
    barycentric: Float[Tensor, "rows cols 3"]
    """Weights of the triangle's corners, differentiable."""
    part: Int[Tensor, "rows cols"]
    """Part label of the triangle shown; zero if no labels were given."""


def render_faces(
    vertices_cam: Float[Tensor, "faces verts 3"],
    triangles: Int[Tensor, "tris 3"],
    albedo: Float[Tensor, "faces verts 3"],
    *,
    illumination: Float[Tensor, "faces 9 3"] | None = None,
    focal_px: Float[Tensor, ""] | float | int,
    background: Float[Tensor, "rows cols 3"],
    part_labels: Int[Tensor, " tris"] | None = None,
    backend: Backend | None = None,
) -> FaceImage:
    """Render the faces of one image; a nearer face hides a farther one.

    Args:
        vertices_cam: Camera-frame vertices, meters.
        triangles: Common triangles, counter-clockwise seen from outside.
        albedo: sRGB-encoded vertex colors in [0, 1].
        illumination: Spherical-harmonics light per face (`shade_sh`); none shows the bare albedo.
        focal_px: Focal length in pixels; the principal point is the image center.
        background: Colors behind the faces; its size is the picture's.
        part_labels: Label of each triangle.
        backend: As in `rasterize`.

    Returns:
        Everything that covered pixels show, differentiable in vertices, albedo, light and focal length.

    >>> image = render_faces(
    ...     vertices_cam, model.triangles, albedo, focal_px=200.0, background=torch.zeros(64, 64, 3)
    ... )
    >>> image.rgb.shape
    torch.Size([64, 64, 3])
    """
    size_hw = (background.shape[0], background.shape[1])
    image_index = torch.zeros(len(vertices_cam), dtype=torch.int64, device=vertices_cam.device)
    focal = focal_px[None] if isinstance(focal_px, Tensor) else focal_px
    fragments = rasterize_faces(vertices_cam, triangles, image_index, focal_px=focal, size_hw=size_hw, backend=backend)
    pixels = surface_pixels(fragments, vertices_cam, triangles, focal_px=focal)
    normals = vertex_normals(vertices_cam, triangles)
    color = albedo if illumination is None else shade_sh(albedo, lighting_normals(normals), illumination)
    values = interpolate_at(torch.cat([color, normals, vertices_cam[..., 2:]], dim=-1), pixels)

    def on_zero(value: Tensor) -> Tensor:
        return scatter_to_image(value, pixels, value.new_zeros(1, *size_hw, *value.shape[1:]))[0]

    labels = torch.zeros_like(pixels.triangle) if part_labels is None else part_labels[pixels.triangle]
    return FaceImage(
        rgb=scatter_to_image(values[:, :3], pixels, background[None])[0],
        mask=fragments.mask[0],
        depth_m=on_zero(values[:, 6]),
        normals=on_zero(torch.nn.functional.normalize(values[:, 3:6], dim=-1)),
        face=fragments.face[0],
        triangle=fragments.triangle[0],
        barycentric=on_zero(pixels.barycentric),
        part=on_zero(labels),
    )
