"""Irises and gaze of a face, and what reads them from its mesh."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from morphable import MorphableModel
from morphable.eyes import EyeReader, has_eyes

_KEPT_MODELS = 4


@dataclass(frozen=True, kw_only=True)
class Eye:
    """One eye of a face, as its mesh has it, whether or not the lid covers it."""

    iris_px: Float[np.ndarray, "2"]
    """Center of the iris in the photograph."""
    iris_cam_m: Float[np.ndarray, "3"]
    center_cam_m: Float[np.ndarray, "3"]
    """Center of the eyeball."""
    gaze_cam: Float[np.ndarray, "3"]
    """Unit vector of the gaze in camera space."""
    yaw: float
    """Gaze toward the person's left relative to the head, radians."""
    pitch: float
    """Gaze upward relative to the head, radians."""

    @property
    def degrees(self) -> dict[str, float]:
        """The angles in degrees, by name."""
        return {"yaw": math.degrees(self.yaw), "pitch": math.degrees(self.pitch)}


@lru_cache(maxsize=_KEPT_MODELS)
def eye_reader(model: MorphableModel) -> EyeReader | None:
    """Return the reader of the eyes of a model's faces; None for a model without eyeballs."""
    return EyeReader(model) if has_eyes(model) else None
