"""Whether the standard deviations that the network expects of its 68 points are those of its errors on photographs.

`OMP_NUM_THREADS=1 python benchmarks/point_spread.py --root ../shared/data [--weights FILE] [--write FILE]`

One factor is fitted on every other photograph of each set, so that 68.3 % of the coordinates of the 51 inner points lie
within one standard deviation; everything printed is of the other photographs. Annotators' jaw points lie on the visible
outline, where `landmarks68_contour_px` has them; AFLW2000-3D's are static. `--write` stores the factor in the weights
file (`inference.point_std_factor`), whose tensors stay as they are.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray
from scipy.stats import norm, spearmanr

from morphable import read_weights, write_weights
from morphable.landmarks import EYES, JAW, LEFT_BROW, MOUTH, NOSE, NUM_JAW, RIGHT_BROW
from morphable_reconstruct import Face, ReconstructConfig, Reconstructor
from morphable_reconstruct.reconstructor.weights import find_weights

SETS = ("helen", "afw_single", "afw_multi", "ytf", "aflw2000")
GROUPS = {
    "jaw": list(JAW),
    "brows": [*RIGHT_BROW, *LEFT_BROW],
    "nose": list(NOSE),
    "eyes": list(EYES),
    "mouth": list(MOUTH),
}
ONE_STD, TWO_STD = (float(2 * norm.cdf(number) - 1) for number in (1, 2))
FARTHEST = 0.25
"""A found face is an annotated one if its 51 inner points lie this near on average, in units of the box's side."""


