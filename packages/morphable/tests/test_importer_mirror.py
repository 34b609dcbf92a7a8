"""Mirrors of imported models: vertex pairs, points opposite on a mesh without symmetry, flips by least squares."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import morphable
from morphable import ModelData, MorphableModel
from morphable.geometry import mirror_points
from morphable.importers.mirror import least_squares_flip, mirror_images, mirror_pairs, with_mirror

ROWS, COLS = 25, 31
SIGNS = torch.tensor([-1.0, 1.0, 1.0])


def half_ellipsoid(across: Tensor, up: Tensor) -> Tensor:
    """Points of a face-sized half ellipsoid at angles across and heights up, both from -1 to 1."""
    angle, height = across * math.pi / 2, 0.11 * up
    width = 0.075 * (1 - (height / 0.16) ** 2).sqrt()
    return torch.stack([width * angle.sin(), height, 1.2 * width * angle.cos()], dim=-1)


def grid_triangles() -> Tensor:
    """Triangles of the grid, all diagonals the same way, so that only edges along rows and columns are symmetric."""
    corner = (torch.arange(ROWS - 1)[:, None] * COLS + torch.arange(COLS - 1)).reshape(-1)
    below = corner + COLS
    return torch.cat([torch.stack([corner, below, corner + 1], 1), torch.stack([corner + 1, below, below + 1], 1)])


def face(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Vertices in an arbitrary order, triangles, and each vertex's counterpart."""
    up, across = torch.meshgrid(torch.linspace(1, -1, ROWS), torch.linspace(-1, 1, COLS), indexing="ij")
    vertices = half_ellipsoid(across.reshape(-1), up.reshape(-1))
    mirror = torch.arange(ROWS * COLS).reshape(ROWS, COLS).flip(1).reshape(-1)
    order = torch.randperm(len(vertices), generator=generator)
    place = order.argsort()
    return vertices[order], place[grid_triangles()], place[mirror[order]]


def smooth_asymmetry(vertices: Tensor, size_m: float) -> Tensor:
    """A smooth shift that is larger on one side, as means of scans have it."""
    return size_m * torch.stack(
        [(20 * vertices[:, 1]).cos(), (25 * vertices[:, 0]).sin(), (30 * vertices[:, 0]).sin()], dim=-1
    )


def model_data(vertices: Tensor, triangles: Tensor, identity: Tensor, **more: object) -> ModelData:
    return ModelData(
        name="scans",
        mean=vertices,
        identity_basis=identity,
        expression_basis=torch.zeros(0, *vertices.shape),
        mean_albedo=torch.full_like(vertices, 0.5),
        albedo_basis=torch.zeros(0, *vertices.shape),
        triangles=triangles,
        expression_prior="normal",
        **more,
    )


@pytest.mark.parametrize("size_m", [0.0, 5e-4, 1.5e-3])
def test_pairs_are_found_whatever_order_and_asymmetry(size_m):
    generator = torch.Generator().manual_seed(0)
    vertices, triangles, expected = face(generator)
    # neighboring vertices are 6 mm apart, and mirrored ones up to twice the asymmetry from their counterparts
    moved = vertices + smooth_asymmetry(vertices, size_m)
    pairs = mirror_pairs(moved, triangles)
    assert pairs is not None
    assert torch.equal(pairs, expected)


def test_mesh_without_symmetry_has_no_pairs_but_opposite_points():
    vertices, triangles, _ = uneven_face()
    assert mirror_pairs(vertices, triangles) is None
    images = mirror_images(vertices, triangles)
    assert images is not None
    error = (images.on(vertices, triangles) - vertices * SIGNS).norm(dim=-1)
    assert float(error.max()) < 5e-4  # the mesh's own deviation from the smooth surface (edges of 6 mm)


