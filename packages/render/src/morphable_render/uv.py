"""Values on the surface as square images in the mesh's UV plane, and back.

A UV map has u to the right and v down, both 0 at the corner of the first texel and 1 at the far corner.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from morphable import MorphableModel
from morphable_render.rasterization import rasterize

PositionMapKind = Literal["atlas", "face"]
"""Where a position map has its texels: in the model's own UV plane, or most of them on eyes, nose and mouth."""
HIDDEN_PARTS = ("left_eye", "right_eye", "inner_mouth")
"""Parts whose texels carry no landmark."""
FACE_REGION = "face"
FEATURE_M, FEATURE_WEIGHT, OUTSIDE_WEIGHT = 0.012, 10.0, 0.02
"""Weight of the surface within this distance of the 51 inner points, and outside the face; the rest of it has one."""
BINS, SMOOTHED_BINS, EVEN_SHARE = 512, 3, 0.3
"""Strips of the UV plane that get texels by the weight of the surface in them, how many are averaged, and the share of
the texels that is spread evenly."""
MAX_REMAINDER_M = 0.01
"""A vertex that a map of the mean face misses by more is not in the map."""
_ROWS_AT_ONCE = 128
"""Rows of a UV map that are drawn or mirrored together."""
_POINTS_AT_ONCE = 1 << 18
"""Points of a map that are read together."""
_EXACT_IN_FLOAT32 = 1 << 24
MAX_CONTINUATION = 2.0
"""Margins continue a triangle by no more than this many times its own size."""
_KEPT_MESHES, _KEPT_LAYOUTS = 8, 4


@dataclass(frozen=True, eq=False)
class UvMesh:
    """A mesh's topology with texture coordinates."""

    triangles: Int[Tensor, "tris 3"]
    uv: Float[Tensor, "uv_verts 2"]
    """Texture coordinates in [0, 1], u right, v down."""
    uv_triangles: Int[Tensor, "tris 3"]
    """Corners of each triangle as indices into `uv`."""
    mirror_vertices: Int[Tensor, " verts"] | None = None
    """Counterpart of each vertex on the other side of the face, if the topology is symmetric."""


