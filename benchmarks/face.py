"""Measure how much of the face itself is reconstructed: shape, pose and actions of synthetic people, identities of LFW.

`python benchmarks/face.py --shards SHARDS --lfw ../shared/data/faces_train/lfw` prints Markdown tables. The shards are
single synthetic people of a series that nobody trains on:
`morphable-synth generate --scenes.level makehuman --scenes.assets ../shared/data --scenes.layout single
--scenes.size-px 384 --seed 777 --count 300 --out SHARDS`. Whole pictures go in. Photographs with 68 points are
measured by `photographs.py`, shut lips and lids by `likeness.py`.

`--points-error 0.004` tells what the fit to located points could reach: it is given the true points of the people, each
coordinate disturbed by independent errors of that share of the crop's side, in place of those that the network located.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import Float

from morphable import FaceParameters, MorphableModel
from morphable.geometry import GLOBAL_FOCAL_PX, fit_similarity
from morphable.landmarks import NUM_JAW
from morphable_detector_head.face_head.crops import CROP_SIDE_M
from morphable_reconstruct import ReconstructConfig, Reconstructor
from morphable_reconstruct.faces.landmarks import located_points
from morphable_reconstruct.faces.point_fit import PointFit, fit_points
from morphable_synth.datasets.shards import read_shard

ACTIONS = (
    "jawOpen", "mouthSmileLeft", "mouthPucker", "mouthFunnel", "eyeBlinkLeft", "browInnerUp", "browDownLeft",
    "eyeLookInLeft", "eyeLookUpLeft", "cheekPuff", "noseSneerLeft",
)  # fmt: skip
PAIRS = ("eyeBlink", "mouthSmile")
FAR_PX = 40.0
"""A face whose center lies farther from the true one is another, and the true one counts as missed."""


@dataclass(frozen=True, kw_only=True)
class FaceConfig:
    """Measure the face itself."""

    weights: str = "mobile"
    """Name or file of the weights."""
    shards: Path | None = None
    """Folder of shards of single synthetic people."""
    lfw: Path | None = None
    """Folder with a folder of photographs for each person."""
    photographs: int = 700
    """Photographs of people, at most."""
    points_error: float | None = None
    """Standard deviation of the disturbance of true points, in sides of the crop; None takes what was located."""


@dataclass(frozen=True)
class Pairs:
    """What was found of people, beside the truth; one row per person."""

    identity: Float[np.ndarray, "2 people id"]
    expression: Float[np.ndarray, "2 people expr"]
    rotation_head: Float[np.ndarray, "2 people 3 3"]
    missed: int


def reconstruct_people(reconstructor: Reconstructor, shards: Path, points_error: float | None = None) -> Pairs:
    """Reconstruct the people of some shards; fit them to disturbed true points if an error is given."""
    generator = torch.Generator().manual_seed(0)
    rows: list[tuple[np.ndarray, ...]] = []
    missed = 0
    for path in sorted(shards.glob("[!.]*.tar")):
        for sample in read_shard(path):
            if len(sample.labels["identity"]) != 1:
                continue
            scene = reconstructor(sample.image)
            away = np.linalg.norm(scene.center_px - sample.labels["center_px"][0], axis=1)
            if not len(away) or away.min() > FAR_PX:
                missed += 1
                continue
            nearest = int(away.argmin())
            found = scene.faces[nearest : nearest + 1]
            if points_error is not None:
                found = fit_true_points(
                    found, sample.labels, scene.camera.focal_px, reconstructor.model, points_error, generator
                )
            rows.append(
                tuple(
                    np.stack([getattr(found, name)[0].numpy(), sample.labels[name][0]])
                    for name in ("identity", "expression", "rotation_head")
                )
            )
    return Pairs(*(np.stack(column, 1) for column in zip(*rows, strict=True)), missed)


def fit_true_points(
    regressed: FaceParameters,
    labels: dict[str, np.ndarray],
    focal_px: float,
    model: MorphableModel,
    error: float,
    generator: torch.Generator,
) -> FaceParameters:
    """Fit one regressed face to its true points, disturbed by an error in sides of the crop."""
    true = {
        n: torch.from_numpy(labels[n].astype(np.float32))
        for n in ("identity", "expression", "rotation_head", "translation_m")
    }
    place = located_points(model).vertices(replace(regressed, **true))
    # the fit's unit is a pixel of a camera with the project's focal length
    seen_px = GLOBAL_FOCAL_PX * float(labels["focal_px"]) / focal_px * place[..., :2] / place[..., 2:]
    std_px = error * CROP_SIDE_M * GLOBAL_FOCAL_PX / regressed.translation_m[:, 2].abs()
    seen_px = seen_px + std_px * torch.randn(seen_px.shape, generator=generator)
    # the fit takes the 68 points and, last, the irises; the outline's points between them are not used
    points_px = torch.cat([seen_px[:, :68], torch.zeros(1, NUM_JAW, 2), seen_px[:, 68:]], 1)
    return fit_points(regressed, points_px, std_px.expand(1, points_px.shape[1]), model, PointFit(point_factor=1.0))


def people_table(pairs: Pairs, reconstructor: Reconstructor) -> list[tuple[str, float]]:
    """Return the measures by name."""
    model = reconstructor.model
    face = model.region("face")
    identity = torch.from_numpy(pairs.identity.astype(np.float32))

    def neutral(coefficients: torch.Tensor) -> torch.Tensor:
        shapes = model.decode_shape(coefficients, coefficients.new_zeros(len(coefficients), model.num_expression))
        return shapes[:, face].double()

    truth = neutral(identity[1])
    error_mm, mean_face_mm = (
        1e3 * after_similarity(neutral(other), truth) for other in (identity[0], torch.zeros_like(identity[0]))
    )
    turn = np.einsum("nij,nik->njk", pairs.rotation_head[0], pairs.rotation_head[1])
    angle = np.degrees(np.arccos(np.clip((np.trace(turn, axis1=1, axis2=2) - 1) / 2, -1, 1)))
    names = list(model.expression_names)
    found, known = pairs.expression

    def column(values: np.ndarray, name: str) -> np.ndarray:
        return values[:, names.index(name)]

    return [
        ("people", len(found)),
        ("missed", pairs.missed),
        ("neutral shape, mm", error_mm),
        ("mean face, mm", mean_face_mm),
        ("ratio", error_mm / mean_face_mm),
        ("spread of identity", float(np.sqrt(np.square(pairs.identity[0]).mean()))),
        ("rotation, median, degrees", float(np.median(angle))),
        *((f"r {name}", correlation(column(found, name), column(known, name))) for name in ACTIONS),
        *(
            (
                f"r {pair} left minus right",
                correlation(
                    column(found, f"{pair}Left") - column(found, f"{pair}Right"),
                    column(known, f"{pair}Left") - column(known, f"{pair}Right"),
                ),
            )
            for pair in PAIRS
        ),
        ("least activation", float(found.min())),
    ]


def after_similarity(shapes: torch.Tensor, truth: torch.Tensor) -> float:
    """Return the mean distance of shapes from the truth after the similarity of least squares."""
    scale, rotation, shift = fit_similarity(shapes, truth)
    moved = scale[:, None, None] * shapes @ rotation.mT + shift[:, None]
    return float((moved - truth).norm(dim=-1).mean())


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's correlation; 0 where one does not vary."""
    return float(np.corrcoef(a, b)[0, 1]) if min(a.std(), b.std()) > 1e-6 else 0.0


