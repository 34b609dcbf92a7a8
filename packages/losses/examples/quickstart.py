"""One training step's loss for two pictures: two faces in the first, none in the second."""

import torch

from morphable_losses import center_focal_loss, coefficient_norm, landmark_loss, wm3dr_loss
from morphable_losses.landmarks import landmark_weights
from morphable_losses.wm3dr import Wm3drTerms, Wm3drWeights

heatmap = torch.zeros(2, 64, 64)
heatmap[0, 10, 20] = heatmap[0, 40, 33] = 1.0  # two faces in the first picture, none in the second
present = torch.tensor([[True, True], [False, False]])
target_px = 512 * torch.rand(2, 2, 68, 2, generator=torch.Generator().manual_seed(0))
terms = Wm3drTerms(
    center=center_focal_loss(torch.full((2, 64, 64), -4.59), heatmap),
    landmark=landmark_loss(target_px + 2, target_px, landmark_weights(), present=present),
    norm=coefficient_norm(*(torch.ones(2, 2, size) for size in (80, 64, 80)), present=present),
)
loss = wm3dr_loss(terms, Wm3drWeights())
print(f"total {loss.total:.4f} =", " + ".join(f"{name} {value:.4f}" for name, value in loss.weighted.items()))