@dataclass(frozen=True, eq=False)
class UvLayout:
    """What each texel of a UV map, or of some of its rows, shows. Where `mask` is false the others mean nothing."""

    mesh: UvMesh
    triangle: Int[Tensor, "rows size"]
    barycentric: Float[Tensor, "rows size 3"]
    mask: Bool[Tensor, "rows size"]

    @cached_property
    def inside(self) -> tuple[Int[Tensor, " texels"], Int[Tensor, "3 texels"], Float[Tensor, "3 texels"]]:
        """Row-major indices of the texels that show something, and the corners and weights of what they show."""
        corner = self.mesh.triangles[self.triangle[self.mask]].T.contiguous()
        texel = self.mask.reshape(-1).nonzero()[:, 0]
        return texel, corner, self.barycentric[self.mask].T.contiguous()

    def bands(self) -> Iterator["UvLayout"]:
        """Return a few rows after the other: what is computed for each texel takes hundreds of bytes on the way."""
        for start in range(0, len(self.mask), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            yield UvLayout(self.mesh, self.triangle[rows], self.barycentric[rows], self.mask[rows])


def uv_mesh(model: MorphableModel) -> UvMesh:
    """Take a face model's topology.

    >>> uv_mesh(model).uv.shape[1]
    2
    """
    return UvMesh(model.triangles, model.uv, model.uv_triangles, model.mirror_vertices)


def uv_layout(mesh: UvMesh, size: int, *, margin: int = 2) -> UvLayout:
    """Find the surface point under the center of every texel.

    Args:
        mesh: Topology with texture coordinates. Where triangles overlap in the UV plane the first one wins.
        size: Texels along each side of the map.
        margin: Empty texels around each island that continue it linearly, so that bilinear reading
            is right up to the island's edge.

    >>> uv_layout(uv_mesh(model), 64).triangle.shape
    torch.Size([64, 64])
    """
    flat = torch.cat([(mesh.uv - 0.5) * size, torch.ones_like(mesh.uv[:, :1])], dim=-1)
    fragments = rasterize(flat, mesh.uv_triangles, focal_px=1.0, size_hw=(size, size))
    layout = UvLayout(mesh, fragments.triangle, fragments.barycentric, fragments.mask)
    for _ in range(margin):
        _grow(layout)
    return layout


def _grow(layout: UvLayout) -> None:
    """Continue every island by one texel, in place."""
    size = len(layout.mask)
    exact = torch.float32 if len(layout.mesh.triangles) < _EXACT_IN_FLOAT32 else torch.float64
    filled = torch.where(layout.mask, layout.triangle + 1, 0).to(exact)
    around = F.max_pool2d(filled[None, None], 3, stride=1, padding=1)[0, 0]
    row, col = ((around > 0) & ~layout.mask).nonzero(as_tuple=True)
    triangle = around[row, col].long() - 1
    center = (torch.stack([col, row], dim=-1) + 0.5) / size
    x, y = (layout.mesh.uv[layout.mesh.uv_triangles[triangle]] - center[:, None]).unbind(-1)
    weight = x.roll(-1, 1) * y.roll(-2, 1) - y.roll(-1, 1) * x.roll(-2, 1)
    weight = (weight / weight.sum(1, keepdim=True)).clamp(-MAX_CONTINUATION, 1 + MAX_CONTINUATION)
    layout.barycentric[row, col] = (weight / weight.sum(1, keepdim=True)).to(layout.barycentric)
    layout.triangle[row, col], layout.mask[row, col] = triangle, True


def uv_map_from_vertices(
    attributes: Float[Tensor, "*batch verts channels"], layout: UvLayout
) -> Float[Tensor, "*batch rows size channels"]:
    """Draw per-vertex values into the UV plane, zero outside the layout.

    Of vertex positions this is the UV position map (Feng et al., PRNet, ECCV 2018). Differentiable in the values.
    """
    image = attributes.new_zeros(*attributes.shape[:-2], *layout.mask.shape, attributes.shape[-1])
    top = 0
    for band in layout.bands():
        rows = image[..., top : top + len(band.mask), :, :]
        top += len(band.mask)
        corner = band.mesh.triangles[band.triangle[band.mask]]
        weight = band.barycentric[band.mask].to(attributes.dtype)
        first, second, third = (attributes[..., corner[:, k], :] * weight[:, k, None] for k in range(3))
        rows[..., band.mask, :] = first + second + third
    return image


def sample_image(
    image: Float[Tensor, "*batch rows cols channels"],
    at: Float[Tensor, "points 2"],
    mask: Bool[Tensor, "rows cols"] | None = None,
) -> Float[Tensor, "*batch points channels"]:
    """Read an image or UV map at (x, y) in [0, 1], bilinearly; differentiable in the image.

    Args:
        image: Any number of channels.
        at: Positions as fractions of width and height; beyond the edge the last pixel counts.
        mask: Pixels that hold a value. Others get no weight, so that islands keep their colors up to
            their edges. A point without any valid neighbor reads zero.

    >>> sample_image(torch.tensor([[[0.0], [1.0]]]), torch.tensor([[0.5, 0.5]]))
    tensor([[0.5000]])
    """
    batch, (rows, cols, channels) = image.shape[:-3], image.shape[-3:]
    planes = image.reshape(-1, rows, cols, channels).permute(0, 3, 1, 2)
    valid = image.new_ones(1, 1, rows, cols) if mask is None else mask.to(image.dtype)[None, None]
    masked = planes * valid
    read = []
    for some in at.to(image.dtype).split(_POINTS_AT_ONCE):
        grid = (some * 2 - 1)[None, None]
        value, weight = (
            F.grid_sample(of, grid.expand(len(of), -1, -1, -1), padding_mode="border", align_corners=False)[:, :, 0]
            for of in (masked, valid)
        )
        read.append(value / torch.where(weight > 0, weight, 1.0))
    return torch.cat(read, dim=-1).permute(0, 2, 1).reshape(*batch, len(at), channels)


def vertices_from_uv_map(
    image: Float[Tensor, "*batch size size channels"], layout: UvLayout
) -> Float[Tensor, "*batch verts channels"]:
    """Read per-vertex values off a UV map: the mesh that a position map holds.

    A vertex on a seam has several texture coordinates and takes the mean of what they read. Vertices
    that belong to no triangle read zero. Differentiable in the map.
    """
    mesh = layout.mesh
    vertex, corner = _texture_places(mesh)
    read = sample_image(image, mesh.uv[corner], layout.mask)
    num_vertices = int(mesh.triangles.max()) + 1
    count = torch.bincount(vertex, minlength=num_vertices).clamp(min=1).to(image.dtype)
    total = read.new_zeros(*read.shape[:-2], num_vertices, read.shape[-1]).index_add(-2, vertex, read)
    return total / count[:, None]


def uv_at_surface(
    triangle: Int[Tensor, "*points"], barycentric: Float[Tensor, "*points 3"], mesh: UvMesh
) -> Float[Tensor, "*points 2"]:
    """Return the texture coordinates of surface points, such as the pixels of a rendered image."""
    return (mesh.uv[mesh.uv_triangles[triangle]] * barycentric[..., None]).sum(-2)


@lru_cache(maxsize=_KEPT_LAYOUTS)
def mirrored_uv(layout: UvLayout) -> tuple[Float[Tensor, "size size 2"], Bool[Tensor, "size size"]]:
    """Find where in the UV plane the mirror image of each texel's surface point lies; kept for the last few layouts.

    Returns:
        Coordinates, and whether they exist: on seams, where a vertex has several, they are not guessed.
    """
    mesh = layout.mesh
    if mesh.mirror_vertices is None:
        raise ValueError("layout must be of a mesh with mirror_vertices, got one without; bake without mirroring")
    corner, uv_corner = mesh.triangles.reshape(-1), mesh.uv_triangles.reshape(-1)
    low = torch.full_like(mesh.mirror_vertices, len(mesh.uv)).scatter_reduce(0, corner, uv_corner, "amin")
    high = torch.full_like(low, -1).scatter_reduce(0, corner, uv_corner, "amax")
    single, place = low == high, mesh.uv[low.clamp(max=len(mesh.uv) - 1)]
    known: list[Tensor] = []
    at: list[Tensor] = []
    for band in layout.bands():
        opposite = mesh.mirror_vertices[mesh.triangles[band.triangle]]
        known.append(single[opposite].all(-1) & band.mask)
        at.append((place[opposite] * band.barycentric.to(place)[..., None]).sum(-2))
    return torch.cat(at), torch.cat(known)


@lru_cache(maxsize=_KEPT_MESHES)
def _texture_places(mesh: UvMesh) -> tuple[Int[Tensor, " places"], Int[Tensor, " places"]]:
    """Vertices with each of their texture coordinates; kept for the last few meshes."""
    pairs = torch.stack([mesh.triangles.reshape(-1), mesh.uv_triangles.reshape(-1)], dim=-1).unique(dim=0)
    return pairs[:, 0], pairs[:, 1]


@dataclass(frozen=True)
class PositionMapLayout:
    """How a position map holds the vertices of a face model (Feng et al., PRNet, ECCV 2018)."""

    uv: UvLayout
    at: Float[Tensor, "verts 2"]
    """Where the map is read for each vertex: of its texture coordinates the one that holds the mean face best. A vertex
    on a seam has several, and texels of folds belong to other parts of the surface."""
    mean: Float[Tensor, "verts 3"]
    """The mean face, meters."""
    remainder: Float[Tensor, "verts 3"]
    """What reading a map of the mean face misses, meters: detail finer than a texel."""
    held: Bool[Tensor, " verts"]
    """False for vertices of which the map holds nothing: their texels belong to others."""
    fit: Float[Tensor, "4 verts"]
    """Gives the affine map from the mean face to vertices that were read, by least squares."""

    def encode(self, values: Float[Tensor, "*batch verts 3"]) -> Float[Tensor, "*batch size size 3"]:
        """Draw positions, in any affine image of the model frame, into a map; zero outside the layout."""
        return uv_map_from_vertices(values, self.uv)

    def decode(self, maps: Float[Tensor, "*batch size size 3"]) -> Float[Tensor, "*batch verts 3"]:
        """Read positions off a map, and put back what a texel is too coarse to hold, moved as the whole face is.

        A map of the mean face, however it is turned, moved or scaled, gives exactly its vertices back. Vertices that
        the map does not hold are those of the mean face, moved in the same way. Differentiable in the maps.
        """
        read = sample_image(maps, self.at, self.uv.mask)
        affine = self.fit.to(read.dtype) @ read
        moved = self.mean.to(read.dtype) @ affine[..., :3, :] + affine[..., 3:, :]
        detailed = read + self.remainder.to(read.dtype) @ affine[..., :3, :]
        return torch.where(self.held[:, None], detailed, moved)


def position_map_layout(model: MorphableModel, size: int, *, kind: PositionMapKind = "face") -> PositionMapLayout:
    """Lay out position maps of a face model.

    Args:
        model: The model.
        size: Texels along each side of the map.
        kind: `face` stretches the model's UV plane so that eyes, nose and mouth get most of the texels.

    >>> position_map_layout(model, 64).encode(vertices_cam).shape
    torch.Size([2, 64, 64, 3])
    """
    mesh = uv_mesh(model)
    none = model.mean.new_zeros(model.num_identity), model.mean.new_zeros(model.num_expression)
    mean = model.decode_shape(*none)
    if kind == "face":
        weight = _texel_weight(model, mean)
        middle = mesh.uv[mesh.uv_triangles].mean(1)
        mesh = replace(
            mesh, uv=torch.stack([_stretched(mesh.uv[:, k], middle[:, k], weight) for k in range(2)], dim=-1)
        )
    layout = uv_layout(mesh, size)
    image = uv_map_from_vertices(mean, layout)
    vertex, corner = _texture_places(mesh)
    error = (sample_image(image, mesh.uv[corner], layout.mask) - mean[vertex]).norm(dim=-1)
    best = error.new_full((len(mean),), torch.inf).scatter_reduce(0, vertex, error, "amin")
    chosen = error <= best[vertex]
    at = mesh.uv.new_zeros(len(mean), 2)
    at[vertex[chosen]] = mesh.uv[corner[chosen]]
    held = best < MAX_REMAINDER_M
    inside = (_region_or_all(model, FACE_REGION) & held).to(mean.dtype)[:, None]
    known = torch.cat([mean, torch.ones_like(mean[:, :1])], dim=-1) * inside
    fit = torch.linalg.pinv(known.double()).to(mean.dtype)
    return PositionMapLayout(layout, at, mean, mean - sample_image(image, at, layout.mask), held, fit)


def _region_or_all(model: MorphableModel, name: str) -> Bool[Tensor, " verts"]:
    """A named region; all vertices of a model without it."""
    if name in (*model.region_names, *model.part_names):
        return model.region(name)
    return torch.ones(model.num_vertices, dtype=torch.bool, device=model.mean.device)


def _texel_weight(model: MorphableModel, mean: Float[Tensor, "verts 3"]) -> Float[Tensor, " tris"]:
    """How many texels each triangle should have: its area, more near the inner landmarks, little outside the face."""
    first, second, third = mean[model.triangles].unbind(1)
    area = torch.linalg.cross(second - first, third - first).norm(dim=-1) / 2
    inner = model.landmarks(mean)[17:]
    near = torch.cdist((first + second + third) / 3, inner).amin(1) < FEATURE_M
    in_face = _region_or_all(model, FACE_REGION)[model.triangles].all(-1)
    hidden = [model.part_names.index(name) for name in HIDDEN_PARTS if name in model.part_names]
    if hidden:
        in_face = in_face & ~torch.isin(model.part_labels, torch.tensor(hidden, device=mean.device))
    weight = torch.where(near, FEATURE_WEIGHT, 1.0)
    return area * torch.where(in_face, weight, OUTSIDE_WEIGHT)


def _stretched(
    coordinate: Float[Tensor, " uv_verts"], middle: Float[Tensor, " tris"], weight: Float[Tensor, " tris"]
) -> Float[Tensor, " uv_verts"]:
    """Stretch one texture coordinate so that strips of the plane are as wide as the surface in them weighs."""
    strip = (middle * BINS).long().clamp(0, BINS - 1)
    share = weight.new_zeros(BINS).index_add(0, strip, weight)
    kernel = weight.new_ones(1, 1, 2 * SMOOTHED_BINS + 1) / (2 * SMOOTHED_BINS + 1)
    for _ in range(3):
        padded = F.pad(share[None, None], (SMOOTHED_BINS, SMOOTHED_BINS), mode="replicate")
        share = F.conv1d(padded, kernel)[0, 0]
    share = share / share.sum() * (1 - EVEN_SHARE) + EVEN_SHARE / BINS
    edges = F.pad(share.cumsum(0), (1, 0))
    place = coordinate * BINS
    left = place.floor().long().clamp(0, BINS - 1)
    return (edges[left] + share[left] * (place - left)).clamp(0, 1)
