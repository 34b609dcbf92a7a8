"""Fixtures: a small mirror-symmetric model (a half ellipsoid) with every optional part."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from morphable import IBUG68_FLIP, ModelData, MorphableModel, SparseRows, SurfacePoints
from morphable.importers import import_ict

ICT = Path(__file__).parents[3].parent / "shared/data/ict_facekit_sample"
ROWS, COLS = 7, 9  # odd columns: the middle one lies in the plane of symmetry
CANDIDATES = 5


def grid_vertices() -> Tensor:
    """Points of a face-sized half ellipsoid, row by row from the top, the person's right (-x) first."""
    angle = torch.linspace(-math.pi / 2, math.pi / 2, COLS)
    height = torch.linspace(0.11, -0.11, ROWS)
    width = 0.075 * (1 - (height / 0.16) ** 2).sqrt()
    x = width[:, None] * angle.sin()
    z = 1.2 * width[:, None] * angle.cos()
    return torch.stack([x, height[:, None].expand_as(x), z], dim=-1).reshape(-1, 3)


def grid_triangles() -> Tensor:
    """Two triangles per cell, counter-clockwise seen from the front, mirrored at the middle column."""
    cells = []
    for row in range(ROWS - 1):
        for col in range(COLS - 1):
            a, b = row * COLS + col, row * COLS + col + 1
            c, d = a + COLS, b + COLS
            cells += [[a, c, b], [b, c, d]] if col < COLS // 2 else [[a, c, d], [a, d, b]]
    return torch.tensor(cells)


def mirrored_vertices() -> Tensor:
    """Index of each vertex's counterpart."""
    return torch.arange(ROWS * COLS).reshape(ROWS, COLS).flip(1).reshape(-1)


def surface_points(count: int, generator: torch.Generator) -> SurfacePoints:
    """Random points on the surface."""
    weights = torch.rand(count, 3, generator=generator) + 0.1
    triangle = torch.randint(len(grid_triangles()), (count,), generator=generator)
    return SurfacePoints(triangle, weights / weights.sum(-1, keepdim=True))


def symmetric_landmarks(generator: torch.Generator) -> SurfacePoints:
    """68 surface points, each with its mirror image in its counterpart's place."""
    triangles, mirror = grid_triangles(), mirrored_vertices()
    points = surface_points(68, generator)
    triangle, weights = points.triangle.clone(), points.barycentric.clone()
    lookup = {tuple(sorted(corners)): index for index, corners in enumerate(triangles.tolist())}
    for here, there in enumerate(IBUG68_FLIP.tolist()):
        corners = mirror[triangles[triangle[here]]].tolist()
        other = lookup[tuple(sorted(corners))]
        order = [corners.index(vertex) for vertex in triangles[other].tolist()]
        if here < there:
            triangle[there], weights[there] = other, weights[here][order]
        elif here == there:  # on the middle column: an edge from one row to the next
            a = (here % (ROWS - 1)) * COLS + COLS // 2
            triangle[here] = lookup[tuple(sorted((a, a + COLS, a + COLS + 1)))]
            on_edge = [0.5 if v in (a, a + COLS) else 0.0 for v in triangles[triangle[here]].tolist()]
            weights[here] = torch.tensor(on_edge)
    return SurfacePoints(triangle, weights)


def symmetric_basis(modes: int, scale: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random modes that are symmetric or antisymmetric, and their signs."""
    noise = scale * torch.randn(modes, ROWS * COLS, 3, generator=generator)
    mirrored = noise[:, mirrored_vertices()] * torch.tensor([-1.0, 1.0, 1.0])
    sign = torch.tensor([1.0 if mode % 2 == 0 else -1.0 for mode in range(modes)])
    return (noise + sign[:, None, None] * mirrored) / 2, sign


def tiny_data(identity: int = 4, expression: int = 3, albedo: int = 2, seed: int = 0) -> ModelData:
    """Everything a model may hold, at 63 vertices."""
    generator = torch.Generator().manual_seed(seed)
    mirror = mirrored_vertices()
    id_basis, id_flip = symmetric_basis(identity, 0.003, generator)
    expr_basis, _ = symmetric_basis(expression, 0.003, generator)
    expr_flip = torch.arange(expression)
    if expression >= 3:  # the last two are each other's mirror image
        expr_flip[-2:] = expr_flip[-2:].flip(0)
        expr_basis[-1] = expr_basis[-2][mirror] * torch.tensor([-1.0, 1.0, 1.0])
        expr_basis[1 : expression - 2] = expr_basis[0]
    else:
        expr_basis[1:] = expr_basis[:1]
    colors = 0.02 * torch.randn(albedo, ROWS * COLS, 3, generator=generator)
    alb_flip = torch.tensor([1.0 if mode % 2 == 0 else -1.0 for mode in range(albedo)])
    alb_basis = (colors + alb_flip[:, None, None] * colors[:, mirror]) / 2
    front = grid_vertices()
    lines = surface_points(17 * CANDIDATES, generator)
    return ModelData(
        name="tiny",
        license="CC0",
        source="tests",
        mean=front - front.mean(0),
        identity_basis=id_basis,
        expression_basis=expr_basis,
        mean_albedo=torch.full_like(front, 0.6),
        albedo_basis=alb_basis,
        triangles=grid_triangles(),
        expression_names=tuple(f"move{i}" for i in range(expression)),
        part_names=("skin", "lips"),
        part_labels=(torch.arange(len(grid_triangles())) % 7 == 0).long(),
        regions={"upper": front[:, 1] > 0},
        landmarks={"ibug68_3d": symmetric_landmarks(generator)},
        contour=SurfacePoints(lines.triangle.reshape(17, -1), lines.barycentric.reshape(17, -1, 3)),
        mirror_vertices=mirror,
        identity_flip=id_flip,
        albedo_flip=alb_flip,
        expression_flip=expr_flip,
    )


def midpoint_subdivision(data: ModelData) -> ModelData:
    """The tiny model with a vertex added in the middle of its first triangle's first edge (unused by triangles)."""
    count = data.mean.shape[0]
    corner = data.triangles[0, :2]
    rows = SparseRows(
        torch.cat([torch.arange(count + 1), torch.tensor([count + 2])]),
        torch.cat([torch.arange(count), corner]),
        torch.cat([torch.ones(count), torch.full((2,), 0.5)]),
    )
    pad = torch.tensor([count])
    return replace(
        data,
        subdivision=rows,
        regions={name: torch.cat([mask, torch.tensor([False])]) for name, mask in data.regions.items()},
        mirror_vertices=torch.cat([data.mirror_vertices, pad]) if data.mirror_vertices is not None else None,
    )


@pytest.fixture(scope="session")
def ict_head() -> MorphableModel:
    """A real head: the sample of ICT-FaceKit, read from its original files."""
    if not ICT.is_dir():
        pytest.skip(f"{ICT} is not here")
    return MorphableModel(import_ict(ICT))


@pytest.fixture
def data() -> ModelData:
    """The tiny model's content."""
    return tiny_data()


@pytest.fixture
def model() -> MorphableModel:
    """The tiny model: 4 identity, 3 expression, 2 albedo modes, 63 vertices."""
    return MorphableModel(tiny_data())


@pytest.fixture
def subdivided() -> ModelData:
    """The tiny model with one vertex more than base vertices."""
    return midpoint_subdivision(tiny_data())
