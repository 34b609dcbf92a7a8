"""Mobile-FRNet's parameters: a scaled-orthographic pose, identity and expression in few numbers, whitened."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from morphable.geometry import axes_flip, nearest_rotation
from morphable.geometry.orthographic import project_scaled_orthographic

NUM_POSE = 12
"""The 3x4 matrix by rows: scale times rotation into the camera's axes (px per meter), and the offset (px, depth 0)."""
_CONSTANT = 1e-6
"""Parameters that vary less than this are left in their own unit."""


@dataclass(frozen=True)
class OrthographicFaces:
    """Faces under the scaled-orthographic camera of their crops."""

    rotation_head: Float[Tensor, "faces 3 3"]
    """`R_head`; the identity looks straight at the camera."""
    scale_px_per_m: Float[Tensor, " faces"]
    offset_px: Float[Tensor, "faces 2"]
    """Pixel of the model origin in the crop."""
    identity: Float[Tensor, "faces id"]
    expression: Float[Tensor, "faces expr"]

    def project(self, points_m: Float[Tensor, "faces points 3"]) -> Float[Tensor, "faces points 3"]:
        """Put points of the faces' shapes into their crops: landmarks, or the whole surface.

        Args:
            points_m: Of the shapes that the face model decodes from identity and expression, model frame, meters.

        Returns:
            x right and y down in pixels, and depth into the scene in pixels, 0 at the model origin.
        """
        return project_scaled_orthographic(
            points_m, self.rotation_head, scale_px_per_m=self.scale_px_per_m, offset_px=self.offset_px
        )


class FaceCodec(nn.Module):
    """Turns faces into whitened parameters and back.

    Identity is cut to its first modes (they are sorted by variance). Expression activations, which are not, go
    through `expression_basis`: few directions that move the surface most under the training data's expressions.
    Everything is in buffers, so that a weights file holds it.
    """

    mean: Float[Tensor, " params"]
    std: Float[Tensor, " params"]
    expression_mean: Float[Tensor, " expr"]
    expression_basis: Float[Tensor, "codes expr"]
    expression_encoder: Float[Tensor, "expr codes"]

    def __init__(
        self, *, num_identity: int = 40, num_expression: int = 10, model_identity: int = 80, model_expression: int = 64
    ) -> None:
        """Make a codec that does not whiten yet.

        Args:
            num_identity: Identity modes among the parameters.
            num_expression: Expression directions among them.
            model_identity: Identity modes of the face model.
            model_expression: Expression modes of the face model.

        Raises:
            ValueError: The model has fewer modes.
        """
        super().__init__()
        if not (0 < num_identity <= model_identity and 0 < num_expression <= model_expression):
            raise ValueError(
                f"num_identity and num_expression must be in 1..{model_identity} and 1..{model_expression}, "
                f"got {num_identity} and {num_expression}"
            )
        self.num_identity, self.num_expression, self.model_identity = num_identity, num_expression, model_identity
        self.num_parameters = NUM_POSE + num_identity + num_expression
        self.register_buffer("mean", torch.zeros(self.num_parameters))
        self.register_buffer("std", torch.ones(self.num_parameters))
        self.register_buffer("expression_mean", torch.zeros(model_expression))
        self.register_buffer("expression_basis", torch.eye(num_expression, model_expression))
        self.register_buffer("expression_encoder", torch.eye(model_expression, num_expression))

    @torch.no_grad()
    def fit_expressions(
        self, expression: Float[Tensor, "faces expr"], displacement: Float[Tensor, "expr points 3"]
    ) -> None:
        """Choose the directions: principal components of the surface motion that some expressions cause.

        Args:
            expression: Activations of training faces.
            displacement: How each activation moves points of the surface (the model's basis at those points).
        """
        self.expression_mean.copy_(expression.mean(0))
        centered = (expression - self.expression_mean).double()
        values, vectors = torch.linalg.eigh(centered.T @ centered / len(expression))
        spread = values.clamp(min=0).sqrt()
        root = vectors * spread @ vectors.T
        known = spread > spread.max() * 1e-4
        inverse = vectors * torch.where(known, 1 / spread.clamp(min=1e-12), 0.0) @ vectors.T
        moved = root @ displacement.flatten(1).double()
        directions = torch.linalg.svd(moved, full_matrices=False)[0][:, : self.num_expression]
        self.expression_basis.copy_((root @ directions).T)
        self.expression_encoder.copy_(inverse @ directions)

    @torch.no_grad()
    def fit_whitening(self, raw: Float[Tensor, "faces params"]) -> None:
        """Take mean and standard deviation of each parameter from training faces."""
        std = raw.std(0, correction=0)
        self.mean.copy_(raw.mean(0))
        self.std.copy_(torch.where(std > _CONSTANT, std, 1.0))

    def pack(self, faces: OrthographicFaces) -> Float[Tensor, "faces params"]:
        """Return raw parameters: pose, identity, expression."""
        turn = axes_flip(faces.rotation_head)[:, None] * faces.rotation_head * faces.scale_px_per_m[:, None, None]
        shift = torch.nn.functional.pad(faces.offset_px, (0, 1))
        pose = torch.cat([turn, shift[..., None]], dim=-1).flatten(1)
        codes = (faces.expression - self.expression_mean) @ self.expression_encoder
        return torch.cat([pose, faces.identity[:, : self.num_identity], codes], dim=1)

    def unpack(self, raw: Float[Tensor, "faces params"]) -> OrthographicFaces:
        """Return the faces that raw parameters mean, with the nearest rotation, and zero for identity modes beyond."""
        pose, identity, codes = raw.split([NUM_POSE, self.num_identity, self.num_expression], dim=1)
        matrix = pose.unflatten(1, (3, 4))
        turn, scale = nearest_rotation(matrix[:, :, :3])
        return OrthographicFaces(
            rotation_head=axes_flip(turn)[:, None] * turn,
            scale_px_per_m=scale,
            offset_px=matrix[:, :2, 3],
            identity=torch.nn.functional.pad(identity, (0, self.model_identity - self.num_identity)),
            expression=self.expression_mean + codes @ self.expression_basis,
        )

    def whiten(self, raw: Float[Tensor, "faces params"]) -> Float[Tensor, "faces params"]:
        """Return parameters of mean 0 and variance 1 over the training faces."""
        return (raw - self.mean) / self.std

    def unwhiten(self, whitened: Float[Tensor, "faces params"]) -> Float[Tensor, "faces params"]:
        """Undo `whiten`."""
        return whitened * self.std + self.mean
