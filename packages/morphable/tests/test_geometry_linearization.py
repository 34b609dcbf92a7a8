"""Derivatives of projected points, against automatic differentiation."""

import torch

from morphable.geometry import Pinhole, derivative_by_step, linearize_projection, rotation_from_vector


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_pixels_are_those_of_the_pinhole_also_behind_it():
    points = random(2, 5, 3)
    focal = torch.tensor([800.0, 1015.0], dtype=torch.float64)
    found, _ = linearize_projection(points, focal)
    torch.testing.assert_close(found, Pinhole((480, 640), focal, (0.0, 0.0)).project(points))


def test_derivatives_are_those_of_the_projection():
    shape, basis = random(2, 5, 3, seed=1), random(5, 3, 4, seed=2)
    cam, translation = rotation_from_vector(random(2, 3, seed=3)), torch.tensor([0.1, -0.2, 5.0]).double()

    def project(turn, shift, coefficients):
        moved = (shape + (basis @ coefficients)) @ (rotation_from_vector(turn) @ cam).mT + translation + shift
        return Pinhole((480, 640), 800.0, (0.0, 0.0)).project(moved)

    start = tuple(torch.zeros(size).double() for size in (3, 3, 4))
    expected = torch.autograd.functional.jacobian(project, start)
    turned = shape @ cam.mT
    _, by_point = linearize_projection(turned + translation, 800.0)
    found = derivative_by_step(by_point, turned, cam, basis)
    torch.testing.assert_close(found, torch.cat(expected, -1), atol=1e-6, rtol=1e-6)
    pose_alone = derivative_by_step(by_point, turned)
    torch.testing.assert_close(pose_alone, found[..., :6])
