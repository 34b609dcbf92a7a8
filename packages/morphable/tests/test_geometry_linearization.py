"""Derivatives of projected points, against automatic differentiation."""

import pytest
import torch

from morphable.geometry import (
    Pinhole,
    derivative_by_step,
    linearize_projection,
    rotation_from_vector,
    solve_normal_equations,
)


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


def test_steps_solve_the_normal_equations_in_the_precision_that_was_given():
    jacobian = random(3, 40, 20).float()
    normal = jacobian.mT @ jacobian + torch.eye(20)
    expected = random(3, 20, seed=1).float()
    found = solve_normal_equations(normal, (normal @ expected[..., None])[..., 0])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_steps_carry_the_gradient_of_the_matrix_and_of_the_right_side():
    jacobian, right = random(2, 6, 3).requires_grad_(), random(2, 3, seed=1).requires_grad_()

    def step(jacobian, right):
        return solve_normal_equations(jacobian.mT @ jacobian, right)

    assert torch.autograd.gradcheck(step, (jacobian, right))


def test_a_matrix_without_a_minimum_is_an_error():
    with pytest.raises(torch.linalg.LinAlgError):
        solve_normal_equations(torch.diag(torch.tensor([1.0, -1.0])), torch.ones(2))
