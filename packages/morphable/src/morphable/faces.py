"""The record of faces that every package hands on: coefficients, pose, light."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class FaceParameters:
    """Everything that draws faces: coefficients of a face model, pose in the camera, light.

    >>> import morphable, torch
    >>> faces = morphable.load_model("open").sample(4, torch.Generator().manual_seed(0))
    >>> faces[1:3].identity.shape
    torch.Size([2, 80])
    """

    identity: Float[Tensor, "*batch id"]
    """Standard normal a priori."""
    expression: Float[Tensor, "*batch expr"]
    """Activations, 0 neutral, 1 full (open model); standard normal for models with an expression PCA."""
    albedo: Float[Tensor, "*batch alb"]
    """Standard normal a priori."""
    rotation_head: Float[Tensor, "*batch 3 3"]
    """`x_cam = diag(1, -1, -1) @ rotation_head @ x_model + translation_m`; the identity looks at the camera."""
    translation_m: Float[Tensor, "*batch 3"]
    """Position of the model's origin in the camera, meters, +x right, +y down, +z forward."""
    illumination: Float[Tensor, "*batch 9 3"]
    """Spherical-harmonics light: nine coefficients (bands 0 to 2) per RGB channel, before the renderer's offset of the
    first one; zeros are soft white light."""

    def map(self, function: Callable[[Tensor], Tensor]) -> "FaceParameters":
        """Apply a function to every tensor, e.g. `lambda x: x.to(device)`."""
        return type(self)(**{field.name: function(getattr(self, field.name)) for field in fields(self)})

    def __getitem__(self, index: Tensor | int | slice | tuple[Tensor | int | slice, ...]) -> "FaceParameters":
        """Index the leading axes, e.g. with a boolean mask of valid faces."""
        return self.map(lambda tensor: tensor[index])

    @staticmethod
    def concatenate(parts: Iterable["FaceParameters"]) -> "FaceParameters":
        """Join faces along the first leading axis."""
        listed = list(parts)
        return FaceParameters(
            **{
                field.name: torch.cat([getattr(part, field.name) for part in listed])
                for field in fields(FaceParameters)
            }
        )