def same_person_auc(reconstructor: Reconstructor, folder: Path, most: int) -> float:
    """Return how well the cosine of identity coefficients tells pairs of one person from pairs of two (area under ROC).

    The face nearest to the middle of each photograph counts.
    """
    identities, people = [], []
    for path in sorted(folder.rglob("*.jpg"))[:most]:
        scene = reconstructor(path)
        height, width = scene.camera.size_hw
        if len(scene):
            away = np.linalg.norm(scene.center_px - np.array([width / 2, height / 2]), axis=1)
            identities.append(scene.faces.identity[int(away.argmin())].numpy())
            people.append(path.parent.name)
    values = np.array(identities) - np.mean(identities, 0)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    pair = np.triu_indices(len(people), 1)
    same = (np.array(people)[:, None] == np.array(people)[None])[pair]
    rank = np.argsort(np.argsort((values @ values.T)[pair])).astype(float)
    of_one, of_two = int(same.sum()), int((~same).sum())
    return float((rank[same].sum() - of_one * (of_one - 1) / 2) / (of_one * of_two))


def main() -> None:
    """Print the tables."""
    config = tyro.cli(FaceConfig, description=__doc__)
    reconstructor = Reconstructor(config.weights, config=ReconstructConfig(fit_points=config.points_error is None))
    rows: list[tuple[str, float]] = []
    if config.shards is not None:
        rows += people_table(reconstruct_people(reconstructor, config.shards, config.points_error), reconstructor)
    if config.lfw is not None:
        rows.append(("same person, AUC", same_person_auc(reconstructor, config.lfw, config.photographs)))
    print("| measure | value |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value:.3f} |")


if __name__ == "__main__":
    main()