def test_half_a_face_is_not_bilateral():
    vertices, triangles, _ = face(torch.Generator().manual_seed(0))
    right = (vertices[triangles][..., 0] > 0.01).all(-1)
    kept, index = triangles[right].unique(return_inverse=True)
    assert mirror_images(vertices[kept], index) is None
    data = model_data(vertices[kept], index, torch.zeros(0, len(kept), 3))
    assert with_mirror(data).identity_flip is None


def uneven_face() -> tuple[Tensor, Tensor, Tensor]:
    """A face whose columns stand closer together on one side, with the angles and heights of its vertices."""
    up, across = torch.meshgrid(torch.linspace(1, -1, ROWS), torch.linspace(-1, 1, COLS), indexing="ij")
    across = across + 0.12 * (1 - across**2)
    vertices = half_ellipsoid(across.reshape(-1), up.reshape(-1))
    return vertices, grid_triangles(), torch.stack([across.reshape(-1), up.reshape(-1)], dim=-1)


def smooth_modes(places: Tensor) -> Tensor:
    """Four smooth modes, two symmetric and two antisymmetric, as displacements at angles and heights."""
    across, up = places.unbind(-1)
    zero = torch.zeros_like(up)
    symmetric = [torch.stack([across, up, zero], -1), torch.stack([zero, zero, (2 * across).cos() * up], -1)]
    skewed = [torch.stack([up, across, zero], -1), torch.stack([across**2, zero, across * up], -1)]
    return 0.003 * torch.stack(symmetric + skewed)


def mixed_model() -> tuple[ModelData, Tensor]:
    """A model of scans: its modes mix symmetric and antisymmetric ones, its mesh has no symmetry."""
    vertices, triangles, places = uneven_face()
    mixing = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(2)))[0]
    modes = torch.einsum("ij,jvx->ivx", mixing, smooth_modes(places))
    return with_mirror(model_data(vertices, triangles, modes)), mixing


def test_modes_of_scans_get_the_least_squares_matrix():
    data, mixing = mixed_model()
    assert data.mirror_vertices is None
    assert data.identity_flip is not None
    # basis = Q s with signs (1, 1, -1, -1) of the modes s: the mirrored coefficients are Q diag Q^T c
    expected = mixing @ torch.diag(torch.tensor([1.0, 1, -1, -1])) @ mixing.T
    torch.testing.assert_close(data.identity_flip, expected, atol=5e-3, rtol=0)  # the mesh is a polyhedron
    assert data.mirror_residual["identity"] < 0.02
    torch.testing.assert_close(data.identity_flip @ data.identity_flip, torch.eye(4), atol=0.01, rtol=0)


def test_face_of_a_model_of_scans_mirrors():
    data, _ = mixed_model()
    model = MorphableModel(data)
    identity = torch.tensor([[1.0, -0.5, 2.0, 0.3]])
    flipped = model.decode_shape(model.flip_identity(identity), torch.zeros(1, 0))[0]
    shape = model.decode_shape(identity, torch.zeros(1, 0))[0]
    images = mirror_images(model.mean, model.triangles)
    assert images is not None
    torch.testing.assert_close(flipped, images.on(shape, model.triangles) * SIGNS, atol=5e-4, rtol=0)


def test_asymmetric_mean_gives_an_offset():
    vertices, triangles, mirror = face(torch.Generator().manual_seed(0))
    noise = 0.003 * torch.randn(2, *vertices.shape, generator=torch.Generator().manual_seed(1))
    odd = (noise[0] - mirror_points(noise[0], mirror)) / 2
    even = (noise[1] + mirror_points(noise[1], mirror)) / 2
    modes = torch.stack([0.6 * even + 0.8 * odd, 0.8 * even - 0.6 * odd])
    data = with_mirror(model_data(vertices + 0.2 * odd, triangles, modes))
    assert data.identity_flip_offset is not None
    # odd = 0.8 modes[0] - 0.6 modes[1], and the mirrored mean is the mean - 0.4 odd
    torch.testing.assert_close(data.identity_flip_offset, torch.tensor([-0.32, 0.24]))
    model = MorphableModel(data)
    identity = torch.tensor([0.5, 2.0])
    flipped = model.decode_shape(model.flip_identity(identity), torch.zeros(0))
    torch.testing.assert_close(flipped, model.mirror(model.decode_shape(identity, torch.zeros(0))), atol=1e-6, rtol=0)


