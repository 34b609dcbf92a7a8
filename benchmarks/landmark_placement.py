"""Where the open model's 68 points lie, against other models' mean shapes and against annotated photographs.

`python benchmarks/landmark_placement.py --root ../shared/data` prints four Markdown tables: distances to the points of
ICT-FaceKit and Basel; how annotators space the jaw line; mean frontal shapes of data sets beside that of people drawn
by `morphable_synth`; and how much those shapes vary. Nothing is rendered.
"""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from fit_landmarks import load_targets
from jaxtyping import Float
from scipy.io import loadmat

import morphable
from morphable.geometry import camera_from_model, fit_similarity
from morphable.landmarks import CHIN, LEFT_EYE, NOSE_RIDGE, NUM_JAW, RIGHT_EYE
from morphable_synth import SceneConfig, sample_scene
from morphable_synth.scene.description import Person

MOUTH_CORNERS = (48, 54)
PLACES = {"tip of the nose": 30, "foot of the nose": 33, "inner end of the brow": 22, "outer end of the brow": 26}
"""Points of the middle or the person's left."""
MAX_RIDGE_OFFSET, MAX_CHIN_OFFSET = 0.05, 0.12
"""A face is frontal if ridge of the nose and chin are that near to the middle, in distances between the eyes."""
DEV_SETS = ("helen", "afw_single", "aflw2000")
BATCH = 64

Points = Float[np.ndarray, "faces 68 2"]
Shape = Float[np.ndarray, "68 3"]


@dataclass(frozen=True, kw_only=True)
class PlacementConfig:
    """Compare the open model's landmarks with other models and with photographs."""

    root: Path = Path("../shared/data")
    """Folder with ict_facekit_sample, bfm_aux, faces_train, faces_dev and aflw2000_gt."""
    people: int = 3000
    """People drawn, of whom the frontal ones are compared."""
    seed: int = 0
    """Series of the people."""


def fitted(source: Shape, target: Shape) -> Shape:
    """The source moved onto the target by the similarity of least squares."""
    scale, rotation, translation = (part.numpy() for part in fit_similarity(*map(torch.from_numpy, (source, target))))
    return scale * source @ rotation.T + translation


def rms(first: Shape, second: Shape) -> float:
    """Root mean square distance of corresponding points."""
    return float(np.sqrt(((first - second) ** 2).sum(-1).mean()))


def ict_points(root: Path) -> Shape:
    """The 68 points of ICT-FaceKit's neutral mesh."""
    with gzip.open(root / "ict_facekit_sample/generic_neutral_mesh.obj.gz", "rt") as lines:
        vertices = np.array([line.split()[1:4] for line in lines if line.startswith("v ")], dtype=float)
    indices = json.loads((root / "ict_facekit_sample/vertex_indices.json").read_text())
    return vertices[indices["idx_to_landmark_verts"]]


def print_distances(model_points_mm: Shape, root: Path) -> None:
    """Print RMS distances after similarities, on the scale of the open model's mean face."""
    ict = fitted(ict_points(root), model_points_mm)
    basel = fitted(loadmat(root / "bfm_aux/similarity_Lm3D_all.mat")["lm"].astype(float), model_points_mm)
    middle = (ict + basel) / 2
    rows = [
        ("open, ICT-FaceKit", rms(ict, model_points_mm)),
        ("open, Basel", rms(basel, model_points_mm)),
        ("ICT-FaceKit, Basel", rms(fitted(ict, basel), basel)),
        ("ICT-FaceKit, midpoint of the two", rms(fitted(middle, ict), ict)),
        ("Basel, midpoint of the two", rms(fitted(middle, basel), basel)),
    ]
    print("| 68 points of mean shapes | RMS distance after a similarity, mm |\n|---|---|")
    print("\n".join(f"| {name} | {distance:.2f} |" for name, distance in rows))


def print_jaw_steps(sets: dict[str, Points]) -> None:
    """Print the steps from point to point of jaw lines, ear to chin, both halves taken together."""
    numbers = range(1, CHIN + 1)
    print(f"\n| steps of the jaw line, 1/8 of a half each if even | {' | '.join(f'{n}' for n in numbers)} |")
    print(f"|---|{'---|' * CHIN}")
    for name, points in sets.items():
        steps = np.linalg.norm(np.diff(points[:, :NUM_JAW], axis=1), axis=-1)
        halves = np.concatenate([steps[:, :CHIN], steps[:, : -CHIN - 1 : -1]])
        shares = CHIN * halves / halves.sum(1, keepdims=True)
        cells = " | ".join(f"{m:.2f} ({s:.2f})" for m, s in zip(shares.mean(0), shares.std(0), strict=True))
        print(f"| {name}, {len(points)} faces: mean (sd), eighths | {cells} |")


def in_eye_frame(points: Points) -> Points:
    """Shapes with the middle between the eyes at the origin, x to the person's left eye, y down, eyes 1 apart."""
    right, left = points[:, RIGHT_EYE].mean(1), points[:, LEFT_EYE].mean(1)
    axis, offset = (left - right)[:, None], points - ((left + right) / 2)[:, None]
    along = (offset * axis).sum(-1)
    across = axis[..., 0] * offset[..., 1] - axis[..., 1] * offset[..., 0]
    return np.stack([along, across], axis=-1) / (axis**2).sum(-1, keepdims=True)


