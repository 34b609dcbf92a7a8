import sys

import pytest
import torch

from morphable.geometry import Pinhole, camera_from_model, rotation_from_vector
from morphable_render import _surface_numba, rasterize, rasterize_faces
from morphable_render._normals_numba import VertexNormals
from morphable_render.interpolation import interpolate, interpolate_at, scatter_to_image, surface_pixels
from morphable_render.normals import _vertex_normals


@pytest.fixture
def ball(reference):
    vertices, triangles = reference.sphere(8, 12, 0.4)
    return torch.as_tensor(vertices + [0.03, -0.02, 1.5]), torch.as_tensor(triangles)


def test_positions_interpolate_to_the_pixel_itself(ball):
    vertices, triangles = ball
    fragments = rasterize(vertices.float(), triangles, focal_px=50.0, size_hw=(40, 48))
    points = interpolate(vertices, vertices, triangles, fragments, focal_px=50.0)
    row, col = fragments.mask.nonzero(as_tuple=True)
    pixel = torch.stack([col, row], -1) + 0.5
    seen = points[fragments.mask]
    torch.testing.assert_close(Pinhole((40, 48), 50.0).unproject(pixel.double(), seen[:, 2]), seen)
    torch.testing.assert_close(seen[:, 2].float(), fragments.depth_m[fragments.mask])
    assert (points[~fragments.mask] == 0).all()


def test_perspective_correct_on_a_slanted_edge():
    # From (-1, 0, 1) to (1, 0, 3): at the pixel straight ahead the ray meets z = 2 - at parameter 1/2, not 3/4.
    vertices = torch.tensor([[-1.0, -1.0, 1.0], [1.0, -1.0, 3.0], [1.0, 1.0, 3.0], [-1.0, 1.0, 1.0]])
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3]])
    fragments = rasterize(vertices, triangles, focal_px=10.0, size_hw=(9, 9))
    value = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
    image = interpolate(value, vertices, triangles, fragments, focal_px=10.0)
    torch.testing.assert_close(image[4, 4, 0], torch.tensor(0.5))


def test_recomputed_barycentrics_are_the_rasterised_ones(ball):
    vertices, triangles = ball[0].float(), ball[1]
    fragments = rasterize(vertices[None], triangles, focal_px=200.0, size_hw=(160, 160))
    pixels = surface_pixels(fragments, vertices[None], triangles, focal_px=200.0)
    # float32 against float64 edge functions of triangles down to 2 px: 1e-4
    torch.testing.assert_close(pixels.barycentric, fragments.barycentric[fragments.mask], atol=2e-4, rtol=0)


def test_batch_equals_single(ball):
    vertices, triangles = ball[0].float(), ball[1]
    batch = torch.stack([vertices, vertices * 1.2, vertices + 0.1])
    focal = torch.tensor([50.0, 60.0, 70.0])
    fragments = rasterize(batch, triangles, focal_px=focal, size_hw=(32, 32))
    together = interpolate(batch, batch, triangles, fragments, focal_px=focal)
    for k in range(3):
        one = rasterize(batch[k], triangles, focal_px=focal[k], size_hw=(32, 32))
        torch.testing.assert_close(together[k], interpolate(batch[k], batch[k], triangles, one, focal_px=focal[k]))


def test_gradients_to_vertices_attributes_and_focal_length(reference):
    vertices, triangles = reference.cube(0.5)
    rotation = rotation_from_vector(torch.tensor([0.3, 0.5, 0.1]).double())
    cam = camera_from_model(torch.as_tensor(vertices), rotation, torch.tensor([0.0, 0.0, 1.5]).double())
    triangles = torch.as_tensor(triangles)
    attributes = torch.randn(8, 2, generator=torch.Generator().manual_seed(0)).double()
    focal = torch.tensor(14.0, dtype=torch.float64)
    fragments = rasterize(cam.float(), triangles, focal_px=focal, size_hw=(12, 12))

    def render(attributes, cam, focal):
        return interpolate(attributes, cam, triangles, fragments, focal_px=focal)[fragments.mask]

    assert torch.autograd.gradcheck(render, [x.requires_grad_() for x in (attributes, cam, focal)])


