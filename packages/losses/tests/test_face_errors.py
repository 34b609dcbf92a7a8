"""The detector's terms, one number per face."""

from dataclasses import replace

import pytest
import torch
from torch.autograd import gradcheck

from morphable import FaceParameters
from morphable.landmarks import OPPOSITE_POINTS
from morphable_losses.face_errors import (
    LEAST_LOG_STD,
    exact_errors,
    landmark_errors,
    opening_errors,
    point_color_errors,
    point_likelihood,
    prior_errors,
)

ONES = torch.ones(1, 68).double()
UNIT = torch.tensor([100.0]).double()


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def faces(count: int = 1) -> FaceParameters:
    return FaceParameters(
        identity=random(count, 4),
        expression=random(count, 2, seed=1),
        albedo=random(count, 3, seed=2),
        rotation_head=torch.eye(3).double().repeat(count, 1, 1),
        translation_m=torch.tensor([0.0, 0.0, 2.0]).double().repeat(count, 1),
        illumination=random(count, 9, 3, seed=3),
    )


def compare(predicted: FaceParameters, truth: FaceParameters, **points: torch.Tensor):
    values = {"points_px": random(1, 70, 2), "points_m": random(1, 70, 3)}
    values |= {"true_points_px": values["points_px"], "true_points_m": values["points_m"]} | points
    return exact_errors(predicted, truth, **values, weight=ONES, unit_px=UNIT, emphasis=ONES[0])


class TestExact:
    def test_every_term_by_hand(self):
        truth = faces()
        turned = torch.diag(torch.tensor([-1.0, -1.0, 1.0])).double()  # twice -2 on the diagonal: 8
        wrong = replace(
            truth,
            identity=truth.identity + 2.0,
            expression=truth.expression + torch.tensor([1.0, 3.0]),
            rotation_head=turned[None],
            translation_m=truth.translation_m * torch.e,
        )
        px, m = random(1, 70, 2), random(1, 70, 3)
        moved_px, moved_m = px + torch.tensor([30.0, 40.0]), m + torch.tensor([0.0, 0.03, 0.04])
        found = compare(wrong, truth, points_px=moved_px, true_points_px=px, points_m=moved_m, true_points_m=m)
        # 50 px of faces of 100 px; 50 mm in tenths of a meter; (1 + 9) / 2
        expected = {"landmarks": 0.5, "opening": 0.0, "points": 0.5, "shape": 0.5, "rotation": 8.0, "depth": 1.0}
        for name, value in (expected | {"identity": 4.0, "expression": 5.0}).items():
            torch.testing.assert_close(getattr(found, name), torch.tensor([value]).double(), atol=1e-6, rtol=0)

    def test_truth_has_no_error_and_finite_gradients(self):
        truth, px = faces(), random(1, 70, 2)
        moved = px.clone().requires_grad_()
        found = compare(truth, truth, points_px=moved, true_points_px=px)
        assert all(float(value.detach()) < 1e-5 for value in vars(found).values())
        assert torch.autograd.grad(found.landmarks.sum() + found.points.sum(), moved)[0].isfinite().all()

    def test_no_faces(self):
        none = faces().map(lambda tensor: tensor[:0])
        empty = {"points_px": (0, 70, 2), "true_points_px": (0, 70, 2), "points_m": (0, 70, 3)}
        points = {name: torch.zeros(shape) for name, shape in (empty | {"true_points_m": (0, 70, 3)}).items()}
        found = exact_errors(none, none, **points, weight=ONES[:0], unit_px=UNIT[:0], emphasis=ONES[0])
        assert all(value.shape == (0,) for value in vars(found).values())

    def test_gradient(self):
        truth, px, m = faces(), random(1, 70, 2), random(1, 70, 3)

        def loss(points_px, points_m, identity, translation):
            wrong = replace(truth, identity=identity, translation_m=translation)
            found = compare(wrong, truth, points_px=points_px, true_points_px=px, points_m=points_m, true_points_m=m)
            return torch.stack(list(vars(found).values()))

        inputs = (px + 1, m + 1, truth.identity + 1, truth.translation_m + 0.1)
        assert gradcheck(loss, tuple(value.clone().requires_grad_() for value in inputs), eps=1e-6, atol=1e-4)


