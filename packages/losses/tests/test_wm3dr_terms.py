import math

import pytest
import torch
from torch.autograd import gradcheck

from morphable_losses import center_focal_loss, coefficient_norm, landmark_loss, pixel_loss, wm3dr_loss
from morphable_losses.coefficients import albedo_variance, light_prior
from morphable_losses.landmarks import landmark_weights
from morphable_losses.pixels import photometric_mask
from morphable_losses.wm3dr import Wm3drTerms, Wm3drWeights


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def assert_zero_with_zero_gradient(loss: torch.Tensor, *inputs: torch.Tensor) -> None:
    assert loss.item() == 0
    for gradient in torch.autograd.grad(loss, inputs, allow_unused=True):
        assert gradient is None or (gradient == 0).all()


class TestCenterFocalLoss:
    def test_value_is_the_papers(self):
        # one center with p = 0.75, one background cell with p = 0.5, gamma = 2, n = 1:
        # -(0.25^2 ln 0.75) - (0.5^2 ln 0.5)
        logits = torch.tensor([[[math.log(3.0), 0.0]]])
        expected = -(0.25**2) * math.log(0.75) - 0.25 * math.log(0.5)
        loss = center_focal_loss(logits, torch.tensor([[[1.0, 0.0]]]))
        torch.testing.assert_close(loss, torch.tensor(expected))

    def test_value_next_to_a_gaussian_centre(self):
        # background cell with target 0.5: (1 - 0.5)^4 of its penalty; no center at all, so n counts as 1
        loss = center_focal_loss(torch.zeros(1, 1, 1), torch.full((1, 1, 1), 0.5))
        torch.testing.assert_close(loss, torch.tensor(0.5**4 * 0.25 * math.log(2.0)))

    def test_two_copies_equal_one(self):
        logits, target = random(1, 4, 4), (random(1, 4, 4, seed=1) > 0.8).double()
        assert target.sum() > 0
        torch.testing.assert_close(
            center_focal_loss(logits.repeat(2, 1, 1), target.repeat(2, 1, 1)),
            center_focal_loss(logits, target),
        )

    def test_weight_ignores_cells(self):
        logits, target = random(1, 2, 2), torch.zeros(1, 2, 2, dtype=torch.float64)
        assert center_focal_loss(logits, target, weight=torch.zeros_like(target)) == 0

    def test_extreme_logits_stay_finite(self):
        logits = torch.tensor([[[200.0, -200.0, 200.0, -200.0]]], requires_grad=True)
        loss = center_focal_loss(logits, torch.tensor([[[1.0, 1.0, 0.0, 0.0]]]))
        assert loss.isfinite()
        assert torch.autograd.grad(loss, logits)[0].isfinite().all()

    def test_empty_batch(self):
        logits = torch.zeros(0, 4, 4, requires_grad=True)
        assert_zero_with_zero_gradient(center_focal_loss(logits, torch.zeros(0, 4, 4)), logits)

    def test_gradient(self):
        target = torch.tensor([[[1.0, 0.0, 0.4]]], dtype=torch.float64)
        assert gradcheck(lambda x: center_focal_loss(x, target), random(1, 1, 3).requires_grad_())


