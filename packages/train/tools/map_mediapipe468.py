"""Measure where MediaPipe's 468 points lie on the open model: `python packages/train/tools/map_mediapipe468.py FILE`.

FILE is MediaPipe's `face_landmark.tflite` (Apache-2.0). The network marks its points in pictures of random people of
the model, of many poses, expressions, colors and lights. The place of a point is the one on the surface whose pictures
lie nearest to what the network marks, by the mean distance over all pictures; points of the left and the right side
are placed together, as mirror images. They become the scheme `mediapipe468` of `open.safetensors`; the rest of the
file stays as it is. Then the scheme is compared with what the network marks in pictures of other people; `--no-write`
only compares.
"""

import dataclasses
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from morphable import MorphableModel, SurfacePoints
from morphable.commands import run_command
from morphable.geometry import Pinhole, camera_from_model, rotation_from_angles
from morphable.landmarks import MEDIAPIPE468
from morphable.model_file import read_model_file, write_model_file
from morphable.sampling import sample_activations, sample_normal
from morphable_render import render_faces
from morphable_train.preparation.landmarkers import Network, load_network, square_crop

MODEL = Path(__file__).parents[2] / "morphable/src/morphable/data/open.safetensors"
NUM_POINTS = 468
SEED, OTHER_SEED = 20261130, 20261201
SIDE_PX, FOCAL_PX, DISTANCE_M = 448, 1000.0, 0.75
"""The face is about 200 px wide: a pixel is 0.75 mm."""
CAMERA = Pinhole((SIDE_PX, SIDE_PX), FOCAL_PX)
CROP_SCALE = 1.5
"""Side of the network's square relative to the longer side of its points' box, as MediaPipe's graph has it."""
MIN_SCORE = 0.5
MAX_ANGLES_RAD = (0.3, 0.6, 0.1)
"""Pitch, yaw and roll are uniform up to these."""
LIGHT = 0.3
"""The light's linear coefficients are uniform in half of this around zero: brighter on one side, dark nowhere."""
BARE_PARTS = ("left_eye", "right_eye", "inner_mouth")
"""Parts without points, which lie on the lids and the lips."""
FIRST_PICTURES, FIRST_VERTICES = 40, 100
"""The nearest vertices by so many pictures are compared by all of them."""
STEPS = 8
"""Places within the triangles around the best vertex are tried in steps of one over this of their sides."""


@dataclass(frozen=True, kw_only=True)
class MappingConfig:
    """Measure MediaPipe's points on the open model and store them in its file."""

    network: tyro.conf.Positional[Path]
    """`face_landmark.tflite`: 192 px in, 468 points and a score out."""
    model: Path = MODEL
    """Model file to change."""
    people: int = 300
    """Pictures to measure with."""
    other_people: int = 100
    """Pictures to compare with."""
    write: bool = True
    """Store the scheme; otherwise compare the stored one."""


@dataclass(frozen=True)
class Marked:
    """Pictures of people and the points that the network marks in them."""

    vertices_cam_m: Tensor
    points_px: Tensor


def run(config: MappingConfig) -> None:
    """Measure, store, compare."""
    network = load_network(config.network)
    data = read_model_file(config.model)
    if config.write:
        model = MorphableModel(data)
        points = place(model, marked_people(model, network, config.people, SEED))
        data = dataclasses.replace(data, landmarks={**data.landmarks, MEDIAPIPE468: points})
        write_model_file(data, config.model, half=True)
    model = MorphableModel(data)
    compare(model, marked_people(model, network, config.other_people, OTHER_SEED))


def marked_people(model: MorphableModel, network: Network, count: int, seed: int) -> Marked:
    """Draw people and let the network mark them; those it is not sure of are left out."""
    vertices, points = zip(*_marked(model, network, count, seed), strict=True)
    print(f"the network is sure of {len(points)} of {count} pictures")
    return Marked(torch.cat(vertices), torch.from_numpy(np.stack(points)).float())


