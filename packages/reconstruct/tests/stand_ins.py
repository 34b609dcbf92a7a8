"""Small replacements for the trained parts: a face model, a network with random weights, a detector of green dots."""

import math
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from morphable import FaceParameters, ModelData, MorphableModel, SurfacePoints
from morphable_detector_head import Detections, DetectorConfig, FaceDetector, build_detector, decode_centers
from morphable_detector_head.cells import parameters_from_cells
from morphable_detector_head.decode import cell_centers
from morphable_detector_head.layout import ParameterLayout
from morphable_reconstruct.scene import Scene

ROWS, COLS = 21, 25
NUM_IDENTITY, NUM_EXPRESSION, NUM_ALBEDO = 4, 3, 2
NAMES = ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight")
LAYOUT = ParameterLayout(num_identity=NUM_IDENTITY, num_expression=NUM_EXPRESSION, num_albedo=NUM_ALBEDO)


def toy_model(seed: int = 0) -> MorphableModel:
    """A half ellipsoid, 15 cm wide and 22 cm high, with smooth modes and plausible landmark places."""
    generator = torch.Generator().manual_seed(seed)
    angle = torch.linspace(-math.pi / 2, math.pi / 2, COLS)
    height = torch.linspace(1.0, -1.0, ROWS)
    width = 0.075 * (1.05 - 0.6 * height**2).sqrt()
    x, z = width[:, None] * angle.sin(), 1.1 * width[:, None] * angle.cos()
    mean = torch.stack([x, 0.11 * height[:, None].expand_as(x), z], dim=-1).reshape(-1, 3)
    uv = torch.stack(torch.meshgrid(torch.linspace(0, 1, ROWS), torch.linspace(0, 1, COLS), indexing="ij")[::-1], -1)
    return MorphableModel(
        ModelData(
            name="toy",
            license="CC0",
            source="tests",
            mean=mean - mean.mean(0),
            identity_basis=_waves(NUM_IDENTITY, 0.002, generator),
            expression_basis=_waves(NUM_EXPRESSION, 0.006, generator),
            mean_albedo=torch.tensor([0.7, 0.5, 0.4]).expand(ROWS * COLS, 3).clone(),
            albedo_basis=_waves(NUM_ALBEDO, 0.05, generator),
            triangles=_triangles(),
            uv=uv.reshape(-1, 2),
            uv_triangles=_triangles(),
            expression_names=NAMES,
            part_names=("skin", "lips"),
            part_labels=(torch.arange(len(_triangles())) % 9 == 0).long(),
            landmarks={"ibug68_3d": _points(_landmark_grid())},
            contour=_contour(),
        )
    )


def random_detector(seed: int = 0, **config: object) -> FaceDetector:
    """An untrained small network whose center map is noisy enough to show several faces."""
    torch.manual_seed(seed)
    shape = DetectorConfig(width=8, center_width=8, parameter_width=16, model_name="toy", layout=LAYOUT, **config)
    detector = build_detector(shape)
    last = [m for m in detector.center_head.modules() if isinstance(m, torch.nn.Conv2d)][-1]
    with torch.no_grad():
        last.bias.zero_()
        last.weight.mul_(20.0)
        head = [m for m in detector.parameter_head.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)][-1]
        head.weight.mul_(0.05)
    return detector.eval()


