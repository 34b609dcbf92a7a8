"""Which triangle each pixel shows: meshes in, triangle index, barycentrics, depth and mask per pixel out."""

import os
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

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
    """Camera-frame z of the surface at the pixel's center; detached."""
    mask: Bool[Tensor, "*batch rows cols"]
    face: Int[Tensor, "*batch rows cols"]
    """Which of the rasterized meshes the pixel shows, counted over the whole call."""


def rasterize(
    vertices_cam: Float[Tensor, "*batch verts 3"],
    triangles: Int[Tensor, "*#batch tris 3"] | Int[Tensor, "tris 3"],
    *,
    focal_px: Float[Tensor, "*#batch"] | float | int,
    size_hw: tuple[int, int],
    backend: Backend | None = None,
) -> Fragments:
    """Rasterize one mesh per image.

    A pixel belongs to a triangle if its center lies inside; centers on an edge go to one side by the
    top-left rule. Both sides of a triangle are drawn; degenerate ones (repeated corners, which may
    pad a batch of different meshes) are not. What lies before `NEAR_M` is cut away. Equal depths go
    to the lower triangle index.

    Args:
        vertices_cam: Camera-frame vertices, meters.
        triangles: Vertex indices, shared by the batch or one list per mesh.
        focal_px: Focal length in pixels; the principal point is the image center.
        size_hw: Height and width in pixels.
        backend: `numba` (CPU), `triton` (CUDA) or `pytorch3d`; by default the one for the vertices' device.

    Raises:
        ValueError: A vertex is not finite, an index is out of range, the image is empty, or the backend
            cannot work here.

    >>> fragments = rasterize(vertices_cam[0], model.triangles, focal_px=200.0, size_hw=(64, 64))
    >>> bool((fragments.triangle >= 0).any())
    True
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
    """Rasterize any number of faces into a batch of images, those of one image into one z-buffer.

    Args:
        vertices_cam: Camera-frame vertices of all faces, meters.
        triangles: The faces' common triangles.
        image_index: The image that each face belongs to.
        focal_px: Focal length in pixels, common or per image.
        size_hw: Height and width of every image.
        num_images: How many images there are; some may hold no face.
        backend: As in `rasterize`.

    Raises:
        ValueError: As in `rasterize`, or a face belongs to no image.

    >>> image_index = torch.zeros(2, dtype=torch.int64)
    >>> fragments = rasterize_faces(vertices_cam, model.triangles, image_index, focal_px=200.0, size_hw=(64, 64))
    >>> fragments.triangle.shape
    torch.Size([1, 64, 64])
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
    if chosen not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    draw = {"numba": _draw_numba, "triton": _draw_triton, "pytorch3d": _draw_pytorch3d}[chosen]
    arguments = vertices_cam.detach().float(), triangles, image_index
    face, triangle, barycentric, depth_m, mask = draw(*arguments, focal_px=focal_px, size_hw=size_hw, near_m=NEAR_M)
    return Fragments(triangle, barycentric, depth_m, mask, face)


def _draw_numba(
    vertices_cam: Tensor, triangles: Tensor, image_index: Tensor, *, focal_px: Tensor, **settings: Any
) -> tuple[Tensor, ...]:
    """Rasterize on the CPU."""
    if vertices_cam.device.type != "cpu":
        raise ValueError(f"backend 'numba' must be given CPU tensors, got {vertices_cam.device}; use 'triton'")
    from morphable_render import _raster_numba  # Numba takes most of a second to import

    arrays = vertices_cam.contiguous().numpy(), triangles.long().contiguous().numpy(), image_index.long().numpy()
    return tuple(
        torch.from_numpy(layer) for layer in _raster_numba.draw(*arrays, focal_px=focal_px.numpy(), **settings)
    )


def _check_mesh(vertices_cam: Tensor, triangles: Tensor) -> None:
    """Refuse what would make a backend without its own checks read foreign memory or draw nothing."""
    outside = (triangles < 0) | (triangles >= vertices_cam.shape[1])
    not_finite, bad_index = torch.stack([~vertices_cam.isfinite().all(), outside.any()]).tolist()
    from morphable_render import _raster_numba

    if not_finite:
        raise ValueError(_raster_numba.NOT_FINITE_MESSAGE)
    if bad_index:
        raise ValueError(_raster_numba.BAD_INDEX_MESSAGE)


def _draw_triton(vertices_cam: Tensor, triangles: Tensor, *arguments: Tensor, **settings: Any) -> tuple[Tensor, ...]:
    """Rasterize on CUDA, or in Triton's interpreter."""
    try:
        from morphable_render import _raster_triton
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "triton":
            raise
        message = "backend 'triton' must be installed, got no such package; run `pip install triton` or use 'numba'"
        raise ValueError(message) from error
    if not vertices_cam.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":
        raise ValueError(f"backend 'triton' must be given CUDA tensors, got {vertices_cam.device}; use 'numba'")
    _check_mesh(vertices_cam, triangles)
    return _raster_triton.draw(vertices_cam, triangles, *arguments, **settings)


def _draw_pytorch3d(vertices_cam: Tensor, triangles: Tensor, *arguments: Tensor, **settings: Any) -> tuple[Tensor, ...]:
    """Rasterize with PyTorch3D."""
    from morphable_render import _raster_pytorch3d

    _check_mesh(vertices_cam, triangles)
    return _raster_pytorch3d.draw(vertices_cam, triangles, *arguments, **settings)
