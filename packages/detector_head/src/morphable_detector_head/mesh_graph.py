"""The face model's decoding as a part of an exported graph: points and meshes for its users without this code."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from morphable import FaceParameters, MorphableModel, PointModel
from morphable.geometry import GLOBAL_FOCAL_PX, camera_from_model

MESH_OUTPUTS = ("landmarks68_px", "landmarks68_cam_m", "vertices_cam_m", "triangles")
"""Outputs of a graph with a face model, in order, behind the detector's own."""


class LinearPoints(nn.Module):
    """Surface points as one matrix product; its shapes are not compared by name, which would fix a graph's batch."""

    mean: Float[Tensor, "points 3"]
    basis: Float[Tensor, "modes points 3"]

    def __init__(self, points: PointModel) -> None:
        super().__init__()
        self.register_buffer("mean", points.mean, persistent=False)
        basis = torch.cat([points.identity_basis, points.expression_basis])
        self.register_buffer("basis", basis, persistent=False)

    def forward(self, faces: FaceParameters) -> Float[Tensor, "... points 3"]:
        """Return the points of posed faces in the camera frame, meters."""
        coefficients = torch.cat([faces.identity, faces.expression], dim=-1)
        shape = torch.tensordot(coefficients, self.basis, dims=1) + self.mean
        return camera_from_model(shape, faces.rotation_head, faces.translation_m)


class MeshDecoder(nn.Module):
    """A face model as plain matrix products: the 68 static points and all vertices of every face."""

    triangles: Int[Tensor, "tris 3"]

    def __init__(self, model: MorphableModel) -> None:
        super().__init__()
        self.landmarks68 = LinearPoints(model.restrict(model.surface_points("ibug68_3d")))
        self.vertices = LinearPoints(vertex_model(model))
        self.register_buffer("triangles", model.triangles.clone(), persistent=False)

    def forward(self, image: Float[Tensor, "_ 3 height width"], faces: FaceParameters) -> tuple[Tensor, ...]:
        """Decode faces; the results are in the order of `MESH_OUTPUTS`, pixels are those of the network's input."""
        points = self.landmarks68(faces)
        height, width = image.shape[-2:]
        rays = GLOBAL_FOCAL_PX * points[..., :2] / points[..., 2:]
        pixels = torch.stack([rays[..., 0] + width / 2, rays[..., 1] + height / 2], dim=-1)
        # A buffer that is returned as it is would be an initializer among the outputs, which some runtimes refuse.
        return pixels, points, self.vertices(faces), self.triangles + 0


def vertex_model(model: MorphableModel) -> PointModel:
    """Return the linear model of all vertices, without the subdivision step and without colors."""
    identity, expression = model.mean.new_zeros(model.num_identity), model.mean.new_zeros(model.num_expression)
    mean = model.decode_shape(identity, expression)
    by_identity = model.decode_shape(torch.eye(model.num_identity).to(mean), expression) - mean
    by_expression = model.decode_shape(identity, torch.eye(model.num_expression).to(mean)) - mean
    return PointModel(mean, by_identity, by_expression)
