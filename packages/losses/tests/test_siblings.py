"""Losses of Mobile-FRNet, PRNet and DF-MVR."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from morphable import PointModel
from morphable_losses import (
    landmark_3d_loss,
    parsing_loss,
    position_map_loss,
    weighted_photo_loss,
    wing_loss,
    wpdc_loss,
)
from morphable_losses.dfmvr import DfmvrWeights, photo_weights
from morphable_losses.overlap import overlap_loss
from morphable_losses.position_map import position_map_weights
from morphable_losses.wpdc import vertex_displacement

NAN = float("nan")


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_zero_with_zero_gradient(loss: torch.Tensor, *inputs: torch.Tensor) -> None:
    assert loss.item() == 0
    for gradient in torch.autograd.grad(loss, inputs, allow_unused=True):
        assert gradient is None or (gradient == 0).all()


class TestWing:
    def test_value(self):
        # width 10, curvature 2: error 2 -> 10 ln 2; error 12 -> 12 - (10 - 10 ln 6); error 0 -> 0; mean of three
        target = torch.zeros(1, 1, 3)
        predicted = torch.tensor([[[2.0, -12.0, 0.0]]])
        expected = (10 * math.log(2) + 2 + 10 * math.log(6)) / 3
        torch.testing.assert_close(wing_loss(predicted, target), torch.tensor(expected))

    def test_continuous_at_the_width(self):
        target = torch.zeros(1, 1, 3, dtype=torch.float64)
        below, above = (
            wing_loss(torch.full((1, 1, 3), x, dtype=torch.float64), target) for x in (10 - 1e-9, 10 + 1e-9)
        )
        torch.testing.assert_close(below, above)

    def test_empty_and_gradient(self):
        predicted = torch.full((1, 4, 3), NAN, requires_grad=True)
        loss = wing_loss(predicted, torch.zeros(1, 4, 3), present=torch.tensor([False]))
        assert_zero_with_zero_gradient(loss, predicted)
        target = random(2, 4, 3, seed=1)
        assert gradcheck(lambda x: wing_loss(x, target, width=1.0), (3 * random(2, 4, 3)).requires_grad_())
        same = target.clone().requires_grad_()
        assert_zero_with_zero_gradient(wing_loss(same, target), same)

    def test_two_copies_equal_one(self):
        predicted, target = random(1, 4, 3), random(1, 4, 3, seed=1)
        torch.testing.assert_close(
            wing_loss(predicted.repeat(2, 1, 1), target.repeat(2, 1, 1)), wing_loss(predicted, target)
        )


class TestWpdc:
    face = PointModel(random(5, 3), random(4, 5, 3, seed=1), random(2, 5, 3, seed=2))

    def vertices(self, parameters: torch.Tensor) -> torch.Tensor:
        pose, coefficients = parameters[:12].view(3, 4), parameters[12:]
        basis = torch.cat([self.face.identity_basis, self.face.expression_basis])
        shape = self.face.mean + torch.einsum("k,kpc->pc", coefficients, basis)
        return shape @ pose[:, :3].T + pose[:, 3]

    def test_displacement_is_that_of_one_wrong_parameter(self):
        truth, error = random(18, seed=3), random(18, seed=4)
        expected = []
        for index in range(18):
            wrong = truth.clone()
            wrong[index] += error[index]
            expected.append((self.vertices(wrong) - self.vertices(truth)).norm())
        torch.testing.assert_close(vertex_displacement(error, truth, self.face), torch.stack(expected))

    def test_value(self):
        # one point (3, 0, 0), no coefficients, errors 1 at P_00 and 2 at t_x: displacements 3 and 2, weights 1 and
        # 2/3: 1 * 1 + 2/3 * 4
        face = PointModel(torch.tensor([[3.0, 0.0, 0.0]]), torch.zeros(0, 1, 3), torch.zeros(0, 1, 3))
        predicted = torch.zeros(1, 12)
        predicted[0, 0], predicted[0, 3] = 1.0, 2.0
        torch.testing.assert_close(wpdc_loss(predicted, torch.zeros(1, 12), face), torch.tensor(1 + 8 / 3))

    def test_whitening_scales_the_displacement_only(self):
        predicted, target, std, mean = (random(*s, seed=n) for n, s in enumerate([(2, 18), (2, 18), (18,), (18,)]))
        distance = vertex_displacement((predicted - target) * std, target * std + mean, self.face)
        weight = distance / distance.amax(-1, keepdim=True)
        expected = (weight * (predicted - target) ** 2).sum(-1).mean()
        loss = wpdc_loss(predicted, target, self.face, parameter_mean=mean, parameter_std=std)
        torch.testing.assert_close(loss, expected)

    def test_empty_exact_and_gradient(self):
        predicted = torch.full((2, 18), NAN, requires_grad=True, dtype=torch.float64)
        loss = wpdc_loss(predicted, random(2, 18), self.face, present=torch.tensor([False, False]))
        assert_zero_with_zero_gradient(loss, predicted)
        none = torch.zeros(0, 18, requires_grad=True, dtype=torch.float64)
        assert_zero_with_zero_gradient(wpdc_loss(none, none.detach(), self.face), none)
        same = random(2, 18).requires_grad_()
        assert_zero_with_zero_gradient(wpdc_loss(same, same.detach(), self.face), same)

    def test_weights_are_constants(self):
        predicted, target = random(1, 18).requires_grad_(), random(1, 18, seed=1)
        wpdc_loss(predicted, target, self.face).backward()
        error = (predicted - target).detach()
        distance = vertex_displacement(error, target, self.face)
        torch.testing.assert_close(predicted.grad, 2 * error * distance / distance.max())

    def test_two_copies_equal_one(self):
        predicted, target = random(1, 18), random(1, 18, seed=1)
        torch.testing.assert_close(
            wpdc_loss(predicted.repeat(2, 1), target.repeat(2, 1), self.face),
            wpdc_loss(predicted, target, self.face),
        )


class TestPositionMap:
    def test_weights(self):
        face = torch.tensor([[True, True, True, False]])
        features = torch.tensor([[False, True, True, True]])
        landmarks = torch.tensor([[2.9, 0.1], [9.0, 0.0]])
        expected = torch.tensor([[3.0, 4.0, 16.0, 0.0]])
        torch.testing.assert_close(position_map_weights(face, features, landmarks), expected)

    def test_value(self):
        # errors of length 5 (weight 16) and 1 (weight 4), and one that does not count: (80 + 4) / 20
        error = torch.tensor([[3.0, 0.0, 9.0], [4.0, 1.0, 9.0], [0.0, 0.0, 9.0]]).view(1, 3, 1, 3)
        weights = torch.tensor([[16.0, 4.0, 0.0]])
        zero = torch.zeros(1, 3, 1, 3)
        torch.testing.assert_close(position_map_loss(error, zero, weights), torch.tensor(4.2))
        # squared: (16 * 25 + 4) / 20
        torch.testing.assert_close(position_map_loss(error, zero, weights, squared=True), torch.tensor(20.2))

    def test_empty(self):
        predicted = torch.full((1, 3, 2, 2), NAN, requires_grad=True)
        target = torch.zeros(1, 3, 2, 2)
        assert_zero_with_zero_gradient(position_map_loss(predicted, target, torch.zeros(2, 2)), predicted)
        loss = position_map_loss(predicted, target, torch.ones(2, 2), present=torch.tensor([False]))
        assert_zero_with_zero_gradient(loss, predicted)

    @pytest.mark.parametrize("squared", [True, False])
    def test_gradient_and_copies(self, squared: bool):
        predicted, target, weights = random(1, 3, 2, 2), random(1, 3, 2, 2, seed=1), random(2, 2).abs()
        loss = position_map_loss(predicted, target, weights, squared=squared)
        twice = [x.repeat(2, 1, 1, 1) for x in (predicted, target)]
        torch.testing.assert_close(position_map_loss(*twice, weights, squared=squared), loss)
        torch.testing.assert_close(position_map_loss(predicted, target, 7 * weights, squared=squared), loss)
        assert gradcheck(lambda x: position_map_loss(x, target, weights, squared=squared), predicted.requires_grad_())


class TestLandmarks3d:
    anchors = torch.arange(7)

    def test_value(self):
        # anchors coincide up to a similarity (scale 2); the eighth point misses by (1, 2, 2): length 3 over 8 points
        target = random(1, 8, 3)
        predicted = target / 2
        target[0, 7] += torch.tensor([1.0, 2.0, 2.0])
        expected = torch.tensor(3 / 8, dtype=torch.float64)
        torch.testing.assert_close(landmark_3d_loss(predicted, target, self.anchors), expected)

    def test_similarity_of_the_prediction_does_not_matter(self):
        predicted, target = random(1, 101, 3), random(1, 101, 3, seed=1)
        rotation = torch.linalg.qr(random(3, 3, seed=2))[0]
        rotation = rotation * torch.linalg.det(rotation).sign()
        torch.testing.assert_close(
            landmark_3d_loss(3 * predicted @ rotation + 5, target, self.anchors),
            landmark_3d_loss(predicted, target, self.anchors),
        )

    def test_empty_and_gradient(self):
        predicted = torch.full((2, 9, 3), NAN, requires_grad=True, dtype=torch.float64)
        present = torch.tensor([False, False])
        loss = landmark_3d_loss(predicted, random(2, 9, 3), self.anchors, present=present)
        torch.testing.assert_close(loss.item(), 0.0)
        assert (torch.autograd.grad(loss, predicted)[0] == 0).all()
        none = torch.zeros(0, 9, 3, requires_grad=True)
        assert_zero_with_zero_gradient(landmark_3d_loss(none, none.detach(), self.anchors), none)
        target = random(1, 9, 3, seed=1)
        assert gradcheck(lambda x: landmark_3d_loss(x, target, self.anchors), random(1, 9, 3).requires_grad_())

    def test_padding_does_not_count(self):
        predicted, target = random(2, 9, 3), random(2, 9, 3, seed=1)
        present = torch.tensor([True, False])
        torch.testing.assert_close(
            landmark_3d_loss(predicted, target, self.anchors, present=present),
            landmark_3d_loss(predicted[:1], target[:1], self.anchors),
        )


class TestPhoto:
    def test_weights(self):
        # a kernel of 3 grows the feature by one pixel to each side, but not beyond the face
        parsing = torch.tensor([[[0, 0, 0, 1, 1, 4, 0]]])
        expected = torch.tensor([[[32.0, 32.0, 32.0, 128.0, 254.0, 254.0, 32.0]]])
        torch.testing.assert_close(photo_weights(parsing, kernel_px=3), expected)

    def test_the_released_kernel_of_ten_reaches_five_up_and_four_down(self):
        parsing = torch.ones(1, 15, 1, dtype=torch.long)
        parsing[0, 7] = 4
        features = photo_weights(parsing)[0, :, 0] == 254
        assert features.nonzero()[:, 0].tolist() == list(range(3, 13))

    def test_value(self):
        # distances 0.5 with weight 254 and 0.2 with 127: (127 + 25.4) / 381 = 0.4
        rendered = torch.tensor([[0.3, 0.2, 9.0], [0.4, 0.0, 9.0], [0.0, 0.0, 9.0]]).view(1, 3, 1, 3)
        weights = torch.tensor([[[254.0, 127.0, 254.0]]])
        covered = torch.tensor([[[True, True, False]]])
        loss = weighted_photo_loss(rendered, torch.zeros(1, 3, 1, 3), weights, covered)
        torch.testing.assert_close(loss, torch.tensor(0.4))
        torch.testing.assert_close(weighted_photo_loss(rendered, torch.zeros(1, 3, 1, 3), weights / 7, covered), loss)

    def test_empty_copies_and_gradient(self):
        rendered, photograph = random(1, 3, 2, 2), random(1, 3, 2, 2, seed=1)
        weights, covered = random(1, 2, 2).abs(), torch.tensor([[[True, True], [False, True]]])
        loss = weighted_photo_loss(rendered, photograph, weights, covered)
        pairs = [x.repeat(2, *[1] * (x.ndim - 1)) for x in (rendered, photograph, weights, covered)]
        torch.testing.assert_close(weighted_photo_loss(*pairs), loss)
        bad = torch.full((1, 3, 2, 2), NAN, requires_grad=True)
        nowhere = torch.zeros_like(covered)
        assert_zero_with_zero_gradient(weighted_photo_loss(bad, photograph.float(), weights.float(), nowhere), bad)
        assert gradcheck(lambda x: weighted_photo_loss(x, photograph, weights, covered), rendered.requires_grad_())


class TestParsing:
    def test_value(self):
        # two pixels: probability 3/4 of the right one of two classes, and 1/2
        logits = torch.tensor([[[[math.log(3.0), 0.0]], [[0.0, 0.0]]]])
        target = torch.zeros(1, 1, 2, dtype=torch.long)
        expected = -(math.log(0.75) + math.log(0.5)) / 2
        torch.testing.assert_close(parsing_loss(logits, target), torch.tensor(expected))
        only = torch.tensor([[[True, False]]])
        torch.testing.assert_close(parsing_loss(logits, target, counted=only), torch.tensor(-math.log(0.75)))

    def test_empty_and_gradient(self):
        logits = random(1, 10, 2, 2).requires_grad_()
        target = torch.zeros(1, 2, 2, dtype=torch.long)
        assert_zero_with_zero_gradient(parsing_loss(logits, target, counted=target > 0), logits)
        assert gradcheck(lambda x: parsing_loss(x, target), logits)
        none = torch.zeros(0, 10, 2, 2, requires_grad=True)
        assert_zero_with_zero_gradient(parsing_loss(none, torch.zeros(0, 2, 2, dtype=torch.long)), none)


def test_weights_are_checked():
    assert DfmvrWeights().photo == 24
    with pytest.raises(ValueError, match=r"light must be at least 0, got -1\.0"):
        DfmvrWeights(light=-1.0)


class TestOverlap:
    def test_value(self):
        # a row of four pixels: class 1 on two of them, one of which is found with probability 3/4, the rest for certain
        truth = torch.tensor([[[0, 0, 1, 1]]])
        found = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.25, 0.75], [0.0, 1.0]]).clamp(1e-6, 1 - 1e-6)
        logits = found.log().T[None, :, None]
        hit_0, hit_1 = 2.0, 1.75
        expected = 1 - (hit_0 / 2.25 + hit_1 / 2.0) / 2
        assert float(overlap_loss(logits, truth)) == pytest.approx(expected, abs=1e-4)
        three = torch.cat([logits, torch.full((1, 1, 1, 4), -20.0)], 1)
        assert float(overlap_loss(three, truth)) == pytest.approx(expected, abs=1e-4)  # the third class occurs nowhere

    def test_empty_and_gradient(self):
        logits = torch.zeros(0, 3, 2, 2, requires_grad=True)
        assert_zero_with_zero_gradient(overlap_loss(logits, torch.zeros(0, 2, 2, dtype=torch.int64)), logits)
        target = torch.tensor([[[0, 1], [2, 0]], [[1, 1], [0, 2]]])
        assert gradcheck(lambda x: overlap_loss(x, target), random(2, 3, 2, 2).requires_grad_())

    def test_two_copies_equal_one(self):
        logits, target = random(1, 3, 2, 2), torch.tensor([[[0, 1], [2, 0]]])
        twice = overlap_loss(logits.repeat(2, 1, 1, 1), target.repeat(2, 1, 1))
        torch.testing.assert_close(twice, overlap_loss(logits, target))
