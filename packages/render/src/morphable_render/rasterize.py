"""Which triangle each pixel shows: meshes in, triangle index, barycentrics, depth and mask per pixel out."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from morphable_render import _raster_numba

Backend = Literal["numba", "triton", "pytorch3d"]
BACKENDS: tuple[Backend, ...] = ("numba", "triton", "pytorch3d")

NEAR_M = 0.01
"""Surface nearer to the camera plane than this is cut away."""


@dataclass(frozen=True)
class Fragments:
    """What each pixel of an image shows. Where `mask` is false every other field is zero and means nothing."""

    triangle: Int[Tensor, "*batch rows cols"]
    """Index into the triangles of the mesh."""
    barycentric: Float[Tensor, "*batch rows cols 3"]
    """Perspective-correct weights of the triangle's corners; detached."""
    depth_m: Float[Tensor, "*batch rows cols"]
    """Camera-frame z of the surface at the pixel's centre; detached."""
    mask: Bool[Tensor, "*batch rows cols"]
    face: Int[Tensor, "*batch rows cols"]
    """Which of the rasterised meshes the pixel shows, counted over the whole call."""


def rasterize(
    vertices_cam: Float[Tensor, "*batch verts 3"],
    triangles: Int[Tensor, "*#batch tris 3"] | Int[Tensor, "tris 3"],
    *,
    focal_px: Float[Tensor, "*#batch"] | float | int,
    size_hw: tuple[int, int],
    backend: Backend | None = None,
) -> Fragments:
    """Rasterise one mesh per image.

    A pixel belongs to a triangle if its centre lies inside; centres on an edge go to one side by the
    top-left rule. Both sides of a triangle are drawn; degenerate ones (repeated corners, which may
    pad a batch of different meshes) are not. What lies before `NEAR_M` is cut away. Equal depths go
    to the lower triangle index.

    Args:
        vertices_cam: Camera-frame vertices, metres.
        triangles: Vertex indices, shared by the batch or one list per mesh.
        focal_px: Focal length in pixels; the principal point is the image centre.
        size_hw: Height and width in pixels.
        backend: `numba` (CPU), `triton` (CUDA) or `pytorch3d`; by default the one for the vertices' device.

    Raises:
        ValueError: A vertex is not finite, an index is out of range, the image is empty, or the backend
            cannot work here.
    """
    batch = vertices_cam.shape[:-2]
    count = batch.numel()
    focal = _per_image(focal_px, batch, vertices_cam)
    meshes = triangles.reshape(1, -1, 3) if triangles.ndim == 2 else triangles.expand(*batch, -1, -1).flatten(0, -3)
    image_index = torch.arange(count, device=vertices_cam.device)
    flat = vertices_cam.reshape(count, -1, 3)
    fragments = _draw(flat, meshes, image_index, focal_px=focal, size_hw=size_hw, backend=backend)
    return Fragments(*(layer.reshape(*batch, *layer.shape[1:]) for layer in _layers(fragments)))


def rasterize_faces(
    vertices_cam: Float[Tensor, "faces verts 3"],
    triangles: Int[Tensor, "tris 3"],
    image_index: Int[Tensor, " faces"],
    *,
    focal_px: Float[Tensor, "#images"] | float | int,
    size_hw: tuple[int, int],
    num_images: int = 1,
    backend: Backend | None = None,
) -> Fragments:
    """Rasterise any number of faces into a batch of images, those of one image into one z-buffer.

    Args:
        vertices_cam: Camera-frame vertices of all faces, metres.
        triangles: The faces' common triangles.
        image_index: The image that each face belongs to.
        focal_px: Focal length in pixels, common or per image.
        size_hw: Height and width of every image.
        num_images: How many images there are; some may hold no face.
        backend: As in `rasterize`.

    Raises:
        ValueError: As in `rasterize`, or a face belongs to no image.
    """
    focal = _per_image(focal_px, torch.Size([num_images]), vertices_cam)
    return _draw(vertices_cam, triangles[None], image_index, focal_px=focal, size_hw=size_hw, backend=backend)


def _layers(fragments: Fragments) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """List the fields in the order of the constructor."""
    return fragments.triangle, fragments.barycentric, fragments.depth_m, fragments.mask, fragments.face


def _per_image(focal_px: Tensor | float | int, batch: torch.Size, like: Tensor) -> Float[Tensor, " images"]:
    """Give every image its own focal length, in float64 so that all backends divide alike."""
    focal = torch.as_tensor(focal_px, dtype=torch.float64, device=like.device)
    return focal.expand(batch).reshape(-1).detach()


def _draw(
    vertices_cam: Float[Tensor, "faces verts 3"],
    triangles: Int[Tensor, "meshes tris 3"],
    image_index: Int[Tensor, " faces"],
    *,
    focal_px: Float[Tensor, " images"],
    size_hw: tuple[int, int],
    backend: Backend | None,
) -> Fragments:
    """Check the arguments and hand over to the backend."""
    height, width = size_hw
    if height < 1 or width < 1:
        raise ValueError(f"size_hw must be at least (1, 1), got {tuple(size_hw)}")
    if not bool((focal_px > 0).all()):
        raise ValueError(f"focal_px must be positive, got {focal_px.tolist()}")
    outside = (image_index < 0) | (image_index >= len(focal_px))
    if bool(outside.any()):
        raise ValueError(f"image_index must be in [0, {len(focal_px) - 1}], got {image_index[outside].tolist()}")
    chosen = backend or ("triton" if vertices_cam.is_cuda else "numba")
    if chosen == "numba":
        return _draw_numba(vertices_cam, triangles, image_index, focal_px=focal_px, size_hw=size_hw)
    raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")


def _draw_numba(
    vertices_cam: Float[Tensor, "faces verts 3"],
    triangles: Int[Tensor, "meshes tris 3"],
    image_index: Int[Tensor, " faces"],
    *,
    focal_px: Float[Tensor, " images"],
    size_hw: tuple[int, int],
) -> Fragments:
    """Rasterise on the CPU."""
    if vertices_cam.device.type != "cpu":
        raise ValueError(f"backend 'numba' must be given CPU tensors, got {vertices_cam.device}; use 'triton'")
    layers = _raster_numba.draw(
        np.ascontiguousarray(vertices_cam.detach().numpy(), dtype=np.float32),
        np.ascontiguousarray(triangles.numpy(), dtype=np.int64),
        image_index.numpy(),
        focal_px=focal_px.numpy(),
        size_hw=size_hw,
        near_m=NEAR_M,
    )
    face, triangle, barycentric, depth_m, mask = (torch.from_numpy(layer) for layer in layers)
    return Fragments(triangle, barycentric, depth_m, mask, face)
