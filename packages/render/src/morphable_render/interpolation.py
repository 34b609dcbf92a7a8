"""Surface values at covered pixels, with gradients to vertices, attributes and camera.

The rasterizer decides which triangle a pixel shows and needs no gradient. Here the weights of that
triangle's corners are recomputed from the vertices, so that gradients flow through covered pixels
(not through the silhouette's position). Cost and memory follow the number of covered pixels.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from morphable.geometry import Pinhole
from morphable_render.rasterization import Fragments

MIN_RELATIVE_AREA = 1e-4
"""Triangles seen thinner than this (area over squared extent) keep detached weights: their gradient is noise."""


@dataclass(frozen=True)
class SurfacePixels:
    """The covered pixels of a batch of images as one list, image by image, row by row."""

    image: Int[Tensor, " pixels"]
    row: Int[Tensor, " pixels"]
    col: Int[Tensor, " pixels"]
    face: Int[Tensor, " pixels"]
    triangle: Int[Tensor, " pixels"]
    corner: Int[Tensor, "pixels 3"]
    """Corners of the shown triangle as rows of the flattened (faces * verts) vertices."""
    barycentric: Float[Tensor, "pixels 3"]
    """Perspective-correct weights of the corners, differentiable."""
    ranges: tuple[tuple[int, int], ...]
    """Start and end of each image's pixels in the list."""


def surface_pixels(
    fragments: Fragments,
    vertices_cam: Float[Tensor, "faces verts 3"],
    triangles: Int[Tensor, "tris 3"] | Int[Tensor, "faces tris 3"],
    *,
    focal_px: Float[Tensor, "#images"] | float | int,
) -> SurfacePixels:
    """List the covered pixels and recompute their barycentrics differentiably.

    Args:
        fragments: Of a batch of images: `rasterize` of a flat batch, or `rasterize_faces`.
        vertices_cam: The vertices that were rasterized; gradients flow to them.
        triangles: The triangles that were rasterized.
        focal_px: Focal length in pixels; gradients flow to it if it is a tensor.
    """
    _, height, width = fragments.mask.shape
    image, row, col = fragments.mask.nonzero(as_tuple=True)
    face, triangle = fragments.face[image, row, col], fragments.triangle[image, row, col]
    corner = (triangles[triangle] if triangles.ndim == 2 else triangles[face, triangle]) + (
        face * vertices_cam.shape[1]
    )[:, None]
    pixel_px = torch.stack([col, row], dim=-1).to(vertices_cam) + 0.5
    focal = focal_px.expand(len(fragments.mask))[image, None] if isinstance(focal_px, Tensor) else focal_px
    ray = Pinhole((height, width)).from_principal_px(pixel_px) / focal
    detached = fragments.barycentric[image, row, col].to(vertices_cam)
    points = vertices_cam.flatten(0, 1)
    ends = fragments.mask.flatten(1).sum(1).cumsum(0).tolist()
    ranges = tuple(zip([0, *ends[:-1]], ends, strict=True))
    if points.device.type == "cpu":
        from morphable_render import _surface_numba  # Numba takes most of a second to import

        arguments = points.contiguous(), ray, corner, detached, MIN_RELATIVE_AREA, ranges
        barycentric: Tensor = _surface_numba.Barycentric.apply(*arguments)
    else:
        barycentric = _barycentric(points, corner, ray, detached)
    return SurfacePixels(image, row, col, face, triangle, corner, barycentric, ranges)


def _barycentric(
    vertices_cam: Float[Tensor, "verts 3"],
    corner: Int[Tensor, "pixels 3"],
    ray: Float[Tensor, "pixels 2"],
    detached: Float[Tensor, "pixels 3"],
) -> Float[Tensor, "pixels 3"]:
    """Intersect the ray (x, y, 1) with each triangle; weights from the corners' offsets to the ray."""
    points = vertices_cam[corner]
    x, y = (points[..., :2] - points[..., 2:] * ray[:, None]).unbind(-1)
    weight = x.roll(-1, 1) * y.roll(-2, 1) - y.roll(-1, 1) * x.roll(-2, 1)
    total = weight.sum(dim=1, keepdim=True)
    extent = (x * x + y * y).amax(dim=1, keepdim=True).detach()
    sound = total.abs() > MIN_RELATIVE_AREA * extent
    return torch.where(sound, weight / torch.where(sound, total, 1.0), detached)


def interpolate_at(
    attributes: Float[Tensor, "faces verts channels"], pixels: SurfacePixels
) -> Float[Tensor, "pixels channels"]:
    """Interpolate per-vertex values at the listed pixels."""
    values = attributes.flatten(0, 1)
    if values.device.type == "cpu":
        from morphable_render import _surface_numba

        weights = pixels.barycentric.to(values.dtype)
        arguments = values.contiguous(), weights, pixels.corner, pixels.ranges
        result: Tensor = _surface_numba.Gather.apply(*arguments)
        return result
    return _gather(values, pixels.barycentric.to(values.dtype), pixels.corner)


def _gather(
    values: Float[Tensor, "verts channels"], barycentric: Float[Tensor, "pixels 3"], corner: Int[Tensor, "pixels 3"]
) -> Float[Tensor, "pixels channels"]:
    """Sum three weighted rows per pixel with PyTorch's own operations, on any device."""
    first, second, third = (barycentric[:, k, None] * values[corner[:, k]] for k in range(3))
    return first + second + third


def scatter_to_image(
    values: Shaped[Tensor, "pixels ..."],
    pixels: SurfacePixels,
    background: Shaped[Tensor, "images rows cols ..."],
) -> Shaped[Tensor, "images rows cols ..."]:
    """Put values of the listed pixels over a background; differentiable in both."""
    return background.index_put((pixels.image, pixels.row, pixels.col), values.to(background.dtype))


def interpolate(
    attributes: Float[Tensor, "*batch verts channels"],
    vertices_cam: Float[Tensor, "*batch verts 3"],
    triangles: Int[Tensor, "tris 3"],
    fragments: Fragments,
    *,
    focal_px: Float[Tensor, "*#batch"] | float | int,
) -> Float[Tensor, "*batch rows cols channels"]:
    """Interpolate per-vertex values over the images of `rasterize`, zero where nothing is covered.

    Gradients flow to the attributes, the vertices and the focal length.
    """
    batch = vertices_cam.shape[:-2]
    flat = Fragments(
        *(
            layer.reshape(-1, *layer.shape[len(batch) :])
            for layer in (fragments.triangle, fragments.barycentric, fragments.depth_m, fragments.mask, fragments.face)
        )
    )
    focal = focal_px.expand(batch).reshape(-1) if isinstance(focal_px, Tensor) else focal_px
    pixels = surface_pixels(flat, vertices_cam.reshape(-1, *vertices_cam.shape[-2:]), triangles, focal_px=focal)
    values = interpolate_at(attributes.reshape(-1, *attributes.shape[-2:]), pixels)
    background = values.new_zeros(*flat.mask.shape, attributes.shape[-1])
    return scatter_to_image(values, pixels, background).reshape(*fragments.mask.shape, -1)