def test_residual_is_the_share_that_modes_cannot_express():
    # one mode (1, 0) whose mirror image is (0.6, 0.8): 0.6 of it can be expressed, 0.8 is left
    basis = torch.tensor([[[1.0, 0.0, 0.0]]])
    matrix, residual = least_squares_flip(basis, torch.tensor([[[0.6, 0.8, 0.0]]]))
    torch.testing.assert_close(matrix, torch.tensor([[0.6]]))
    assert residual == pytest.approx(0.8, abs=1e-6)


def test_dependent_modes_share_their_coefficient():
    basis = torch.tensor([[[1.0, 0.0, 0.0]], [[1.0, 0.0, 0.0]]])
    matrix, residual = least_squares_flip(basis, torch.tensor([[[2.0, 0.0, 0.0]]]))
    torch.testing.assert_close(matrix, torch.ones(2, 1))
    assert residual == pytest.approx(0, abs=1e-6)


def test_model_with_matrices_round_trips(tmp_path):
    data, _ = mixed_model()
    model = MorphableModel(data)
    model.save(tmp_path / "scans.safetensors")
    again = morphable.load_model(tmp_path / "scans.safetensors")
    identity = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert torch.equal(again.flip_identity(identity), model.flip_identity(identity))
    assert again.mirror_residual == pytest.approx(data.mirror_residual)


def test_expression_matrix_is_applied(tmp_path):
    vertices, triangles, expected = face(torch.Generator().manual_seed(0))
    noise = 0.003 * torch.randn(2, *vertices.shape, generator=torch.Generator().manual_seed(1))
    noise[1] = mirror_points(noise[0], expected)
    mixing = torch.tensor([[0.8, 0.6], [-0.6, 0.8]])
    expressions = torch.einsum("ij,jvx->ivx", mixing, noise)
    data = replace(model_data(vertices, triangles, torch.zeros(0, *vertices.shape)), expression_basis=expressions)
    model = MorphableModel(with_mirror(data))
    assert model.expression_flip is not None
    assert model.expression_flip.shape == (2, 2)
    expression = torch.tensor([1.0, -0.5])
    flipped = model.decode_shape(torch.zeros(0), model.flip_expression(expression))
    torch.testing.assert_close(flipped, model.mirror(model.decode_shape(torch.zeros(0), expression)), atol=1e-6, rtol=0)
    model.save(tmp_path / "x.safetensors")
    again = morphable.load_model(tmp_path / "x.safetensors")
    assert torch.equal(again.flip_expression(expression), model.flip_expression(expression))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"identity_flip": torch.zeros(4, 3)}, r"identity_flip must have shape \(4, 4\)"),
        ({"identity_flip": None, "identity_flip_offset": torch.zeros(4)}, "identity_flip_offset must stand beside"),
        ({"identity_flip_offset": torch.zeros(3)}, r"identity_flip_offset must have shape \(4\)"),
        ({"mirror_residual": {"nose": 0.1}}, "mirror_residual must hold shares"),
        ({"mirror_residual": {"identity": 2.0}}, "mirror_residual must hold shares"),
    ],
)
def test_wrong_flips_are_refused(fields, message):
    data, _ = mixed_model()
    with pytest.raises(ValueError, match=message):
        replace(data, **fields)


def test_gradients_flow_through_a_matrix_flip():
    data, _ = mixed_model()
    model = MorphableModel(data).double()
    identity = torch.randn(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(model.flip_identity, (identity,))
