"""`MorphableModel`: faces from coefficients."""

from functools import cached_property
from os import PathLike

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from morphable import contour
from morphable.faces import FaceParameters
from morphable.geometry.camera import camera_from_model
from morphable.geometry.mesh import (
    SparseRows,
    SurfacePoints,
    apply_rows,
    cylindrical_uv,
    mirror_points,
    triangles_of_vertices,
    vertex_normals,
)
from morphable.landmarks import DERIVED_SCHEMES, NUM_JAW, derive_landmarks
from morphable.model_data import PLAIN_TENSORS, SUBDIVISION_PARTS, ExpressionPrior, ModelData
from morphable.model_file import write_model_file
from morphable.point_model import PointModel, combine_modes
from morphable.sampling import sample_activations, sample_normal

STATIC68 = "ibug68_3d"
_GAZE = ("eyeLookUp", "eyeLookIn")
CONTOUR68 = "ibug68_contour"
SAMPLE_DISTANCE_M = 1.0
"""Sampled faces stand this far from the camera."""
OPTIONAL_TENSORS = (
    *("mirror_vertices", "identity_flip", "albedo_flip", "expression_flip"),
    *("identity_flip_offset", "albedo_flip_offset"),
)


class MorphableModel(nn.Module):
    """A linear model of face shape and albedo: mean + identity + expression (WM3DR, eq. 3).

    Coefficients have one entry per mode. Identity and albedo are standard normal a priori; `expression_prior`
    says what expression coefficients are. Shapes are in meters in the model frame (docs/conventions.md), colors
    sRGB-encoded. `.to()` moves everything; decoding runs in the buffers' dtype (float32 unless cast), under autocast
    too. Nothing is in `state_dict()`: a network's checkpoint holds no face model, the model file does.

    >>> model = morphable.load_model("open")
    >>> model.decode_shape(torch.zeros(80), torch.zeros(64)).shape
    torch.Size([17355, 3])
    """

    mean: Float[Tensor, "base 3"]
    identity_basis: Float[Tensor, "id base 3"]
    expression_basis: Float[Tensor, "expr base 3"]
    mean_albedo: Float[Tensor, "base 3"]
    albedo_basis: Float[Tensor, "alb base 3"]
    triangles: Int[Tensor, "tris 3"]
    uv: Float[Tensor, "uv_verts 2"]
    """(u right, v down) in [0, 1]."""
    uv_triangles: Int[Tensor, "tris 3"]
    part_labels: Int[Tensor, " tris"]
    """Index into `part_names`."""
    mirror_vertices: Int[Tensor, " verts"] | None
    """For each vertex its counterpart on the other side; None where the topology has no symmetry on file."""
    identity_flip: Float[Tensor, "*id id"] | None
    """Signs, or a matrix; `flip_identity` applies either."""
    identity_flip_offset: Float[Tensor, " id"] | None
    albedo_flip: Float[Tensor, "*alb alb"] | None
    albedo_flip_offset: Float[Tensor, " alb"] | None
    expression_flip: Int[Tensor, " expr"] | Float[Tensor, "expr expr"] | None
    """A permutation, or a matrix; `flip_expression` applies either."""
    subdivision_crow: Tensor
    subdivision_col: Tensor
    subdivision_value: Tensor
    contour_triangle: Tensor
    contour_barycentric: Tensor
    _around_crow: Tensor
    _around_col: Tensor
    _around_value: Tensor
    _jaw_outward: Tensor
    _up_weights: Tensor

    def __init__(self, data: ModelData) -> None:
        super().__init__()
        self.name, self.license, self.source = data.name, data.license, data.source
        self.expression_prior: ExpressionPrior = data.expression_prior
        unnamed = tuple(f"expression_{i:03d}" for i in range(data.expression_basis.shape[0]))
        self.expression_names = data.expression_names or unnamed
        self.part_names, self.region_names = data.part_names, tuple(data.regions)
        self.mirror_residual = dict(data.mirror_residual)
        self.num_vertices = data.num_vertices
        self._stored_schemes, self._has_contour = tuple(data.landmarks), data.contour is not None
        self._subdivided, self._has_uv = data.subdivision is not None, data.uv is not None
        tensors: dict[str, Tensor | None] = dict.fromkeys(OPTIONAL_TENSORS)
        for name, tensor in (tensors | data.tensors()).items():
            self._keep(name.replace(".", "_"), tensor)
        self._derive(data.part_labels is None)

    def _keep(self, name: str, tensor: Tensor | None) -> None:
        """Register a buffer as float32 (float64 stays), int64 or bool."""
        if tensor is not None and tensor.is_floating_point():
            tensor = tensor.to(torch.float64 if tensor.dtype == torch.float64 else torch.float32)
        elif tensor is not None and tensor.dtype != torch.bool:
            tensor = tensor.long()
        self.register_buffer(name, tensor, persistent=False)

    def _derive(self, one_part: bool) -> None:
        """Register what follows from the stored buffers."""
        mean = self._full_resolution(self.mean)
        if one_part:
            self._keep("part_labels", self.triangles.new_zeros(self.triangles.shape[0]))
        if not self._has_uv:
            self._keep("uv", cylindrical_uv(mean))
            self._keep("uv_triangles", self.triangles)
        around = triangles_of_vertices(self.triangles, self.num_vertices)
        self._keep("_around_crow", around.crow)
        self._keep("_around_col", around.col)
        self._keep("_around_value", around.value)
        if self._has_contour and STATIC68 in self._stored_schemes:
            static = self.landmarks(mean, STATIC68)
            self._keep("_jaw_outward", contour.jaw_outward(static))
            self._keep("_up_weights", contour.up_weights(static))

    @property
    def num_identity(self) -> int:
        """Number of identity coefficients."""
        return self.identity_basis.shape[0]

    @property
    def num_expression(self) -> int:
        """Number of expression coefficients."""
        return self.expression_basis.shape[0]

    @property
    def num_albedo(self) -> int:
        """Number of albedo coefficients."""
        return self.albedo_basis.shape[0]

    @property
    def landmark_schemes(self) -> tuple[str, ...]:
        """Names that `landmarks` accepts."""
        derived = sorted(DERIVED_SCHEMES) if STATIC68 in self._stored_schemes else []
        return tuple(dict.fromkeys([*self._stored_schemes, *derived]))

    def decode_shape(
        self, identity: Float[Tensor, "*#batch id"], expression: Float[Tensor, "*#batch expr"]
    ) -> Float[Tensor, "*batch verts 3"]:
        """Return vertices in meters, model frame; leading axes broadcast."""
        _check_count("identity", identity, self.num_identity)
        _check_count("expression", expression, self.num_expression)
        with torch.autocast(self.mean.device.type, enabled=False):
            neutral = combine_modes(identity, self.identity_basis, self.mean)
            moved = combine_modes(expression, self.expression_basis, torch.zeros_like(self.mean))
            return self._full_resolution(neutral + moved)

    def decode_albedo(self, albedo: Float[Tensor, "*batch alb"]) -> Float[Tensor, "*batch verts 3"]:
        """Return sRGB-encoded vertex colors, 0 to 1 but not clamped (clamping would kill gradients)."""
        _check_count("albedo", albedo, self.num_albedo)
        with torch.autocast(self.mean.device.type, enabled=False):
            return self._full_resolution(combine_modes(albedo, self.albedo_basis, self.mean_albedo))

    def forward(
        self,
        identity: Float[Tensor, "*#batch id"],
        expression: Float[Tensor, "*#batch expr"],
        albedo: Float[Tensor, "*batch_albedo alb"],
    ) -> tuple[Float[Tensor, "*batch verts 3"], Float[Tensor, "*batch_albedo verts 3"]]:
        """Return `decode_shape` and `decode_albedo`."""
        return self.decode_shape(identity, expression), self.decode_albedo(albedo)

    def vertices(self, faces: FaceParameters) -> Float[Tensor, "*batch verts 3"]:
        """Return the vertices of posed faces in the camera frame, meters.

        >>> import morphable, torch
        >>> model = morphable.load_model("open")
        >>> model.vertices(model.sample(2, torch.Generator().manual_seed(0))).shape
        torch.Size([2, 17355, 3])
        """
        shape = self.decode_shape(faces.identity, faces.expression)
        return camera_from_model(shape, faces.rotation_head, faces.translation_m)

    def sample(self, count: int, generator: torch.Generator) -> FaceParameters:
        """Draw faces from the model's prior, a meter straight ahead, looking at the camera in soft white light.

        Normal expression coefficients are drawn as identity and albedo are, activations by `sample_activations`.

        Args:
            count: Number of faces.
            generator: Source of the numbers, on the CPU; the same seed gives the same faces on any device.
        """
        identity = sample_normal(count, self.num_identity, generator)
        albedo = sample_normal(count, self.num_albedo, generator)
        if self.expression_prior == "normal":
            expression = sample_normal(count, self.num_expression, generator)
        else:
            stored = self.expression_flip
            flip = stored.cpu() if stored is not None and stored.ndim == 1 else None
            expression = sample_activations(count, self.expression_names, flip, generator)
        drawn = FaceParameters(
            identity=identity,
            expression=expression,
            albedo=albedo,
            rotation_head=torch.eye(3).repeat(count, 1, 1),
            translation_m=torch.tensor([0.0, 0.0, SAMPLE_DISTANCE_M]).repeat(count, 1),
            illumination=torch.zeros(count, 9, 3),
        )
        return drawn.map(lambda tensor: tensor.to(self.mean))

    def restrict(self, points: SurfacePoints) -> PointModel:
        """Return the linear model of some surface points, in their order (several axes are flattened)."""
        rows = self._base_rows(self.triangles[points.triangle.reshape(-1)], points.barycentric.reshape(-1, 3))

        def at_points(values: Float[Tensor, "*modes base 3"]) -> Float[Tensor, "*modes points 3"]:
            modes = values.reshape(-1, *values.shape[-2:])
            found = apply_rows(rows, modes.permute(1, 0, 2).reshape(values.shape[-2], -1))
            by_mode = found.unflatten(1, (len(modes), 3)).permute(1, 0, 2)
            return by_mode.reshape(*values.shape[:-2], len(found), 3).contiguous()

        parts = (self.mean, self.identity_basis, self.expression_basis, self.mean_albedo, self.albedo_basis)
        return PointModel(*map(at_points, parts))

    def _base_rows(self, corners: Int[Tensor, "points 3"], weights: Float[Tensor, "points 3"]) -> SparseRows:
        """Return how points combine base vertices, given their corners at full resolution and the corners' weights."""
        corner, weight = corners.reshape(-1), weights.reshape(-1).to(self.mean)
        if not self._subdivided:
            ends = torch.arange(0, len(corner) + 1, 3, device=corner.device)
            return SparseRows(ends, corner, weight)
        start = self.subdivision_crow[corner]
        count = self.subdivision_crow[corner + 1] - start
        ends = torch.cat([count.new_zeros(1), count.cumsum(0)])
        entry = torch.arange(int(ends[-1]), device=corner.device) + (start - ends[:-1]).repeat_interleave(count)
        value = self.subdivision_value[entry] * weight.repeat_interleave(count)
        return SparseRows(ends[::3], self.subdivision_col[entry], value)

    def _full_resolution(self, base: Float[Tensor, "*batch base 3"]) -> Float[Tensor, "*batch verts 3"]:
        """Subdivide values given at base vertices."""
        if not self._subdivided:
            return base
        rows = SparseRows(self.subdivision_crow, self.subdivision_col, self.subdivision_value)
        columns = base.reshape(-1, *base.shape[-2:]).permute(1, 0, 2).reshape(base.shape[-2], -1)
        full = apply_rows(rows, columns).reshape(self.num_vertices, -1, 3).permute(1, 0, 2)
        return full.reshape(*base.shape[:-2], self.num_vertices, 3).contiguous()

    def surface_points(self, scheme: str) -> SurfacePoints:
        """Return where the points of a stored scheme lie; `landmarks` also accepts derived schemes."""
        if scheme not in self._stored_schemes:
            known = ", ".join(self._stored_schemes) or "none"
            raise ValueError(f"scheme must be one stored in model {self.name!r} ({known}), got {scheme!r}")
        stored = dict(self.named_buffers())
        return SurfacePoints(*(stored[f"landmarks_{scheme}_{part}"] for part in ("triangle", "barycentric")))

    def landmarks(
        self, vertices: Float[Tensor, "*batch verts 3"], scheme: str = STATIC68
    ) -> Float[Tensor, "*batch lmk 3"]:
        """Return static landmarks in the frame of `vertices`; points on the hidden side stay where they are.

        Args:
            vertices: From `decode_shape`, in any frame.
            scheme: One of `landmark_schemes`; the visible outline comes from `contour_landmarks`.
        """
        if scheme == CONTOUR68:
            raise ValueError(
                f"scheme must be static, got {scheme!r}; call contour_landmarks with camera-frame vertices"
            )
        if scheme not in self._stored_schemes and scheme in self.landmark_schemes:
            return derive_landmarks(self.surface_points(STATIC68).on(vertices, self.triangles), scheme)
        return self.surface_points(scheme).on(vertices, self.triangles)

    @cached_property
    def iris_vertices(self) -> tuple[int, int] | None:
        """Vertices at the fronts of the right and the left eyeball, which the gaze moves most.

        They lie on the eyeball's surface, where pictures show the pupil; `morphable.eyes`, which reads whole eyeballs,
        places the iris in the plane of its rim, 1.5 mm deeper. None for a model whose eyes do not turn.
        """
        found = []
        for side in ("Right", "Left"):
            actions = [f"{action}{side}" for action in _GAZE]
            if not set(actions) <= set(self.expression_names):
                return None
            rows = torch.stack([self.expression_basis[self.expression_names.index(name)] for name in actions])
            motion = torch.stack([self._full_resolution(row) for row in rows])
            found.append(int(motion.norm(dim=-1).sum(0).argmax()))
        right, left = found
        return right, left

    def contour_landmarks(self, vertices_cam: Float[Tensor, "*batch verts 3"]) -> Float[Tensor, "*batch 68 3"]:
        """Return the 68 points with the jaw line on the visible outline (`ibug68_contour`).

        Each half of the outline that `jaw_outline` finds is divided evenly in the image, as annotators do; the other
        51 are the static points.

        Args:
            vertices_cam: Vertices in meters, camera at the origin, +x right, +y down, +z forward.
        """
        jaw = contour.space_evenly(self.jaw_outline(vertices_cam))
        return torch.cat([jaw, self.landmarks(vertices_cam, STATIC68)[..., NUM_JAW:, :]], dim=-2)

    def jaw_outline(self, vertices_cam: Float[Tensor, "*batch verts 3"]) -> Float[Tensor, "*batch 17 3"]:
        """Return the points at which the visible outline crosses the line of each jaw point.

        Each of the 17 jaw points slides along its line of candidates on the surface to the one that reaches
        farthest out of the face in the image. The choice is piecewise constant and carries no gradient; positions are
        differentiable.

        Args:
            vertices_cam: As for `contour_landmarks`.
        """
        if not self._has_contour or STATIC68 not in self._stored_schemes:
            raise ValueError(f"model must hold contour lines and {STATIC68} landmarks, got {self.name!r} without")
        static = self.landmarks(vertices_cam, STATIC68)
        lines = SurfacePoints(self.contour_triangle, self.contour_barycentric).on(vertices_cam, self.triangles)
        return contour.visible_outline(static, lines, self._jaw_outward, self._up_weights)

    def normals(self, vertices: Float[Tensor, "*batch verts 3"]) -> Float[Tensor, "*batch verts 3"]:
        """Return unit vertex normals (area-weighted), outward, in the frame of `vertices`."""
        around = SparseRows(self._around_crow, self._around_col, self._around_value)
        return vertex_normals(vertices, self.triangles, around)

    def region(self, name: str) -> Bool[Tensor, " verts"]:
        """Return which vertices belong to a named region, or touch a triangle of a named part."""
        if name in self.region_names:
            return getattr(self, f"regions_{name}").bool()
        if name not in self.part_names:
            known = ", ".join(dict.fromkeys([*self.region_names, *self.part_names]))
            raise ValueError(f"name must be a region or part of model {self.name!r} ({known}), got {name!r}")
        inside = torch.zeros(self.num_vertices, dtype=torch.bool, device=self.triangles.device)
        inside[self.triangles[self.part_labels == self.part_names.index(name)].reshape(-1)] = True
        return inside

    def mirror(self, vertices: Float[Tensor, "*batch verts 3"]) -> Float[Tensor, "*batch verts 3"]:
        """Return the mirrored mesh (model frame), each vertex in its counterpart's place."""
        return mirror_points(vertices, self._symmetry("mirror_vertices"))

    def flip_identity(self, identity: Float[Tensor, "*batch id"]) -> Float[Tensor, "*batch id"]:
        """Return the identity coefficients of the mirrored face."""
        return _flip(identity, self._symmetry("identity_flip"), self.identity_flip_offset)

    def flip_expression(self, expression: Float[Tensor, "*batch expr"]) -> Float[Tensor, "*batch expr"]:
        """Return the expression coefficients of the mirrored face."""
        flip = self._symmetry("expression_flip")
        return expression[..., flip] if flip.ndim == 1 else _flip(expression, flip, None)

    def flip_albedo(self, albedo: Float[Tensor, "*batch alb"]) -> Float[Tensor, "*batch alb"]:
        """Return the albedo coefficients of the mirrored face."""
        return _flip(albedo, self._symmetry("albedo_flip"), self.albedo_flip_offset)

    def _symmetry(self, name: str) -> Tensor:
        """Return a stored mirror tensor or say that there is none."""
        stored: Tensor | None = getattr(self, name)
        if stored is None:
            raise ValueError(f"model must store {name} to be mirrored, got {self.name!r} without")
        return stored

    def data(self) -> ModelData:
        """Return the model's content as it is now, to save it or to build a variant of it."""
        stored = dict(self.named_buffers())
        points = {
            name: SurfacePoints(stored[f"{name}_triangle"], stored[f"{name}_barycentric"])
            for name in (
                *(f"landmarks_{scheme}" for scheme in self._stored_schemes),
                *["contour"] * self._has_contour,
            )
        }
        rows = (stored[f"subdivision_{part}"] for part in SUBDIVISION_PARTS) if self._subdivided else None
        plain = {name: stored.get(name) for name in PLAIN_TENSORS}
        if not self._has_uv:
            plain |= {"uv": None, "uv_triangles": None}
        return ModelData(
            name=self.name,
            license=self.license,
            source=self.source,
            expression_names=self.expression_names,
            expression_prior=self.expression_prior,
            part_names=self.part_names,
            subdivision=SparseRows(*rows) if rows is not None else None,
            regions={name: stored[f"regions_{name}"] for name in self.region_names},
            landmarks={scheme: points[f"landmarks_{scheme}"] for scheme in self._stored_schemes},
            contour=points.get("contour"),
            mirror_residual=self.mirror_residual,
            **plain,  # type: ignore[arg-type]
        )

    def save(self, path: str | PathLike[str], *, half: bool = False) -> None:
        """Write a model file (docs/model_file.md), replacing an existing one only once it is complete.

        Args:
            path: File to write, usually `.safetensors`.
            half: Store the three bases in half precision: half the size, relative error at most 2^-11.
        """
        write_model_file(self.data(), path, half=half)


def _flip(
    coefficients: Float[Tensor, "*batch modes"],
    flip: Float[Tensor, "*modes modes"],
    offset: Float[Tensor, " modes"] | None,
) -> Float[Tensor, "*batch modes"]:
    """Multiply coefficients with signs or a matrix, and add an offset."""
    flip = flip.to(coefficients.dtype)
    mirrored = coefficients * flip if flip.ndim == 1 else coefficients @ flip.T
    return mirrored if offset is None else mirrored + offset.to(coefficients.dtype)


def _check_count(name: str, coefficients: Tensor, count: int) -> None:
    """Refuse coefficients of another model."""
    if coefficients.shape[-1] != count:
        raise ValueError(f"{name} must have {count} coefficients in its last axis, got {coefficients.shape[-1]}")