class TestLandmarks:
    def test_lines_do_not_see_a_shift_and_a_shut_lid_counts(self):
        points = random(1, 68, 2) * 50
        shifted = landmark_errors(points + 7.0, points, weight=ONES, unit_px=UNIT, emphasis=ONES[0])
        torch.testing.assert_close(shifted.opening, torch.zeros(1).double(), atol=1e-7, rtol=0)
        torch.testing.assert_close(shifted.landmarks, torch.tensor([7 * 2**0.5 / 100]).double())
        shut = points.clone()
        shut[:, 37] = shut[:, 41]  # the lid is also the end of a line to the brow: both change by the lid's way
        way = (points[:, 37] - points[:, 41]).norm(dim=1) / 100
        found = opening_errors(shut, points, weight=ONES, unit_px=UNIT)
        torch.testing.assert_close(found, 2 * way / len(OPPOSITE_POINTS), atol=1e-6, rtol=0)

    def test_unknown_points_do_not_count(self):
        points, target = random(1, 68, 2), random(1, 68, 2, seed=1)
        known = ONES.clone()
        known[:, 20:] = 0
        other = torch.where(known[..., None] > 0, target, 1e6)
        first, second = (
            landmark_errors(points, goal, weight=known, unit_px=UNIT, emphasis=ONES[0]) for goal in (target, other)
        )
        torch.testing.assert_close(first.landmarks, second.landmarks)
        torch.testing.assert_close(first.opening, second.opening)

    def test_gradient(self):
        target = random(1, 68, 2, seed=1)

        def loss(points):
            found = landmark_errors(points, target, weight=ONES, unit_px=UNIT, emphasis=ONES[0])
            return found.landmarks, found.opening

        assert gradcheck(loss, (random(1, 68, 2).requires_grad_(),))


class TestPriors:
    def test_negative_activations_count_twice_and_normal_coefficients_do_not(self):
        face = replace(faces(), expression=torch.tensor([[-1.0, 2.0]]).double())
        # (1 + 4) / 2, and half a square more for the negative one
        assert prior_errors(face, "normal").expression.tolist() == [2.5]
        assert prior_errors(face, "activation").expression.tolist() == [3.0]
        mirrored = replace(face, expression=-face.expression)
        assert prior_errors(mirrored, "normal").expression.tolist() == [2.5]

    def test_gray_light_is_free_and_gradients(self):
        face = faces()
        gray = replace(face, illumination=face.illumination.mean(-1, keepdim=True).expand(-1, -1, 3))
        torch.testing.assert_close(prior_errors(gray).light, torch.zeros(1).double())

        def loss(identity, expression, albedo, light):
            moved = replace(face, identity=identity, expression=expression, albedo=albedo, illumination=light)
            return torch.stack(list(vars(prior_errors(moved)).values()))

        parts = (face.identity, face.expression, face.albedo, face.illumination)
        assert gradcheck(loss, tuple(part.clone().requires_grad_() for part in parts))


class TestPointColors:
    def test_weighted_mean_by_hand(self):
        colors = torch.tensor([[[0.3, 0.0, 0.4], [0.0, 0.0, 0.1], [9.0, 9.0, 9.0]]]).double()
        weight = torch.tensor([[1.0, 1.0, 0.0]]).double()
        error, compared = point_color_errors(colors, torch.zeros_like(colors), weight)
        torch.testing.assert_close(error, torch.tensor([(0.5 + 0.1) / 2]).double(), atol=1e-6, rtol=0)
        assert compared.tolist() == [True]

    def test_without_skin_nothing_is_compared(self):
        error, compared = point_color_errors(random(2, 3, 3), random(2, 3, 3, seed=1), torch.zeros(2, 3).double())
        assert error.tolist() == [0.0, 0.0]
        assert compared.tolist() == [False, False]

    def test_gradient(self):
        weight = random(2, 3, seed=2).abs() + 1
        seen = random(2, 3, 3, seed=1)
        assert gradcheck(lambda x: point_color_errors(x, seen, weight)[0], (random(2, 3, 3).requires_grad_(),))


class TestLikelihood:
    def test_by_hand(self):
        points, target = torch.tensor([[[3.0, 4.0]]]), torch.zeros(1, 1, 2)
        # 25 / 2 / 4 + 2 log 2
        assert float(point_likelihood(points, target, torch.tensor([[2.0]]).log())) == pytest.approx(3.125 + 1.3862944)

    def test_the_best_deviation_is_that_of_the_error(self):
        target = torch.zeros(1, 1000, 2).double()
        points = 0.3 * random(1, 1000, 2)
        spread = float(points.square().mean().sqrt())
        best, less, more = (
            float(point_likelihood(points, target, torch.full((1, 1000), factor * spread).double().log()).mean())
            for factor in (1.0, 0.9, 1.1)
        )
        assert best < min(less, more)

    def test_deviations_below_the_least_count_as_the_least(self):
        points, target = random(1, 3, 2), random(1, 3, 2, seed=1)
        least = torch.full((1, 3), LEAST_LOG_STD).double()
        torch.testing.assert_close(point_likelihood(points, target, least - 5), point_likelihood(points, target, least))

    def test_gradient(self):
        log_std = random(2, 5, seed=2).requires_grad_()
        points, target = random(2, 5, 2).requires_grad_(), random(2, 5, 2, seed=1)
        assert gradcheck(lambda p, s: point_likelihood(p, target, s), (points, log_std))
