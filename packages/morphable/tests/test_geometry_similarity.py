import torch
from torch.autograd import gradcheck

from morphable.geometry import fit_similarity, nearest_rotation


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class TestSimilarity:
    def test_recovers_a_similarity(self):
        source = random(2, 7, 3)
        rotation = torch.linalg.qr(random(2, 3, 3, seed=1))[0]
        rotation = rotation * torch.linalg.det(rotation).sign()[:, None, None]
        scale, translation = torch.tensor([0.5, 3.0]), random(2, 3, seed=2)
        target = scale[:, None, None] * source @ rotation.mT + translation[:, None]
        found = fit_similarity(source, target)
        for ours, expected in zip(found, (scale.double(), rotation, translation), strict=True):
            torch.testing.assert_close(ours, expected)

    def test_mirrored_points_still_give_a_rotation(self):
        source = random(1, 7, 3)
        _, rotation, _ = fit_similarity(source, source * torch.tensor([-1.0, 1.0, 1.0]))
        torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(1, dtype=torch.float64))

    def test_coinciding_points(self):
        scale, _, translation = fit_similarity(torch.ones(1, 4, 3), random(1, 4, 3).float())
        assert scale.item() == 0
        assert translation.isfinite().all()

    def test_gradient(self):
        assert gradcheck(fit_similarity, (random(1, 5, 3).requires_grad_(), random(1, 5, 3, seed=1).requires_grad_()))

    def test_quarter_turn_in_the_plane_by_hand(self):
        # twice as large, turned from +x to +y, moved by (5, 7): (1, 0) goes to (5, 9), (0, 1) to (3, 7)
        source = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
        target = torch.tensor([[5.0, 9.0], [3.0, 7.0], [5.0, 7.0]])
        scale, rotation, translation = fit_similarity(source, target)
        torch.testing.assert_close(scale, torch.tensor(2.0))
        torch.testing.assert_close(rotation, torch.tensor([[0.0, -1.0], [1.0, 0.0]]), atol=1e-6, rtol=0)
        torch.testing.assert_close(translation, torch.tensor([5.0, 7.0]))

    def test_weight_two_is_a_point_twice(self):
        source, target = random(5, 3), random(5, 3, seed=1)
        twice = [0, 1, 2, 3, 4, 4]
        weighted = fit_similarity(source, target, torch.tensor([1.0, 1.0, 1.0, 1.0, 2.0]).double())
        for ours, expected in zip(weighted, fit_similarity(source[twice], target[twice]), strict=True):
            torch.testing.assert_close(ours, expected)


class TestNearestRotation:
    def test_scaled_rotation_comes_apart(self):
        rotation = torch.linalg.qr(random(2, 3, 3))[0]
        rotation = rotation * torch.linalg.det(rotation).sign()[:, None, None]
        found, scale = nearest_rotation(rotation * torch.tensor([0.5, 3.0])[:, None, None])
        torch.testing.assert_close(found, rotation)
        torch.testing.assert_close(scale, torch.tensor([0.5, 3.0]).double())