@dataclass(frozen=True, kw_only=True)
class SpreadConfig:
    """Calibrate the expected standard deviations of the 68 points."""

    root: Path
    """Folder that holds `faces_dev/` and `aflw2000_gt/`."""
    weights: str = "mobile"
    """mobile, or a weights file."""
    every: int = 1
    """Take each how many-th photograph."""
    write: Path | None = None
    """Weights file to write with the factor; by default none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Errors:
    """Errors of faces and what was expected of them, as fractions of the longer side of the annotated box."""

    error: NDArray[np.float64]
    """(faces, 68, 2)"""
    std: NDArray[np.float64]
    """(faces, 68), without any factor."""
    fitted_on: NDArray[np.bool_]
    """Whether the photograph belongs to the half that the factor is fitted on."""


def main() -> None:
    """Fit on one half, print what the other half says."""
    config = tyro.cli(SpreadConfig)
    options = ReconstructConfig(colors="network", batch_size=1)
    reconstructor = Reconstructor(config.weights, config=options)
    stored = reconstructor.defaults.point_std_factor
    of_set = {name: _measure(name, config, reconstructor, stored) for name in SETS}
    inner = [_share(found, found.fitted_on) for found in of_set.values()]
    factor = float(np.quantile(np.concatenate(inner), ONE_STD))
    print(f"factor {factor:.3f} (stored with the weights: {stored:.3f}), fitted on every other photograph")
    print(f"the other photographs, with this factor; a Gaussian has {ONE_STD:.1%} and {TWO_STD:.1%}:\n")
    print("| set | faces | points | within 1 std | within 2 std | std, median % | error, median % | rank correlation |")
    print("|---|---|---|---|---|---|---|---|")
    for name, found in of_set.items():
        for group in ("inner", *GROUPS):
            print(_row(name, group, found, factor))
    print("\nmedian error of the inner points over what the median std promises, by quarter of the std, all sets:")
    print(" ".join(f"{value:.2f}" for value in _by_quarter(list(of_set.values()), factor)))
    if config.write is not None:
        info, state = read_weights(find_weights(config.weights))
        write_weights(config.write, replace(info, inference=replace(info.inference, point_std_factor=factor)), state)


def _measure(name: str, config: SpreadConfig, reconstructor: Reconstructor, stored: float) -> Errors:
    """Reconstruct a set and compare each annotated face with the nearest one found."""
    rows: list[tuple[NDArray[np.float64], NDArray[np.float64], bool]] = []
    for number, (path, truths) in enumerate(_photographs(name, config.root)):
        if number % config.every:
            continue
        scene = reconstructor(path)
        for truth in truths:
            side = float((truth.max(0) - truth.min(0)).max())
            nearest = min(scene, key=lambda face: _distance(face, truth), default=None)
            if nearest is None or _distance(nearest, truth) > FARTHEST * side:
                continue
            std_px = nearest.landmarks68_std_px
            if std_px is None:
                raise ValueError(f"weights must have a face head, got {config.weights}")
            found = nearest.landmarks68_px.astype(np.float64)
            if name != "aflw2000":
                found[:NUM_JAW] = nearest.landmarks68_contour_px[:NUM_JAW]
            rows.append(((found - truth) / side, std_px / stored / side, number // config.every % 2 == 0))
    error, std, fitted_on = zip(*rows, strict=True)
    return Errors(error=np.stack(error), std=np.stack(std), fitted_on=np.array(fitted_on))


def _photographs(name: str, root: Path) -> Iterator[tuple[Path, list[NDArray[np.float64]]]]:
    """Photographs of a set with the 68 points of their annotated faces, in our pixels."""
    folder = root / "faces_dev" / name
    if name == "aflw2000":
        truth = np.load(root / "aflw2000_gt" / "AFLW2000-3D.pts68.npy")
        rows = json.loads((folder / "rows.json").read_text())
        for file, row in sorted(rows.items()):
            yield folder / file, [truth[row["row"]][:2].T.astype(np.float64) - 0.5]
        return
    for file, record in sorted(json.loads((folder / "landmarks68.json").read_text()).items()):
        yield folder / file, list(np.array(record["landmarks68_px"], np.float64).reshape(-1, 68, 2))


def _distance(face: Face, truth: NDArray[np.float64]) -> float:
    """Mean distance of the inner points."""
    return float(np.linalg.norm(face.landmarks68_px[NUM_JAW:] - truth[NUM_JAW:], axis=1).mean())


def _share(found: Errors, chosen: NDArray[np.bool_], points: list[int] | None = None) -> NDArray[np.float64]:
    """Absolute errors in standard deviations, of the inner points by default."""
    points = list(range(NUM_JAW, 68)) if points is None else points
    return (np.abs(found.error[chosen][:, points]) / found.std[chosen][:, points, None]).reshape(-1)


def _row(name: str, group: str, found: Errors, factor: float) -> str:
    """One line of the table."""
    points = GROUPS.get(group, list(range(NUM_JAW, 68)))
    kept = ~found.fitted_on
    share = _share(found, kept, points) / factor
    std = found.std[kept][:, points] * factor
    error = np.linalg.norm(found.error[kept][:, points], axis=-1)
    correlation = spearmanr(std.reshape(-1), error.reshape(-1)).statistic
    cells = [f"{(share <= 1).mean():.1%}", f"{(share <= 2).mean():.1%}"]
    cells += [f"{100 * np.median(std):.2f}", f"{100 * np.median(error):.2f}", f"{correlation:.2f}"]
    return f"| {name} | {kept.sum()} | {group} | {' | '.join(cells)} |"


def _by_quarter(sets: list[Errors], factor: float) -> list[float]:
    """How far off points are of which the network expects little, ..., much: all about 1 where it is right."""
    std = np.concatenate([found.std[~found.fitted_on][:, NUM_JAW:].reshape(-1) for found in sets]) * factor
    error = np.concatenate([found.error[~found.fitted_on][:, NUM_JAW:].reshape(-1, 2) for found in sets])
    quarter = np.searchsorted(np.quantile(std, [0.25, 0.5, 0.75]), std)
    return [
        float(np.median(np.abs(error[quarter == k])) / norm.ppf(0.75) / np.median(std[quarter == k])) for k in range(4)
    ]


if __name__ == "__main__":
    main()
