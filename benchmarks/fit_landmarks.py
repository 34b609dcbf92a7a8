"""How well the open model expresses real faces: fit it to 68 ground-truth points alone and print what is left.

Scaled orthographic camera, identity within 2.5 standard deviations, expressions within [0, 1.2]; almost no prior.
Error: mean distance over the 68 points / sqrt(width * height) of their box. Run from the repository's root:
`python benchmarks/fit_landmarks.py --data ../shared/data`. This bounds expressiveness; it is no reconstruction from
pictures. Helen's jaw points lie on the visible outline, so the model's slide along its contour lines; those of
AFLW2000-3D are static points of a fitted 3D face.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from scipy.optimize import least_squares, lsq_linear
from scipy.spatial.transform import Rotation

import morphable
from morphable.contour import jaw_outward, outward_in_image, silhouette_index, up_weights
from morphable.geometry import AXES_FLIP
from morphable.landmarks import NUM_JAW

IDENTITY_LIMIT = 2.5
EXPRESSION_LIMITS = (0.0, 1.2)
FAR_M = 100.0
"""Camera distance at which perspective is scaled orthography for choosing outline points."""
CAMERA_FROM_HEAD = np.diag(AXES_FLIP)


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Fit the model to the ground-truth points of faces_dev/helen and faces_dev/aflw2000."""

    data: Path = Path("../shared/data")
    """Folder with faces_dev and aflw2000_gt."""
    model: str = "open"
    """Model name or file."""
    rounds: int = 12
    """Alternations between pose and coefficients."""
    prior: float = 1e-3
    """Pull toward the mean, relative to sqrt(wh) per standard deviation: 0.001 only breaks ties, 0.015 is the prior of
    points with 1.5 % noise and shows how plausible the fits are."""
    limit: int | None = None
    """Fit only the first so many faces of each set."""
    save: Path | None = None
    """Write residuals and coefficients here (npz)."""


