"""A face model restricted to some points of its surface."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from morphable.faces import FaceParameters
from morphable.geometry.camera import camera_from_model


def combine_modes(
    coefficients: Float[Tensor, "*batch modes"],
    basis: Float[Tensor, "modes points 3"],
    offset: Float[Tensor, "points 3"],
) -> Float[Tensor, "*batch points 3"]:
    """Return offset + coefficients @ basis, computed in the type of the basis."""
    batch = coefficients.shape[:-1]
    flat = coefficients.reshape(math.prod(batch), basis.shape[0]).to(basis.dtype)
    combined = torch.addmm(offset.reshape(1, -1), flat, basis.reshape(basis.shape[0], offset.numel()))
    return combined.reshape(*batch, *offset.shape)


class PointModel(nn.Module):
    """The linear model of some surface points: the methods of `MorphableModel` on a few points instead of all vertices.

    Points on the surface are linear in the coefficients as vertices are, so bases of their own are exact. Nothing is
    in `state_dict()`.

    >>> import morphable, torch
    >>> model = morphable.load_model("open")
    >>> landmarks = model.restrict(model.surface_points("ibug68_3d"))
    >>> landmarks.decode_shape(torch.zeros(2, 80), torch.zeros(2, 64)).shape
    torch.Size([2, 68, 3])
    """

    mean: Float[Tensor, "points 3"]
    identity_basis: Float[Tensor, "id points 3"]
    expression_basis: Float[Tensor, "expr points 3"]
    mean_albedo: Float[Tensor, "points 3"]
    albedo_basis: Float[Tensor, "alb points 3"]

    def __init__(
        self,
        mean: Float[Tensor, "points 3"],
        identity_basis: Float[Tensor, "id points 3"],
        expression_basis: Float[Tensor, "expr points 3"],
        mean_albedo: Float[Tensor, "points 3"] | None = None,
        albedo_basis: Float[Tensor, "alb points 3"] | None = None,
    ) -> None:
        """Take the points' own mean and bases; without colors the points are black."""
        super().__init__()
        black = torch.zeros_like(mean)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("identity_basis", identity_basis, persistent=False)
        self.register_buffer("expression_basis", expression_basis, persistent=False)
        self.register_buffer("mean_albedo", black if mean_albedo is None else mean_albedo, persistent=False)
        self.register_buffer(
            "albedo_basis", black[None][:0] if albedo_basis is None else albedo_basis, persistent=False
        )

    def __len__(self) -> int:
        return len(self.mean)

    def __getitem__(self, index: Int[Tensor, " chosen"] | Bool[Tensor, " points"] | slice) -> "PointModel":
        """Return the model of some of the points."""
        return PointModel(
            self.mean[index],
            self.identity_basis[:, index],
            self.expression_basis[:, index],
            self.mean_albedo[index],
            self.albedo_basis[:, index],
        )

    def decode_shape(
        self, identity: Float[Tensor, "*#batch id"], expression: Float[Tensor, "*#batch expr"]
    ) -> Float[Tensor, "*batch points 3"]:
        """Return the points in meters, model frame; leading axes broadcast."""
        with torch.autocast(self.mean.device.type, enabled=False):
            neutral = combine_modes(identity, self.identity_basis, self.mean)
            return neutral + combine_modes(expression, self.expression_basis, torch.zeros_like(self.mean))

    def decode_albedo(self, albedo: Float[Tensor, "*batch alb"]) -> Float[Tensor, "*batch points 3"]:
        """Return sRGB-encoded colors, 0 to 1 but not clamped."""
        with torch.autocast(self.mean.device.type, enabled=False):
            return combine_modes(albedo, self.albedo_basis, self.mean_albedo)

    def vertices(self, faces: FaceParameters) -> Float[Tensor, "*batch points 3"]:
        """Return the points of posed faces in the camera frame, meters."""
        shape = self.decode_shape(faces.identity, faces.expression)
        return camera_from_model(shape, faces.rotation_head, faces.translation_m)