def _marked(
    model: MorphableModel, network: Network, count: int, seed: int
) -> Iterator[tuple[Tensor, NDArray[np.float64]]]:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        identity = sample_normal(1, model.num_identity, generator)
        expression = sample_activations(1, model.expression_names, model.expression_flip, generator)
        albedo = model.decode_albedo(sample_normal(1, model.num_albedo, generator)).clamp(0.0, 1.0)
        angles = (2 * torch.rand(1, 3, generator=generator) - 1) * torch.tensor(MAX_ANGLES_RAD)
        shape = model.decode_shape(identity, expression)
        cam = camera_from_model(shape, rotation_from_angles(angles), torch.tensor([[0.0, 0.0, DISTANCE_M]]))
        light = torch.zeros(1, 9, 3)
        light[:, 1:4] = LIGHT * (torch.rand(1, 3, 1, generator=generator) - 0.5)
        background = torch.rand(3, generator=generator).expand(SIDE_PX, SIDE_PX, 3)
        image = render_faces(cam, model.triangles, albedo, illumination=light, focal_px=FOCAL_PX, background=background)
        rgb = (image.rgb.clamp(0.0, 1.0) * 255).byte().numpy()
        points = find_points(network, rgb, CAMERA.project(model.landmarks(cam))[0].double().numpy())
        if points is not None:
            yield cam, points