def frontal(points: Points) -> Points:
    """The frontal ones of the shapes, in the frame of the eyes."""
    shapes = in_eye_frame(points)
    ridge, chin = shapes[:, NOSE_RIDGE, 0].mean(1), shapes[:, CHIN, 0]
    return shapes[(np.abs(ridge) < MAX_RIDGE_OFFSET) & (np.abs(chin) < MAX_CHIN_OFFSET)]


def draw_people(config: PlacementConfig) -> list[Person]:
    """People as synthetic single faces have them."""
    scene = SceneConfig(layout="single")
    return [person for index in range(config.people) for person in sample_scene(config.seed, index, scene).people]


@torch.no_grad()
def project_people(
    model: morphable.MorphableModel, people: list[Person], identity: Float[np.ndarray, "faces id"]
) -> Points:
    """The 68 points in the image, the jaw's on the visible outline; focal length 1."""
    found = []
    for start in range(0, len(people), BATCH):
        part = people[start : start + BATCH]
        expression = torch.as_tensor(np.stack([person.expression for person in part]))
        rotation = torch.as_tensor(np.stack([person.rotation_head for person in part])).float()
        place = torch.as_tensor(np.stack([person.translation_m for person in part])).float()
        shape = model.decode_shape(torch.as_tensor(identity[start : start + BATCH]).float(), expression)
        points = model.contour_landmarks(camera_from_model(shape, rotation, place))
        found.append((points[..., :2] / points[..., 2:]).double().numpy())
    return np.concatenate(found)


def print_places(photographs: dict[str, Points], drawn: Points, eye_distance_mm: float) -> None:
    """Print where some points lie in mean shapes, left and right taken together."""

    def mean_shape(shapes: Points) -> Float[np.ndarray, "68 2"]:
        mean = shapes.mean(0)
        return (mean + mean[morphable.IBUG68_FLIP.numpy()] * [-1.0, 1.0]) / 2

    names = [f"{name} ({len(shapes)})" for name, shapes in photographs.items()]
    print(
        f"\n| mean frontal shape: outward, down of the middle between the eyes, mm | drawn people ({len(drawn)}) ",
        end="",
    )
    print("".join(f"| drawn less {name} " for name in names) + f"|\n|---|---|{'---|' * len(names)}")
    ours = eye_distance_mm * mean_shape(drawn)
    for place, index in PLACES.items():
        differences = [ours[index] - eye_distance_mm * mean_shape(shapes)[index] for shapes in photographs.values()]
        cells = [f"{ours[index][0]:.1f}, {ours[index][1]:.1f}", *(f"{x:+.1f}, {y:+.1f}" for x, y in differences)]
        print(f"| {place} | {' | '.join(cells)} |")


def print_spread(sets: dict[str, Points]) -> None:
    """Print how much the height of the chin and the width of the mouth vary."""
    right, left = MOUTH_CORNERS
    print(
        "\n| frontal shapes, standard deviations in % of the eyes' distance | height of the chin | width of the mouth |"
    )
    print("|---|---|---|")
    for name, shapes in sets.items():
        chin, mouth = shapes[:, CHIN, 1], shapes[:, left, 0] - shapes[:, right, 0]
        print(f"| {name} ({len(shapes)}) | {100 * chin.std():.1f} | {100 * mouth.std():.1f} |")


def main() -> None:
    """Print the tables."""
    config = tyro.cli(PlacementConfig)
    model = morphable.load_model("open")
    mean = model.decode_shape(torch.zeros(model.num_identity), torch.zeros(model.num_expression))
    mean_mm = 1000 * model.landmarks(mean).double().numpy()
    print_distances(mean_mm, config.root)
    table = json.loads((config.root / "faces_train/helen/landmarks68.json").read_text())
    helen = np.array([entry["landmarks68_px"] for entry in table.values()])
    photographs = {f"faces_dev/{name}": load_targets(config.root, name)[1] for name in DEV_SETS}
    print_jaw_steps({"faces_train/helen": helen, "faces_dev/helen": photographs["faces_dev/helen"]})
    people = draw_people(config)
    identity = np.stack([person.identity for person in people])
    as_drawn = frontal(project_people(model, people, identity))
    unit_spread = frontal(project_people(model, people, identity / identity.std()))
    shapes = {"faces_train/helen": frontal(helen)} | {name: frontal(points) for name, points in photographs.items()}
    eye_distance_mm = float(np.linalg.norm(mean_mm[LEFT_EYE].mean(0) - mean_mm[RIGHT_EYE].mean(0)))
    print_places(shapes, as_drawn, eye_distance_mm)
    drawn = {
        f"people as drawn, identity coefficients of sd {identity.std():.2f}": as_drawn,
        "the same people, identity coefficients of sd 1": unit_spread,
    }
    print_spread(shapes | drawn)


if __name__ == "__main__":
    main()
