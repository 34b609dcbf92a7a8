"""A small, smooth, mirror-symmetric face model and rendered pictures of it, so that tests need no other data."""

import math

import numpy as np
import torch
from torch import Tensor

from morphable import IBUG68_FLIP, ModelData, MorphableModel, SurfacePoints
from morphable.geometry import GLOBAL_FOCAL_PX, Pinhole, camera_from_model, rotation_from_angles
from morphable_render import render_faces
from morphable_train.data.labels import FaceLabels
from morphable_train.data.shards import Record

SIDE = 25  # odd: the middle column lies in the plane of symmetry
CANDIDATES = 6


def surface(u: Tensor, v: Tensor) -> Tensor:
    """Half an ellipsoid with a nose; u and v in [-1, 1], v down."""
    width = 0.08 * (1 - 0.5 * v.abs() ** 2.5).clamp(min=0).sqrt()
    nose = 0.025 * torch.exp(-(u**2 / 0.02 + (v - 0.1) ** 2 / 0.08))
    x = width * torch.sin(u * math.pi / 2)
    z = width * torch.cos(u * math.pi / 2) + nose
    return torch.stack([x, -0.11 * v, z], -1)


def grid() -> tuple[Tensor, Tensor]:
    axis = torch.linspace(-1, 1, SIDE)
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    return u.reshape(-1), v.reshape(-1)


def triangles() -> Tensor:
    """Mirrored at the middle column."""
    cells = []
    for row in range(SIDE - 1):
        for col in range(SIDE - 1):
            a, b = row * SIDE + col, row * SIDE + col + 1
            c, d = a + SIDE, b + SIDE
            cells += [[a, c, b], [b, c, d]] if col < SIDE // 2 else [[a, c, d], [a, d, b]]
    return torch.tensor(cells)


def at(u: Tensor, v: Tensor) -> SurfacePoints:
    """Surface points at some (u, v)."""
    step = 2.0 / (SIDE - 1)
    col = ((u + 1) / step).floor().clamp(0, SIDE - 2).long()
    row = ((v + 1) / step).floor().clamp(0, SIDE - 2).long()
    s, t = (u + 1) / step - col, (v + 1) / step - row
    left = col < SIDE // 2
    first = torch.where(left, s + t <= 1, t >= s)
    cell = 2 * (row * (SIDE - 1) + col)
    below = torch.stack([1 - s - t, t, s], -1)  # corners a, c, b
    above = torch.stack([1 - t, 1 - s, s + t - 1], -1)  # b, c, d
    lower = torch.stack([1 - t, t - s, s], -1)  # a, c, d
    upper = torch.stack([1 - s, t, s - t], -1)  # a, d, b
    weights = torch.where(
        left[:, None],
        torch.where(first[:, None], below, above),
        torch.where(first[:, None], lower, upper),
    )
    return SurfacePoints(cell + (~first).long(), weights)


def layout() -> Tensor:
    """(u, v) of the 68 points, mirror-symmetric."""
    jaw_angle = torch.linspace(math.pi, 0, 17)
    parts = [torch.stack([0.9 * jaw_angle.cos(), -0.1 + 0.85 * jaw_angle.sin()], -1)]
    brow = torch.stack([torch.linspace(-0.55, -0.15, 5), torch.tensor([-0.4, -0.46, -0.48, -0.46, -0.42])], -1)
    eye = torch.tensor([[-0.45, -0.25], [-0.38, -0.3], [-0.28, -0.3], [-0.2, -0.25], [-0.28, -0.2], [-0.38, -0.2]])
    mirror = torch.tensor([-1.0, 1.0])
    parts += [brow, (brow * mirror).flip(0)]
    parts += [torch.stack([torch.zeros(4), torch.linspace(-0.25, 0.1, 4)], -1)]
    parts += [torch.stack([torch.linspace(-0.12, 0.12, 5), torch.tensor([0.2, 0.22, 0.24, 0.22, 0.2])], -1)]
    parts += [eye, (eye * mirror)[[3, 2, 1, 0, 5, 4]]]
    ring = torch.linspace(math.pi, -math.pi, 13)[:12]
    parts += [torch.stack([0.22 * ring.cos(), 0.45 - 0.08 * ring.sin()], -1)]
    inner = torch.linspace(math.pi, -math.pi, 9)[:8]
    parts += [torch.stack([0.15 * inner.cos(), 0.45 - 0.03 * inner.sin()], -1)]
    return torch.cat(parts)


def modes(count: int, scale: float, seed: int) -> tuple[Tensor, Tensor]:
    """Smooth shape modes, even or odd in u, and their mirror signs."""
    generator = torch.Generator().manual_seed(seed)
    u, v = grid()
    basis, signs = [], []
    for mode in range(count):
        even = mode % 3 != 2
        a, b = torch.rand(2, generator=generator) * 2 + 0.5
        shape = torch.cos(a * u * math.pi / 2) * torch.cos(b * v * math.pi / 2 + mode)
        tilt = torch.sin(a * u * math.pi / 2) * torch.cos(b * v * math.pi / 2 + mode)
        weights = torch.randn(3, generator=generator)
        symmetric = torch.stack([tilt * weights[0], shape * weights[1], shape * weights[2]], -1)
        odd = torch.stack([shape * weights[0], tilt * weights[1], tilt * weights[2]], -1)
        basis.append(scale * (symmetric if even else odd))
        signs.append(1.0 if even else -1.0)
    return torch.stack(basis), torch.tensor(signs)


