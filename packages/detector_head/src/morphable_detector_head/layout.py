"""What the channels of the parameter head mean."""

import math
from dataclasses import dataclass
from typing import Literal

from morphable import MorphableModel, SurfacePoints
from morphable.geometry import points_at_vertices

NUM_ROTATION = 3
NUM_TRANSLATION = 3
NUM_SH_BANDS = 9
NUM_COLORS = 3
NUM_ILLUMINATION = NUM_SH_BANDS * NUM_COLORS

NEAREST_DEPTH_M = 0.5
"""A log-depth channel of -1 decodes to this depth."""
FARTHEST_DEPTH_M = 13.0
"""A log-depth channel of +1 decodes to this depth."""
LOG_DEPTH_CENTER = math.log(NEAREST_DEPTH_M * FARTHEST_DEPTH_M) / 2
LOG_DEPTH_HALF_RANGE = math.log(FARTHEST_DEPTH_M / NEAREST_DEPTH_M) / 2
MAX_LOG_DEPTH_CHANNEL = 3.0
"""Log-depth channels are clamped to +-this (0.02 to 340 m), so that depth stays positive and finite."""
DEPTH_OFFSET_ORIGIN_M = 1.0
"""Depth at zero of the channel `depth="offset"`: the official network's ten decimeters."""


@dataclass(frozen=True, kw_only=True)
class ParameterLayout:
    """Reading of the parameter head's channels, in the order of the paper's vector (section III-A1).

    The order is identity, expression, albedo, rotation (3), translation (dx, dy, depth), illumination
    (nine bands of red, green, blue).
    """

    num_identity: int = 80
    """Identity coefficients of the morphable model."""
    num_expression: int = 64
    """Expression coefficients of the morphable model."""
    num_albedo: int = 80
    """Albedo coefficients of the morphable model."""
    rotation: Literal["rotation_vector", "euler_xyz"] = "rotation_vector"
    """Axis-angle vector, or angles with `R = Rz Ry Rx` (the official checkpoint)."""
    rotation_frame: Literal["ray", "camera"] = "ray"
    """What the rotation channels are relative to. `ray`: the viewing ray through the cell's center, so that
    a face that looks the same anywhere in the picture has the same channels; `camera`: the optical axis."""
    depth: Literal["log", "offset"] = "log"
    """Scaled log-depth (always positive), or meters from one meter on (the official checkpoint)."""
    offset_unit_px: float = 8.0
    """Input pixels per unit of the channels dx, dy of equation 5."""

    def __post_init__(self) -> None:
        for name in ("num_identity", "num_expression", "num_albedo"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if not self.offset_unit_px > 0:
            raise ValueError(f"offset_unit_px must be positive, got {self.offset_unit_px}")

    @classmethod
    def of_model(cls, model: MorphableModel) -> "ParameterLayout":
        """Give the default layout with the numbers of coefficients of a morphable model."""
        return cls(
            num_identity=model.num_identity,
            num_expression=model.num_expression,
            num_albedo=model.num_albedo,
        )

    @property
    def sizes(self) -> tuple[int, int, int, int, int, int]:
        """Channels of identity, expression, albedo, rotation, translation, illumination."""
        coefficients = (self.num_identity, self.num_expression, self.num_albedo)
        return (*coefficients, NUM_ROTATION, NUM_TRANSLATION, NUM_ILLUMINATION)

    @property
    def are_colors(self) -> tuple[bool, ...]:
        """Tell for each channel whether it is of albedo or illumination."""
        kinds = (False, False, True, False, False, True)
        return tuple(kind for kind, size in zip(kinds, self.sizes, strict=True) for _ in range(size))

    @property
    def num_channels(self) -> int:
        """Channels of the parameter head: 257 for an 80/64/80 model."""
        return sum(self.sizes)


def located_irises(model: MorphableModel) -> SurfacePoints:
    """Return the irises' centers on a face model, ordered as the face head's last two points: the left one first.

    No points for a model whose eyes do not turn.
    """
    right_then_left = model.iris_vertices or ()
    return points_at_vertices(model.triangles, right_then_left[::-1])