@dataclass(frozen=True)
class LandmarkModel:
    """The 68 points and the outline candidates as linear functions of identity and expression."""

    mean: NDArray[np.float64]
    basis: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    num_identity: int
    outward: torch.Tensor
    weights: torch.Tensor

    def points(self, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        """All points (68 + candidates, 3), meters."""
        return self.mean + np.tensordot(coefficients, self.basis, axes=1)


def make_landmark_model(model: morphable.MorphableModel) -> LandmarkModel:
    """Restrict the model to its points."""
    static, lines = model.surface_points("ibug68_3d"), model.data().contour
    assert lines is not None
    triangle = torch.cat([static.triangle, lines.triangle.reshape(-1)])
    barycentric = torch.cat([static.barycentric, lines.barycentric.reshape(-1, 3).to(static.barycentric)])
    points = model.restrict(morphable.SurfacePoints(triangle, barycentric))
    modes = torch.cat([points.identity_basis, points.expression_basis]).double().numpy()
    count_id, count_ex = model.num_identity, model.num_expression
    lower = np.concatenate([np.full(count_id, -IDENTITY_LIMIT), np.full(count_ex, EXPRESSION_LIMITS[0])])
    upper = np.concatenate([np.full(count_id, IDENTITY_LIMIT), np.full(count_ex, EXPRESSION_LIMITS[1])])
    mean, mean68 = points.mean.double().numpy(), points.mean[:68]
    return LandmarkModel(mean, modes, lower, upper, count_id, jaw_outward(mean68), up_weights(mean68))


def project(pose: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scaled orthography; pose: rotation vector (3), log scale, translation (2)."""
    rotation = CAMERA_FROM_HEAD @ Rotation.from_rotvec(pose[:3]).as_matrix()
    return np.exp(pose[3]) * points @ rotation[:2].T + pose[4:]


def start_pose(points: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Affine least squares, made a rotation and a scale."""
    centre = points.mean(0)
    affine = np.linalg.lstsq(points - centre, target - target.mean(0), rcond=None)[0].T
    u, singular, vt = np.linalg.svd(affine, full_matrices=False)
    rows = u @ vt
    rotation = CAMERA_FROM_HEAD @ np.stack([rows[0], rows[1], np.cross(rows[0], rows[1])])
    vector = Rotation.from_matrix(rotation).as_rotvec()
    pose = np.concatenate([vector, [np.log(singular.mean())], [0.0, 0.0]])
    pose[4:] = (target - project(pose, points)).mean(0)
    return pose


def choose_rows(
    model: LandmarkModel, points: NDArray[np.float64], pose: NDArray[np.float64], contour: bool
) -> NDArray[np.int64]:
    """Which points stand for the 68: static ones, or the outline's of each jaw point's line."""
    rows = np.arange(68)
    if contour:
        rotation = CAMERA_FROM_HEAD @ Rotation.from_rotvec(pose[:3]).as_matrix()
        camera = torch.as_tensor(points @ rotation.T + [0.0, 0.0, FAR_M], dtype=torch.float32)
        lines = camera[68:].reshape(NUM_JAW, -1, 3)
        chosen = silhouette_index(lines, outward_in_image(camera[:68], model.outward, model.weights)).numpy()
        rows[:NUM_JAW] = 68 + np.arange(NUM_JAW) * lines.shape[1] + chosen
    return rows


def fit_face(
    model: LandmarkModel, target: NDArray[np.float64], contour: bool, config: FitConfig
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Alternate pose and bounded linear least squares.

    Returns:
        Residual vectors (68, 2) relative to sqrt(wh), coefficients, pose.
    """
    size = np.sqrt(np.prod(np.ptp(target, axis=0)))
    goal = (target - target.mean(0)) / size
    coefficients = np.zeros(len(model.basis))
    pose = start_pose(model.mean[:68], goal)
    best = (np.inf, goal, coefficients, pose)
    for _ in range(config.rounds):
        points = model.points(coefficients)
        rows = choose_rows(model, points, pose, contour)
        pose = least_squares(lambda p, x: (project(p, x) - goal).ravel(), pose, args=(points[rows],)).x
        rows = choose_rows(model, points, pose, contour)
        rotation = np.exp(pose[3]) * (CAMERA_FROM_HEAD @ Rotation.from_rotvec(pose[:3]).as_matrix())[:2]
        design = (model.basis[:, rows] @ rotation.T).reshape(len(model.basis), -1).T
        offset = (goal - project(pose, model.mean[rows])).ravel()
        system = np.concatenate([design, config.prior * np.eye(len(model.basis))])
        right = np.concatenate([offset, np.zeros(len(model.basis))])
        coefficients = lsq_linear(system, right, (model.lower, model.upper), tol=1e-6).x
        residual = project(pose, model.points(coefficients)[rows]) - goal
        error = np.linalg.norm(residual, axis=1).mean()
        if error < best[0]:
            best = (error, residual, coefficients, pose)
    return best[1:]


def load_targets(data: Path, name: str) -> tuple[list[str], NDArray[np.float64]]:
    """Image names and ground-truth points, pixel corner at (0, 0)."""
    folder = data / "faces_dev" / name
    if name == "aflw2000":
        rows = json.loads((folder / "rows.json").read_text())
        points = np.load(data / "aflw2000_gt/AFLW2000-3D.pts68.npy")[:, :2].transpose(0, 2, 1) - 0.5
        return list(rows), np.stack([points[entry["row"]] for entry in rows.values()])
    table = json.loads((folder / "landmarks68.json").read_text())
    return list(table), np.array([entry["landmarks68_px"] for entry in table.values()])


def run(config: FitConfig) -> None:
    """Fit both sets and print the table."""
    model = make_landmark_model(morphable.load_model(config.model))
    kept: dict[str, NDArray[np.float64]] = {}
    for name, contour, goal in (("helen", True, 1.7), ("aflw2000", False, 1.9)):
        _, targets = load_targets(config.data, name)
        fits = [fit_face(model, target, contour, config) for target in targets[: config.limit]]
        residuals = np.stack([fit[0] for fit in fits])
        per_face = 100 * np.linalg.norm(residuals, axis=-1).mean(1)
        identity = np.stack([fit[1] for fit in fits])[:, : model.num_identity]
        part = {"jaw": (0, 17), "brows": (17, 27), "nose": (27, 36), "eyes": (36, 48), "mouth": (48, 68)}
        parts = "  ".join(
            f"{k} {100 * np.linalg.norm(residuals[:, a:b], axis=-1).mean():.2f}" for k, (a, b) in part.items()
        )
        print(
            f"{name:9s} {len(fits):3d} faces  NME {per_face.mean():.3f} % (at most {goal} asked)  "
            f"median {np.median(per_face):.3f}  worst {per_face.max():.2f}  |  {parts}  |  "
            f"identity rms {identity.std():.2f} sigma, "
            f"{100 * (np.abs(identity) > IDENTITY_LIMIT - 0.01).mean():.0f} % at the limit"
        )
        kept |= {f"{name}_residuals": residuals, f"{name}_coefficients": np.stack([fit[1] for fit in fits])}
        kept[f"{name}_pose"] = np.stack([fit[2] for fit in fits])
    if config.save is not None:
        np.savez(config.save, **kept)


if __name__ == "__main__":
    run(tyro.cli(FitConfig))
