"""Score made-up predictions with the numbers that every paper prints."""

import numpy as np

from morphable_evalkit import nme, summarize

rng = np.random.default_rng(0)
truth = rng.uniform(100, 300, (200, 68, 2))  # 200 faces, 68 points, pixels
predicted = truth + rng.normal(0, 4, truth.shape)
predicted[7] = np.nan  # one face was missed
errors = nme(predicted, truth)  # divided by sqrt(w*h) of the true points' box
summary = summarize(errors, yaw_deg=rng.uniform(-90, 90, 200))
print(errors.shape, f"{100 * summary.balanced_mean:.2f} %", f"{summary.num_failed} missed of {summary.num_faces}")
print({b.name: (b.num_faces, round(100 * b.mean, 2)) for b in summary.bins})