class DotDetector:
    """Finds pure green dots; each is the mean face, looking along its ray, of a fixed pixel size."""

    def __init__(self, width_px: float = 48.0) -> None:
        self.depth_m = 1015.0 * 0.15 / width_px
        self.calls = 0

    def detect(self, images: Float[Tensor, "batch 3 height width"], *, top_k: int, min_score: float) -> Detections:
        self.calls += 1
        green = images[:, 1] - torch.maximum(images[:, 0], images[:, 2])
        heat = torch.nn.functional.avg_pool2d(green[:, None].clamp(0, 1), 8)[:, 0]
        centers = decode_centers(heat, top_k=top_k, min_score=min_score)
        height, width = images.shape[2:]
        cell_px = cell_centers(centers.cell, width // 8)
        channels = torch.zeros(*cell_px.shape[:2], LAYOUT.num_channels)
        parameters = parameters_from_cells(channels, cell_px, (height, width), LAYOUT)
        scale = self.depth_m / parameters.translation_m[..., 2:]
        parameters = FaceParameters(**(vars(parameters) | {"translation_m": parameters.translation_m * scale}))
        return Detections(parameters=parameters, score=centers.score, center_px=cell_px, valid=centers.valid)


def stacked(rows: list[dict[str, object]]) -> FaceParameters:
    """Parameters of faces of the toy model from one dictionary each; what is missing is that of the mean face."""
    sizes = {"identity": (NUM_IDENTITY,), "expression": (NUM_EXPRESSION,), "albedo": (NUM_ALBEDO,)}
    sizes |= {"rotation_head": (3, 3), "translation_m": (3,), "illumination": (9, 3)}
    mean = {name: np.eye(3) if name == "rotation_head" else np.zeros(shape) for name, shape in sizes.items()}
    columns = {name: [np.asarray(row.get(name, mean[name]), np.float32) for row in rows] for name in sizes}
    return FaceParameters(
        **{name: torch.from_numpy(np.array(columns[name], np.float32).reshape(-1, *sizes[name])) for name in sizes}
    )


def with_faces(scene: Scene, **parameters: Tensor) -> Scene:
    """The same photograph with other parameters of its faces."""
    return replace(scene, faces=replace(scene.faces, **parameters))


def dotted(size_hw: tuple[int, int], dots: list[tuple[int, int]], dot_px: int = 10) -> np.ndarray:
    """A gray picture with green squares centered on (x, y)."""
    pixels = np.full((*size_hw, 3), 128, dtype=np.uint8)
    for x, y in dots:
        half = dot_px // 2
        pixels[max(0, y - half) : y + half, max(0, x - half) : x + half] = (0, 255, 0)
    return pixels


def _triangles() -> Tensor:
    corner = torch.arange(ROWS * COLS).reshape(ROWS, COLS)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:]
    return torch.stack([torch.stack([a, c, b], -1), torch.stack([b, c, d], -1)], dim=2).reshape(-1, 3)


def _waves(modes: int, scale: float, generator: torch.Generator) -> Tensor:
    """Smooth random displacement fields."""
    grid = torch.randn(modes, 3, 5, 5, generator=generator)
    fine = torch.nn.functional.interpolate(grid, size=(ROWS, COLS), mode="bilinear", align_corners=True)
    return scale * fine.permute(0, 2, 3, 1).reshape(modes, -1, 3)


def _landmark_grid() -> list[tuple[float, float]]:
    """(row, column) of each of the 68 points on the grid."""
    jaw = [(10 + 9 * math.sin(math.pi * i / 16), 2 + 20 * i / 16) for i in range(17)]
    brows = [(5.2, 6 + i) for i in range(5)] + [(5.2, 14 + i) for i in range(5)]
    nose = [(7 + i, 12.1) for i in range(4)] + [(11.3, 10 + i) for i in range(5)]
    eyes = [(7.5 + 0.8 * math.sin(t), cx - 1.5 * math.cos(t)) for cx in (8, 16) for t in np.arange(6) * math.pi / 3]
    outer = [(14.5 - 1.5 * math.sin(t), 12 - 3 * math.cos(t)) for t in np.arange(12) * math.pi / 6]
    inner = [(14.5 - 0.7 * math.sin(t), 12 - 2 * math.cos(t)) for t in np.arange(8) * math.pi / 4]
    return jaw + brows + nose + eyes + outer + inner


def _points(places: list[tuple[float, float]]) -> SurfacePoints:
    """Grid positions as barycentric points."""
    triangle, weights = [], []
    for row, col in places:
        r, c = min(int(row), ROWS - 2), min(int(col), COLS - 2)
        v, u = row - r, col - c
        cell = 2 * (r * (COLS - 1) + c)
        if u + v <= 1:
            triangle.append(cell)
            weights.append([1 - u - v, v, u])
        else:
            triangle.append(cell + 1)
            weights.append([1 - v, 1 - u, u + v - 1])
    return SurfacePoints(torch.tensor(triangle), torch.tensor(weights, dtype=torch.float32))


def _contour() -> SurfacePoints:
    """Nine candidates per jaw point, along the row."""
    lines = [
        (row, min(COLS - 1.01, max(0.0, col + step))) for row, col in _landmark_grid()[:17] for step in range(-4, 5)
    ]
    points = _points(lines)
    return SurfacePoints(points.triangle.reshape(17, 9), points.barycentric.reshape(17, 9, 3))
