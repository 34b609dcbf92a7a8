import pytest
import torch

from morphable_render import render_faces
from morphable_render.pncc import pncc_colors


def test_corners_of_the_box_are_black_and_white():
    shape = torch.tensor([[-1.0, 2.0, 0.0], [3.0, 4.0, 0.5], [1.0, 3.0, 0.25]])
    torch.testing.assert_close(pncc_colors(shape), torch.tensor([[0.0] * 3, [1.0] * 3, [0.5] * 3]))


def test_image_says_which_surface_point_each_pixel_shows(reference):
    vertices, triangles = reference.sphere(20, 30, 0.2)
    shape, triangles = torch.tensor(vertices.tolist()), torch.as_tensor(triangles)
    cam = shape + torch.tensor([0.05, 0.0, 1.0])
    image = render_faces(
        cam[None], triangles, pncc_colors(shape)[None], focal_px=90.0, background=torch.zeros(48, 48, 3)
    )
    low, high = shape.amin(0), shape.amax(0)
    depth = (low + image.rgb * (high - low))[..., 2] + 1.0
    torch.testing.assert_close(depth[image.mask], image.depth_m[image.mask])


def test_gradient_and_refusal():
    assert torch.autograd.gradcheck(pncc_colors, [torch.rand(5, 3, dtype=torch.float64, requires_grad=True)])
    with pytest.raises(Exception, match="mean_shape"):
        pncc_colors(torch.rand(5, 2))