def test_slivers_keep_finite_gradients():
    # Edge-on but for 1e-7 m: seen as a line through the pixel centers of column 4.
    vertices = torch.tensor([[-1e-7, -0.4, 1.0], [1e-7, -0.4, 1.0], [0.0, 0.4, 1.0]], requires_grad=True)
    triangles = torch.tensor([[0, 1, 2]])
    fragments = rasterize(vertices, triangles, focal_px=9.0, size_hw=(9, 9))
    assert fragments.mask[:, 4].any()
    interpolate(torch.rand(3, 2), vertices, triangles, fragments, focal_px=9.0).sum().backward()
    assert vertices.grad.isfinite().all()


def test_scatter_keeps_background_and_its_gradient(ball):
    vertices, triangles = ball[0].float()[None], ball[1]
    fragments = rasterize_faces(vertices, triangles, torch.tensor([0]), focal_px=30.0, size_hw=(24, 24))
    pixels = surface_pixels(fragments, vertices, triangles, focal_px=30.0)
    background = torch.rand(1, 24, 24, 3, requires_grad=True)
    values = interpolate_at(vertices.expand(1, -1, 3), pixels)
    image = scatter_to_image(values, pixels, background)
    torch.testing.assert_close(image[~fragments.mask], background[~fragments.mask])
    image.sum().backward()
    torch.testing.assert_close(background.grad[..., 0] == 0, fragments.mask)


def test_pixel_values_change_as_autograd_says_when_the_surface_moves():
    vertices = torch.tensor([[-2.0, -2.0, 2.0], [2.0, -2.0, 2.5], [-2.0, 2.0, 2.0], [2.0, 2.0, 3.0]]).double()
    vertices += torch.tensor([0.0137, 0.0031, 0.0])  # no pixel center exactly on the diagonal
    triangles = torch.tensor([[0, 1, 2], [1, 3, 2]])
    value = torch.tensor([[0.0], [1.0], [3.0], [-1.0]]).double()

    def mean(shift):
        moved = vertices + torch.stack([shift, 0 * shift, 0 * shift])
        fragments = rasterize(moved.float(), triangles, focal_px=20.0, size_hw=(16, 16))
        return interpolate(value, moved, triangles, fragments, focal_px=20.0).mean()

    shift = torch.zeros((), dtype=torch.float64, requires_grad=True)
    mean(shift).backward()
    step = 1e-6  # so small that no pixel changes its triangle
    numeric = (mean(torch.tensor(step)) - mean(torch.tensor(-step))) / (2 * step)
    torch.testing.assert_close(shift.grad, numeric.double(), rtol=1e-3, atol=0)


def test_wrong_attribute_count_is_refused(ball):
    vertices, triangles = ball[0].float(), ball[1]
    fragments = rasterize(vertices, triangles, focal_px=30.0, size_hw=(24, 24))
    with pytest.raises(Exception, match="vertices_cam"):
        interpolate(torch.rand(3, 1), vertices, triangles, fragments, focal_px=30.0)
    assert Pinhole((24, 24), 30.0).project(vertices).shape == (len(vertices), 2)


def test_cpu_kernels_agree_with_plain_pytorch(ball):
    """The path that CUDA takes, value and gradient, on the CPU."""
    module = sys.modules["morphable_render.interpolation"]  # the package's attribute of that name is the function
    vertices, triangles = ball
    fragments = rasterize(vertices[None], triangles, focal_px=50.0, size_hw=(40, 48))
    pixels = surface_pixels(fragments, vertices[None], triangles, focal_px=50.0)
    ray = (torch.stack([pixels.col, pixels.row], -1) + 0.5 - torch.tensor([24.0, 20.0])).double() / 50
    values, weight = torch.rand(len(vertices), 4).double(), torch.rand(len(ray), 4).double()
    detached = torch.zeros(len(ray), 3, dtype=torch.float64)

    def by_kernel(vertices, values, ray):
        function = _surface_numba
        b = function.Barycentric.apply(vertices, ray, pixels.corner, detached, 1e-4, pixels.ranges)
        return function.Gather.apply(values, b, pixels.corner, pixels.ranges)

    def by_torch(vertices, values, ray):
        return module._gather(values, module._barycentric(vertices, pixels.corner, ray, detached), pixels.corner)

    results = []
    for function in (by_kernel, by_torch):
        leaves = [x.clone().requires_grad_() for x in (vertices, values, ray)]
        out = function(*leaves)
        (out * weight).sum().backward()
        results.append([out, *(leaf.grad for leaf in leaves)])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)

    results = []
    for function in (VertexNormals.apply, _vertex_normals):
        leaf = vertices[None].clone().requires_grad_()
        out = function(leaf, triangles)
        (out * values[:, :3]).sum().backward()
        results.append([out, leaf.grad])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)