def find_points(network: Network, rgb: NDArray[np.uint8], start: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the network's points in pixels; the first crop is around `start`, the second around the first's points."""
    points, score = start, 0.0
    for _ in range(2):
        low, high = points.min(0), points.max(0)
        center, side = (low + high) / 2, CROP_SCALE * float((high - low).max())
        crop = square_crop(rgb, center, side, network.size_px)[None] / 255.0
        coordinates, logit = network.run(crop.astype(np.float32))[:2]
        points = coordinates.reshape(NUM_POINTS, 3)[:, :2] * (side / network.size_px) + center - side / 2
        score = 1.0 / (1.0 + np.exp(-float(logit.reshape(()))))
    return points.astype(np.float64) if score >= MIN_SCORE else None


def place(model: MorphableModel, marked: Marked) -> SurfacePoints:
    """Return the 468 points on the surface, left and right alike.

    Raises:
        ValueError: The points do not come in pairs of left and right.
    """
    assert model.mirror_vertices is not None
    search = _Search(model, model.mirror_vertices, CAMERA.project(marked.vertices_cam_m), marked.points_px)
    flip = mirrored_order(marked.points_px.double().numpy())
    triangle, weights = torch.zeros(NUM_POINTS, dtype=torch.int64), torch.zeros(NUM_POINTS, 3)
    for point, other in enumerate(flip.tolist()):
        if point <= other:
            triangle[point], weights[point] = search.best(point, other)
            triangle[other], weights[other] = search.mirrored(triangle[point], weights[point])
    return SurfacePoints(triangle, weights)


def mirrored_order(points_px: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return for each point the index of its counterpart on the other side: heads turn to both sides alike."""
    centered = points_px - points_px.mean(1, keepdims=True)
    mean = (centered / np.linalg.norm(centered, axis=2).mean(1)[:, None, None]).mean(0)
    distance = np.linalg.norm(mean[:, None] - mean[None] * [-1.0, 1.0], axis=2)
    _, flip = linear_sum_assignment(distance + distance.T)
    if not np.array_equal(flip[flip], np.arange(len(flip))):
        raise ValueError("points must come in pairs of left and right; measure with more people")
    return flip


class _Search:
    """Looks for the places on the surface whose pictures lie nearest to the marked points."""

    def __init__(self, model: MorphableModel, mirror: Tensor, vertices_px: Tensor, points_px: Tensor) -> None:
        self.mirror, self.vertices_px, self.points_px = mirror, vertices_px, points_px
        bare = torch.tensor([model.part_names.index(name) for name in BARE_PARTS])
        self.rows = (~torch.isin(model.part_labels, bare)).nonzero()[:, 0]
        self.triangles = model.triangles
        self.row_of = {tuple(sorted(corners)): row for row, corners in enumerate(model.triangles.tolist())}
        steps = [(a, b, STEPS - a - b) for a in range(STEPS + 1) for b in range(STEPS + 1 - a)]
        self.weights = torch.tensor(steps) / STEPS
        vertices = self.triangles[self.rows].unique()
        self.first = torch.full((NUM_POINTS, model.num_vertices), torch.inf)
        some = vertices_px[:FIRST_PICTURES, vertices]
        for point in range(NUM_POINTS):
            xy = points_px[:FIRST_PICTURES, point, None]
            self.first[point, vertices] = (some - xy).norm(dim=-1).mean(0)

    def best(self, point: int, other: int) -> tuple[Tensor, Tensor]:
        """Return triangle and weights of the place that is best for a point and, mirrored, for its counterpart.

        A point that is its own counterpart lies in the plane of symmetry.
        """
        own = self.mirror == torch.arange(len(self.mirror))
        first = self.first[point] + self.first[other, self.mirror]
        if point == other:
            first = first.where(own, torch.inf)
        near = first.topk(FIRST_VERTICES, largest=False).indices
        near = near[first[near].isfinite()]
        vertex = near[self.distance(near[:, None], torch.ones(1, 1), point, other)[:, 0].argmin()]
        rows = self.rows[(self.triangles[self.rows] == vertex).any(1)]
        corners = self.triangles[rows]
        distance = self.distance(corners, self.weights, point, other)
        if point == other:
            aside = ((self.weights > 0) & ~own[corners][:, None]).any(-1)
            distance = distance.masked_fill(aside, torch.inf)
        chosen = divmod(int(distance.argmin()), len(self.weights))
        return rows[chosen[0]], self.weights[chosen[1]]

    def distance(self, corners: Tensor, weights: Tensor, point: int, other: int) -> Tensor:
        """Return the mean distance in pixels, (triangles, weights), of places and their mirror images."""
        total = torch.zeros(len(corners), len(weights))
        for of_corners, of_point in ((corners, point), (self.mirror[corners], other)):
            at = torch.einsum("pckx,wk->pcwx", self.vertices_px[:, of_corners], weights)
            total += (at - self.points_px[:, of_point, None, None]).norm(dim=-1).mean(0) / 2
        return total

    def mirrored(self, triangle: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mirror image of a place."""
        images = self.mirror[self.triangles[triangle]].tolist()
        row = self.row_of[tuple(sorted(images))]
        return torch.tensor(row), weights[[images.index(corner) for corner in self.triangles[row].tolist()]]


def compare(model: MorphableModel, marked: Marked) -> None:
    """Print how far the stored points lie from those that the network marks, in the picture's plane."""
    points = model.landmarks(marked.vertices_cam_m, MEDIAPIPE468)
    offset_m = (CAMERA.project(points) - marked.points_px) * points[..., 2:] / FOCAL_PX
    error_mm = 1e3 * offset_m.norm(dim=-1)
    static = CAMERA.project(model.landmarks(marked.vertices_cam_m))
    size_px = (static.amax(1) - static.amin(1)).prod(1).sqrt()
    share = (CAMERA.project(points) - marked.points_px).norm(dim=-1).mean(1) / size_px
    ninth = float(error_mm.flatten().quantile(0.9))
    print(f"error: {float(error_mm.mean()):.2f} mm in the mean, {ninth:.2f} mm for nine in ten points")
    print(f"{100 * float(share.mean()):.2f} % of the face's size, the square root of the area of the 68 points' box")
    of_points = error_mm.mean(0)
    worst = of_points.topk(8).indices.tolist()
    print("largest mean errors:", ", ".join(f"point {point} {float(of_points[point]):.1f} mm" for point in worst))
    bias = 1e3 * offset_m.mean(0).norm(dim=-1)
    print(f"mean offset of a point: {float(bias.mean()):.2f} mm, {float(bias.max()):.2f} mm at most")


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    return run_command(
        "map_mediapipe468", "morphable-train", argv, parse=lambda given: tyro.cli(MappingConfig, args=given), act=run
    )


if __name__ == "__main__":
    sys.exit(main())
