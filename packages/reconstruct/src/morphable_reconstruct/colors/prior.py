"""The distribution of light, learned from synthetic people whose albedo is known (`tools/learn_light_prior.py`)."""

import json
from functools import lru_cache
from pathlib import Path

import torch

from morphable_reconstruct.colors.estimate import LightPrior

FILE = Path(__file__).with_name("light_prior.json")


@lru_cache(maxsize=1)
def light_prior() -> LightPrior:
    """Read the distribution that comes with the package."""
    stored = json.loads(FILE.read_text())
    return LightPrior(
        mean=torch.tensor(stored["mean"], dtype=torch.float32),
        precision=torch.tensor(stored["precision"], dtype=torch.float32),
        level=float(stored["level"]),
        level_sd=float(stored["level_sd"]),
    )
