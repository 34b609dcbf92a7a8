"""What a morphable model consists of, checked once: what files hold and importers return."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args, no_type_check

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from morphable.geometry import SparseRows, SurfacePoints
from morphable.landmarks import NUM_JAW

ExpressionPrior = Literal["activation", "normal"]
MAX_WEIGHT_ERROR = 1e-3
"""How far barycentric weights and subdivision rows may sum from one; half precision errs by half of that."""


@no_type_check  # it checks itself, in words; a shape checker would get in first
@dataclass(frozen=True, kw_only=True)
class ModelData:
    """Everything a `MorphableModel` is built from; values are checked on construction.

    Bases are stored for the `base` vertices. Where a subdivision is given, triangles, regions, landmarks and
    mirroring refer to the subdivided `verts`; without one the two are the same.

    >>> data = model.data()
    >>> data.identity_basis.shape[0] == model.num_identity
    True
    """

    name: str
    mean: Float[Tensor, "base 3"]
    """Mean shape: meters, model frame."""
    identity_basis: Float[Tensor, "id base 3"]
    """Meters per standard deviation."""
    expression_basis: Float[Tensor, "expr base 3"]
    """Meters at activation 1."""
    mean_albedo: Float[Tensor, "base 3"]
    """sRGB-encoded, 0 to 1."""
    albedo_basis: Float[Tensor, "alb base 3"]
    """Per standard deviation."""
    triangles: Int[Tensor, "tris 3"]
    """Counter-clockwise seen from outside."""
    license: str = "unknown"
    source: str = "unknown"
    expression_names: tuple[str, ...] | None = None
    """Without names: expression_000, expression_001, ..."""
    expression_prior: ExpressionPrior = "activation"
    """Whether expression coefficients are activations (0 neutral, 1 full) or standard normal."""
    subdivision: SparseRows | None = None
    """Full-resolution vertices from base vertices."""
    uv: Float[Tensor, "uv_verts 2"] | None = None
    """(u right, v down) in [0, 1]; without it a cylinder around the head is unwrapped."""
    uv_triangles: Int[Tensor, "tris 3"] | None = None
    part_names: tuple[str, ...] = ("face",)
    part_labels: Int[Tensor, " tris"] | None = None
    """Index into `part_names`; without it every triangle is of the first part."""
    regions: Mapping[str, Bool[Tensor, " verts"]] = field(default_factory=dict)
    landmarks: Mapping[str, SurfacePoints] = field(default_factory=dict)
    contour: SurfacePoints | None = None
    """Per jaw point a line of candidates, 17 rows."""
    mirror_vertices: Int[Tensor, " verts"] | None = None
    identity_flip: Float[Tensor, "*id id"] | None = None
    """+1 or -1: sign of each coefficient on the mirrored face. Or a matrix, and mirrored coefficients are
    `matrix @ coefficients + offset`."""
    identity_flip_offset: Float[Tensor, " id"] | None = None
    """What the mean's own asymmetry adds to mirrored coefficients; only beside a matrix."""
    albedo_flip: Float[Tensor, "*alb alb"] | None = None
    """As `identity_flip`."""
    albedo_flip_offset: Float[Tensor, " alb"] | None = None
    """As `identity_flip_offset`."""
    expression_flip: Int[Tensor, " expr"] | Float[Tensor, "expr expr"] | None = None
    """Mirrored activations are `activations[expression_flip]`, or `expression_flip @ activations` of a matrix."""
    mirror_residual: Mapping[str, float] = field(default_factory=dict)
    """For each flip that is a matrix ("identity", "expression", "albedo"): the share of the mirrored modes, root mean
    square, that the modes can't express; 0 is exact."""

    def __post_init__(self) -> None:
        for name, tensor in self.tensors().items():
            _check_finite(name, tensor)
        base = self.mean.shape[0]
        for name in ("identity_basis", "expression_basis", "albedo_basis"):
            _check_shape(name, getattr(self, name), (None, base, 3))
        _check_shape("mean", self.mean, (None, 3))
        _check_shape("mean_albedo", self.mean_albedo, (base, 3))
        if self.subdivision is not None:
            self._check_subdivision(self.subdivision)
        self._check_topology()
        self._check_names()
        for scheme, points in self.landmarks.items():
            self._check_points(f"landmarks.{scheme}", points)
        if self.contour is not None:
            self._check_points("contour", self.contour)
            _check_shape("contour.triangle", self.contour.triangle, (NUM_JAW, None))
        self._check_mirror()

    @property
    def num_vertices(self) -> int:
        """Number of vertices after subdivision."""
        return self.mean.shape[0] if self.subdivision is None else self.subdivision.crow.shape[0] - 1

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor under its name in the model file (docs/model_file.md)."""
        named: dict[str, Tensor | None] = {name: getattr(self, name) for name in PLAIN_TENSORS}
        if self.subdivision is not None:
            named |= {f"subdivision.{part}": getattr(self.subdivision, part) for part in SUBDIVISION_PARTS}
        points = {f"landmarks.{scheme}": value for scheme, value in self.landmarks.items()}
        if self.contour is not None:
            points["contour"] = self.contour
        for name, value in points.items():
            named |= {f"{name}.triangle": value.triangle, f"{name}.barycentric": value.barycentric}
        named |= {f"regions.{name}": mask for name, mask in self.regions.items()}
        return {name: tensor for name, tensor in named.items() if tensor is not None}

    def _check_topology(self) -> None:
        tris = self.triangles.shape[0]
        _check_shape("triangles", self.triangles, (None, 3))
        _check_index("triangles", self.triangles, self.num_vertices, "vertices")
        if (self.uv is None) != (self.uv_triangles is None):
            raise ValueError("uv must be given together with uv_triangles; give both or neither")
        if self.uv is not None and self.uv_triangles is not None:
            _check_shape("uv", self.uv, (None, 2))
            _check_shape("uv_triangles", self.uv_triangles, (tris, 3))
            _check_index("uv_triangles", self.uv_triangles, self.uv.shape[0], "uv vertices")
        if self.part_labels is not None:
            _check_shape("part_labels", self.part_labels, (tris,))
            _check_index("part_labels", self.part_labels, len(self.part_names), "part_names")
        for name, mask in self.regions.items():
            _check_shape(f"regions.{name}", mask, (self.num_vertices,))

    def _check_names(self) -> None:
        count = self.expression_basis.shape[0]
        names = self.expression_names
        if names is not None and (len(names) != count or len(set(names)) != count):
            raise ValueError(f"expression_names must be {count} different names, got {len(set(names))} of {len(names)}")
        if self.expression_prior not in get_args(ExpressionPrior):
            allowed = " or ".join(get_args(ExpressionPrior))
            raise ValueError(f"expression_prior must be {allowed}, got {self.expression_prior!r}")
        if not self.part_names:
            raise ValueError("part_names must hold at least one name, got none")

    def _check_subdivision(self, rows: SparseRows) -> None:
        crow = rows.crow
        entries = rows.col.shape[0]
        _check_shape("subdivision.value", rows.value, (entries,))
        starts_ok = crow.ndim == 1 and crow.shape[0] > 1 and int(crow[0]) == 0 and int(crow[-1]) == entries
        if not starts_ok or bool((crow.diff() < 1).any()):
            raise ValueError(f"subdivision.crow must rise from 0 to {entries}, the number of entries")
        _check_index("subdivision.col", rows.col, self.mean.shape[0], "base vertices")
        sums = torch.zeros(crow.shape[0] - 1).index_add_(
            0, torch.repeat_interleave(crow.diff().long()), rows.value.float()
        )
        _check_sums("subdivision.value", sums)

    def _check_points(self, name: str, points: SurfacePoints) -> None:
        _check_shape(f"{name}.barycentric", points.barycentric, (*points.triangle.shape, 3))
        _check_index(f"{name}.triangle", points.triangle, self.triangles.shape[0], "triangles")
        _check_sums(f"{name}.barycentric", points.barycentric.float().sum(-1))

    def _check_mirror(self) -> None:
        _check_permutation("mirror_vertices", self.mirror_vertices, self.num_vertices)
        for kind in FLIPPED:
            name, count = f"{kind}_flip", getattr(self, f"{kind}_basis").shape[0]
            flip: Tensor | None = getattr(self, name)
            offset: Tensor | None = getattr(self, f"{name}_offset", None)
            is_matrix = flip is not None and flip.ndim == 2
            if offset is not None and not is_matrix:
                raise ValueError(f"{name}_offset must stand beside a matrix {name}")
            if offset is not None:
                _check_shape(f"{name}_offset", offset, (count,))
            if flip is not None and is_matrix:
                _check_shape(name, flip, (count, count))
                if not flip.is_floating_point():
                    raise ValueError(f"{name} must hold floating-point numbers, got {flip.dtype}")
            elif kind == "expression":
                _check_permutation(name, flip, count)
            elif flip is not None:
                _check_shape(name, flip, (count,))
                if bool((flip.abs() != 1).any()):
                    raise ValueError(f"{name} must hold only +1 and -1")
        unknown = [kind for kind in self.mirror_residual if kind not in FLIPPED]
        if unknown or any(not 0 <= share <= 1 for share in self.mirror_residual.values()):
            raise ValueError(f"mirror_residual must hold shares from 0 to 1 of {', '.join(FLIPPED)}")


PLAIN_TENSORS = (
    *(
        "mean",
        "identity_basis",
        "expression_basis",
        "mean_albedo",
        "albedo_basis",
        "triangles",
        "uv",
        "uv_triangles",
    ),
    *("part_labels", "mirror_vertices", "identity_flip", "albedo_flip", "expression_flip"),
    *("identity_flip_offset", "albedo_flip_offset"),
)
FLIPPED = ("identity", "expression", "albedo")
"""Kinds of coefficients that a mirrored face has others of."""
SUBDIVISION_PARTS = ("crow", "col", "value")


def _check_permutation(name: str, permutation: Tensor | None, count: int) -> None:
    """Refuse what is no permutation that undoes itself."""
    if permutation is None:
        return
    _check_shape(name, permutation, (count,))
    _check_index(name, permutation, count, "entries")
    if not torch.equal(permutation[permutation], torch.arange(count, device=permutation.device)):
        raise ValueError(f"{name} must be a permutation that undoes itself")


def _check_shape(name: str, tensor: Tensor, shape: tuple[int | None, ...]) -> None:
    """Compare a shape with an expected one, where None stands for any size."""
    same = tensor.ndim == len(shape) and all(b in (None, a) for a, b in zip(tensor.shape, shape, strict=True))
    if not same:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} must have shape ({wanted}), got {tuple(tensor.shape)}")


def _check_finite(name: str, tensor: Tensor) -> None:
    """Refuse NaN and infinity; a finite sum has none, and is five times as fast as looking at each entry."""
    if not tensor.is_floating_point() or bool(tensor.sum(dtype=torch.float32).isfinite()):
        return
    bad = int((~torch.isfinite(tensor)).sum())
    if bad:
        raise ValueError(f"{name} must be finite, got {bad} NaN or infinite values")


def _check_index(name: str, index: Tensor, count: int, what: str) -> None:
    """Refuse indices outside [0, count)."""
    if index.is_floating_point() or index.is_complex():
        raise ValueError(f"{name} must hold integers, got {index.dtype}")
    if index.numel() and (int(index.min()) < 0 or int(index.max()) >= count):
        low, high = int(index.min()), int(index.max())
        raise ValueError(f"{name} must index {count} {what}, got values from {low} to {high}")


def _check_sums(name: str, sums: Tensor) -> None:
    """Refuse weights that do not sum to one."""
    error = float((sums - 1).abs().max()) if sums.numel() else 0.0
    if not error <= MAX_WEIGHT_ERROR:
        raise ValueError(f"{name} must sum to one per point, got sums off by up to {error:.3g}")