class TestLandmarkLoss:
    def test_value(self):
        # two points, errors (3, 4) and (1, 0), weights 1 and 20: (25 + 20) / 2
        predicted = torch.tensor([[[3.0, 4.0], [6.0, 5.0]]])
        target = torch.tensor([[[0.0, 0.0], [5.0, 5.0]]])
        weights = torch.tensor([1.0, 20.0])
        torch.testing.assert_close(landmark_loss(predicted, target, weights), torch.tensor(22.5))
        # unsquared: (5 + 20) / 2
        torch.testing.assert_close(landmark_loss(predicted, target, weights, squared=False), torch.tensor(12.5))
        # in units of 5 px: squared errors shrink by 25
        unit = torch.tensor([5.0])
        torch.testing.assert_close(landmark_loss(predicted, target, weights, unit_px=unit), torch.tensor(0.9))
        known = torch.tensor([[True, False]])
        torch.testing.assert_close(landmark_loss(predicted, target, weights, known=known), torch.tensor(12.5))

    def test_padding_does_not_count(self):
        predicted, target = random(2, 68, 2), random(2, 68, 2, seed=1)
        target[1] = float("nan")
        weights = landmark_weights().double()
        present = torch.tensor([True, False])
        torch.testing.assert_close(
            landmark_loss(predicted, target, weights, present=present),
            landmark_loss(predicted[:1], target[:1], weights),
        )

    @pytest.mark.parametrize("squared", [True, False])
    def test_all_padding_with_nan(self, squared: bool):
        predicted = torch.full((2, 3, 68, 2), float("nan"), requires_grad=True)
        loss = landmark_loss(
            predicted,
            torch.zeros(2, 3, 68, 2),
            landmark_weights(),
            present=torch.zeros(2, 3, dtype=torch.bool),
            unit_px=torch.zeros(2, 3),
            squared=squared,
        )
        assert_zero_with_zero_gradient(loss, predicted)

    def test_no_faces(self):
        predicted = torch.zeros(0, 68, 2, requires_grad=True)
        loss = landmark_loss(predicted, torch.zeros(0, 68, 2), landmark_weights())
        assert_zero_with_zero_gradient(loss, predicted)

    @pytest.mark.parametrize("squared", [True, False])
    def test_gradient(self, squared: bool):
        target = random(2, 3, 2, seed=1)
        weights = torch.tensor([1.0, 20.0, 1.0], dtype=torch.float64)
        assert gradcheck(lambda x: landmark_loss(x, target, weights, squared=squared), random(2, 3, 2).requires_grad_())

    def test_exact_match_has_finite_gradient(self):
        points = random(1, 68, 2).requires_grad_()
        loss = landmark_loss(points, points.detach(), landmark_weights().double(), squared=False)
        assert_zero_with_zero_gradient(loss, points)

    def test_weights(self):
        weights = landmark_weights("nose_mouth")
        assert weights.sum() == 39 + 29 * 20  # 9 nose and 20 mouth points
        assert landmark_weights("nose_inner_mouth").sum() == 51 + 17 * 20
        assert landmark_weights("dfmvr_code", emphasis=2.0).sum() == 45 + 23 * 2


class TestPixelLoss:
    def test_value(self):
        # distances 0.5 (3-4-0 triangle) and 0.1 under weights 1 and 3: (0.5 + 0.3) / 4
        rendered = torch.tensor([[0.3, 0.1], [0.4, 0.0], [0.0, 0.0]]).view(1, 3, 1, 2)
        mask = torch.tensor([[[1.0, 3.0]]])
        torch.testing.assert_close(pixel_loss(rendered, torch.zeros(1, 3, 1, 2), mask), torch.tensor(0.2))

    def test_empty_masks_do_not_dilute(self):
        rendered, photograph = random(2, 3, 4, 4), random(2, 3, 4, 4, seed=1)
        mask = torch.ones(2, 4, 4, dtype=torch.float64)
        mask[1] = 0
        torch.testing.assert_close(
            pixel_loss(rendered, photograph, mask), pixel_loss(rendered[:1], photograph[:1], mask[:1])
        )

    def test_all_empty(self):
        rendered = torch.full((2, 3, 4, 4), float("nan"), requires_grad=True)
        loss = pixel_loss(rendered, torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4))
        assert_zero_with_zero_gradient(loss, rendered)

    def test_scales(self):
        rendered, photograph = random(1, 3, 4, 4), random(1, 3, 4, 4, seed=1)
        mask = torch.ones(1, 4, 4, dtype=torch.float64)
        loss = pixel_loss(rendered, photograph, mask)
        torch.testing.assert_close(pixel_loss(2 * rendered, 2 * photograph, mask), 2 * loss)
        torch.testing.assert_close(pixel_loss(rendered, photograph, 5 * mask), loss)
        two = [x.repeat(2, 1, 1, 1) for x in (rendered, photograph)]
        torch.testing.assert_close(pixel_loss(*two, mask.repeat(2, 1, 1)), loss)

    def test_gradient(self):
        photograph = random(1, 3, 2, 2, seed=1)
        mask = torch.tensor([[[1.0, 0.0], [0.5, 1.0]]], dtype=torch.float64)
        assert gradcheck(lambda x: pixel_loss(x, photograph, mask), random(1, 3, 2, 2).requires_grad_())
        same = photograph.clone().requires_grad_()
        assert_zero_with_zero_gradient(pixel_loss(same, photograph, mask), same)

    def test_mask_is_the_intersection(self):
        skin = torch.tensor([[[True, True, False]]])
        rendered = torch.tensor([[[True, False, True]]])
        torch.testing.assert_close(photometric_mask(skin, rendered), torch.tensor([[[1.0, 0.0, 0.0]]]))


