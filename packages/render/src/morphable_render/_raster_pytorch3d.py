"""PyTorch3D's rasterizer behind our interface, through its public API (checked against 0.7)."""

import torch
from torch import Tensor

NOT_INSTALLED = (
    "backend 'pytorch3d' must be installed: PyPI has no PyTorch3D for Linux; build it as the INSTALL.md of "
    "https://github.com/facebookresearch/pytorch3d says, or use 'numba'"
)


def draw(
    vertices_cam: Tensor,
    triangles: Tensor,
    image_index: Tensor,
    *,
    focal_px: Tensor,
    size_hw: tuple[int, int],
    near_m: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Rasterize faces into images; arguments and results as in `_raster_numba.draw`, as tensors on one device."""
    try:
        from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
        from pytorch3d.structures import Meshes
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "pytorch3d":
            raise
        raise ValueError(NOT_INSTALLED) from error
    points = _normalized(vertices_cam, focal_px[image_index], size_hw)
    verts, faces, slots = _by_image(points, triangles, image_index, num_images=len(focal_px))
    pix_to_face, z, barycentric, _ = rasterize_meshes(
        Meshes(verts, faces),
        image_size=size_hw,
        blur_radius=0.0,
        faces_per_pixel=1,
        perspective_correct=True,
        clip_barycentric_coords=False,
        cull_backfaces=False,
        z_clip_value=near_m,
        cull_to_frustum=False,
    )
    mask = pix_to_face[..., 0] >= 0
    packed = pix_to_face[..., 0].clamp(min=0)
    num_triangles = triangles.shape[1]
    face = slots[packed // num_triangles] if len(slots) else packed
    zero = torch.zeros_like(packed)
    return (
        torch.where(mask, face, zero),
        torch.where(mask, packed % num_triangles, zero),
        torch.where(mask[..., None], barycentric[:, :, :, 0], 0.0),
        torch.where(mask, z[..., 0], 0.0),
        mask,
    )


def _by_image(
    points: Tensor, triangles: Tensor, image_index: Tensor, *, num_images: int
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Join the meshes of each image into one; return vertices, triangles, and the meshes in the packed order."""
    verts, faces, slots = [], [], []
    for image in range(num_images):
        mine = (image_index == image).nonzero()[:, 0]
        offset = torch.arange(len(mine), device=mine.device)[:, None, None] * points.shape[1]
        mesh = triangles.expand(len(mine), -1, -1) if len(triangles) == 1 else triangles[mine]
        verts.append(points[mine].reshape(-1, 3))
        faces.append((mesh + offset).reshape(-1, 3))
        slots.append(mine)
    return verts, faces, torch.cat(slots)


def _normalized(vertices_cam: Tensor, focal_px: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Return PyTorch3D's screen coordinates: +x left, +y up, the shorter side from -1 to 1, and depth in meters."""
    half = min(size_hw) / 2
    depth = vertices_cam[..., 2:]
    return torch.cat([-vertices_cam[..., :2] / depth * focal_px.to(depth)[:, None, None] / half, depth], dim=-1)