def stand_in_model(identity: int = 6, expression: int = 4, albedo: int = 3) -> MorphableModel:
    """A face-like model of 625 vertices."""
    u, v = grid()
    identity_basis, identity_flip = modes(identity, 0.003, 1)
    pairs, _ = modes(max(expression // 2, 1), 0.008, 2)
    mirror = torch.arange(SIDE * SIDE).reshape(SIDE, SIDE).flip(1).reshape(-1)
    reflected = pairs[:, mirror] * torch.tensor([-1.0, 1.0, 1.0])
    expression_basis = torch.stack([pairs, reflected], 1).flatten(0, 1)[:expression]
    colors, albedo_flip = modes(albedo, 0.04, 3)
    points = layout()
    color = torch.stack([0.7 - 0.2 * v.abs(), 0.5 - 0.1 * v, 0.4 + 0.05 * v], -1)
    for center_u, center_v, size, depth in (
        (-0.33, -0.25, 0.01, 0.45),
        (0.33, -0.25, 0.01, 0.45),
        (0, 0.45, 0.02, 0.3),
    ):
        color = color - depth * torch.exp(-((u - center_u) ** 2 + (v - center_v) ** 2) / size)[:, None]
    jaw = points[:17]
    slide = torch.linspace(0.35, 1.0, CANDIDATES)
    line_u = (jaw[:, :1] * slide).reshape(-1)
    line_v = jaw[:, 1:].expand(17, CANDIDATES).reshape(-1)
    lines = at(line_u, line_v)
    mean = surface(u, v)
    return MorphableModel(
        ModelData(
            name="stand-in",
            mean=mean - mean.mean(0),
            identity_basis=identity_basis,
            expression_basis=expression_basis,
            mean_albedo=color.clamp(0.05, 0.95),
            albedo_basis=_even_colors(colors, mirror, albedo_flip),
            triangles=triangles(),
            regions={"face": torch.ones(SIDE * SIDE, dtype=torch.bool)},
            landmarks={"ibug68_3d": at(points[:, 0], points[:, 1])},
            contour=SurfacePoints(lines.triangle.view(17, -1), lines.barycentric.view(17, CANDIDATES, 3)),
            mirror_vertices=mirror,
            identity_flip=identity_flip,
            albedo_flip=albedo_flip,
            expression_flip=torch.arange(expression).view(-1, 2).flip(1).reshape(-1),
        )
    )


def _even_colors(colors: Tensor, mirror: Tensor, signs: Tensor) -> Tensor:
    return (colors + signs[:, None, None] * colors[:, mirror]) / 2


def draw_truth(
    model: MorphableModel, faces: int, seed: int, *, size_px: int, face_px: tuple[float, float]
) -> dict[str, Tensor]:
    """Random coefficients, poses and places of the faces of one picture."""
    g = torch.Generator().manual_seed(seed)
    target = face_px[0] + torch.rand(faces, generator=g) * (face_px[1] - face_px[0])
    depth = GLOBAL_FOCAL_PX * 0.16 / target
    place = torch.rand(faces, 2, generator=g) * (size_px - 1.2 * target[:, None]) + 0.6 * target[:, None]
    xy = (place - size_px / 2) / GLOBAL_FOCAL_PX * depth[:, None]
    return {
        "identity": torch.randn(faces, model.num_identity, generator=g),
        "expression": torch.rand(faces, model.num_expression, generator=g) ** 2,
        "albedo": torch.randn(faces, model.num_albedo, generator=g),
        "rotation_head": rotation_from_angles(
            (torch.rand(faces, 3, generator=g) - 0.5) * torch.tensor([0.6, 1.0, 0.5])
        ),
        "translation_m": torch.cat([xy, depth[:, None]], 1),
        "illumination": torch.randn(faces, 9, 3, generator=g) * 0.05,
    }


def render_record(
    model: MorphableModel,
    truth: dict[str, Tensor],
    key: str,
    *,
    size_px: int,
    weak: bool = False,
    contour: bool = False,
) -> Record:
    """Render one picture with its labels."""
    shape = model.decode_shape(truth["identity"], truth["expression"])
    cam = camera_from_model(shape, truth["rotation_head"], truth["translation_m"])
    generator = torch.Generator().manual_seed(len(key) + int(truth["identity"].abs().sum() * 1000))
    background = torch.rand(3, generator=generator).expand(size_px, size_px, 3).contiguous()
    image = render_faces(
        cam,
        model.triangles,
        model.decode_albedo(truth["albedo"]),
        illumination=truth["illumination"],
        focal_px=GLOBAL_FOCAL_PX,
        background=background,
    )
    points_cam = model.contour_landmarks(cam) if contour else model.landmarks(cam)
    faces = len(cam)
    labels = FaceLabels(
        landmarks68_px=Pinhole((size_px, size_px)).project(points_cam).numpy(),
        landmark_valid=np.ones((faces, 68), bool),
        contour=np.full(faces, contour),
        exact=np.full(faces, not weak),
        identity=truth["identity"].numpy() * (not weak),
        expression=truth["expression"].numpy() * (not weak),
        rotation_head=truth["rotation_head"].numpy(),
        translation_m=truth["translation_m"].numpy() * (not weak),
        focal_px=GLOBAL_FOCAL_PX,
    )
    picture = (image.rgb.clamp(0, 1) * 255 + 0.5).byte().numpy()
    return Record(key, picture, labels, (image.mask.byte() * 255).numpy())


assert len(IBUG68_FLIP) == len(layout())