class TestRegularisers:
    def test_norm_value(self):
        # 1.0 * (1 + 4) + 0.8 * 9 + 0.0017 * 100
        loss = coefficient_norm(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0]]), torch.tensor([[10.0]]))
        torch.testing.assert_close(loss, torch.tensor(5 + 7.2 + 0.17))

    def test_norm_padding(self):
        present = torch.tensor([True, False])
        parts = [random(2, n, seed=n) for n in (3, 2, 4)]
        torch.testing.assert_close(
            coefficient_norm(*parts, present=present), coefficient_norm(*(part[:1] for part in parts))
        )
        bad = [torch.full((1, 2), float("nan"), requires_grad=True) for _ in range(3)]
        assert_zero_with_zero_gradient(coefficient_norm(*bad, present=torch.tensor([False])), *bad)

    def test_variance_value(self):
        # red 0.0 and 0.2 on the skin, scale 10: values 0 and 2, variance 1; the third vertex is not skin
        albedo = torch.tensor([[[0.0, 0.5, 0.5], [0.2, 0.5, 0.5], [0.9, 0.9, 0.9]]])
        region = torch.tensor([True, True, False])
        torch.testing.assert_close(albedo_variance(albedo, region, scale=10.0), torch.tensor(1.0))

    def test_variance_empty(self):
        albedo = torch.rand(2, 3, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
        assert_zero_with_zero_gradient(albedo_variance(albedo, torch.zeros(3, dtype=torch.bool)), albedo)
        nothing = torch.zeros(2, dtype=torch.bool)
        everywhere = torch.ones(3, dtype=torch.bool)
        assert_zero_with_zero_gradient(albedo_variance(albedo, everywhere, present=nothing), albedo)

    def test_light_value(self):
        # one band (3, 0, 0): mean 1, squares 4 + 1 + 1, over 27 entries
        light = torch.zeros(1, 9, 3)
        light[0, 2, 0] = 3.0
        torch.testing.assert_close(light_prior(light), torch.tensor(6 / 27))
        grey = torch.ones(1, 9, 3, requires_grad=True)
        assert_zero_with_zero_gradient(light_prior(grey), grey)
        bad = torch.full((1, 9, 3), float("nan"), requires_grad=True)
        assert_zero_with_zero_gradient(light_prior(bad, present=torch.tensor([False])), bad)

    def test_gradients(self):
        parts = tuple(random(2, n, seed=n).requires_grad_() for n in (3, 2, 4))
        assert gradcheck(coefficient_norm, parts)
        region = torch.tensor([True, False, True, True])
        assert gradcheck(lambda x: albedo_variance(x, region), random(2, 4, 3).requires_grad_())
        assert gradcheck(light_prior, random(2, 9, 3).requires_grad_())

    def test_two_copies_equal_one(self):
        parts = [random(1, n, seed=n) for n in (3, 2, 4)]
        twice = [part.repeat(2, 1) for part in parts]
        torch.testing.assert_close(coefficient_norm(*twice), coefficient_norm(*parts))
        albedo, region = random(1, 4, 3), torch.ones(4, dtype=torch.bool)
        torch.testing.assert_close(albedo_variance(albedo.repeat(2, 1, 1), region), albedo_variance(albedo, region))


class TestTotal:
    def test_value(self):
        terms = Wm3drTerms(
            center=torch.tensor(2.0),
            pixel=torch.tensor(0.1),
            perception=torch.tensor(3.0),
            landmark=torch.tensor(40.0),
            norm=torch.tensor(50.0),
            variance=torch.tensor(60.0),
        )
        # 2 + 10 + 0.03 + 4 + 0.005 + 0.06
        result = wm3dr_loss(terms, Wm3drWeights())
        torch.testing.assert_close(result.total, torch.tensor(16.095))
        torch.testing.assert_close(torch.stack(list(result.weighted.values())).sum(), result.total)

    def test_missing_terms_are_left_out(self):
        result = wm3dr_loss(Wm3drTerms(landmark=torch.tensor(1.0)), Wm3drWeights())
        assert set(result.weighted) == {"landmark"}

    def test_gradient_reaches_terms(self):
        landmark = torch.tensor(1.0, requires_grad=True)
        wm3dr_loss(Wm3drTerms(landmark=landmark), Wm3drWeights()).total.backward()
        torch.testing.assert_close(landmark.grad, torch.tensor(0.1))

    def test_refusals(self):
        with pytest.raises(ValueError, match="at least one computed term"):
            wm3dr_loss(Wm3drTerms(), Wm3drWeights())
        with pytest.raises(ValueError, match=r"pixel must be at least 0, got -1\.0"):
            Wm3drWeights(pixel=-1.0)
