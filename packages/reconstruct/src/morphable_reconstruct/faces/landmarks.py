"""The 68 points of a face straight from its coefficients, without decoding the whole mesh."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float

from morphable import MorphableModel

_KEPT_MODELS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class LandmarkBasis:
    """A linear model of some surface points: the face model restricted to them."""

    mean: Float[np.ndarray, "lmk 3"]
    modes: Float[np.ndarray, "modes lmk 3"]
    """Identity modes first, then expressions."""

    def decode(
        self, identity: Float[np.ndarray, "*batch id"], expression: Float[np.ndarray, "*batch expr"]
    ) -> Float[np.ndarray, "*batch lmk 3"]:
        """Points in the model frame, metres."""
        coefficients = np.concatenate([identity, expression], axis=-1)
        flat = self.modes.reshape(len(self.modes), -1)
        return self.mean + (coefficients @ flat).reshape(*coefficients.shape[:-1], *self.mean.shape)


@lru_cache(maxsize=_KEPT_MODELS)
def landmark_basis(model: MorphableModel, scheme: str = "ibug68_3d") -> LandmarkBasis:
    """Restrict a face model to the points of a scheme; kept for the last few models."""
    count = model.num_identity + model.num_expression
    with torch.no_grad():
        rows = torch.cat([torch.zeros(1, count), torch.eye(count)]).split([model.num_identity, model.num_expression], 1)
        points = model.landmarks(model.decode_shape(*rows), scheme).numpy()
    return LandmarkBasis(mean=points[0], modes=points[1:] - points[0])
