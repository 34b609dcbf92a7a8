"""Rebuild the open model's albedo from synthetic people: `python packages/synth/tools/build_albedo.py --assets ASSETS`.

People are drawn as scenes draw them, from CC0 assets alone (the README of morphable-synth says what the folder holds).
Their skins, brows, lashes, lips, complexions and irises are baked to the model's vertices, and the principal components
of these colors and of their mirror images replace the albedo in `open.safetensors`. Shape, landmarks and everything
else stay as they are. The extra `build` of morphable is needed for SciPy.
"""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from scipy.sparse import csc_matrix, csr_matrix, diags
from scipy.sparse.linalg import splu

from morphable import MorphableModel
from morphable.commands import run_command
from morphable.model_file import read_model_file, write_model_file
from morphable_synth import SceneConfig, sample_scene
from morphable_synth.assets.library import load_library
from morphable_synth.people.baking import albedo_weights, baked_colors

MODEL = Path(__file__).parents[2] / "morphable/src/morphable/data/open.safetensors"
SOURCE = (
    "albedo: principal components of {people:,} synthetic people of morphable-synth, from skins, brows, lashes, irises "
    "and teeth of MakeHuman (CC0)"
)
SEED, HELD_OUT_SEED = 20261130, 20261131
NUM_MODES = 80
RIDGE = 1e-4
"""Relative weight that keeps base vertices, which the subdivision hardly shows, near their neighbors."""


@dataclass(frozen=True, kw_only=True)
class AlbedoConfig:
    """Replace the albedo of the open model by the principal components of synthetic people."""

    assets: Path
    """Folder of assets, as for `morphable-synth generate`."""
    model: Path = MODEL
    """Model file to change."""
    people: int = 1500
    """Synthetic people; other than the default gives another albedo."""
    held_out: int = 100
    """Further people to measure the residual with."""


def run(config: AlbedoConfig) -> None:
    """Build and write."""
    data = read_model_file(config.model)
    model = MorphableModel(data)
    fit = _BaseFit(model)
    colors = _bake(config.assets, SEED, config.people, fit)
    mean, basis, flip, explained = principal_components(colors, fit.mirror, fit.weights)
    kept = data.source.split("; albedo: ")[0].split("; procedural albedo")[0]
    changed = dataclasses.replace(
        data,
        mean_albedo=torch.from_numpy(mean.astype(np.float32)),
        albedo_basis=torch.from_numpy(basis.astype(np.float32)),
        albedo_flip=torch.from_numpy(flip.astype(np.float32)),
        source=f"{kept}; {SOURCE.format(people=config.people)}",
    )
    write_model_file(changed, config.model, half=True)
    print(f"{config.model}: {config.model.stat().st_size / 1e6:.2f} MB, {100 * explained:.2f} % of the variance")
    print(f"{int((flip > 0).sum())} modes are symmetric")
    if config.held_out:
        _report(MorphableModel(changed), config)


class _BaseFit:
    """Fits base vertices to colors at full resolution by weighted least squares."""

    def __init__(self, model: MorphableModel) -> None:
        base, full = model.mean.shape[0], model.num_vertices
        shape = (full, base)
        matrix = csr_matrix((model.subdivision_value, model.subdivision_col, model.subdivision_crow), shape)
        weight = albedo_weights(model).astype(np.float64)
        self._read = csr_matrix(matrix.T @ diags(weight))
        gram = csc_matrix(self._read @ matrix)
        self._solver = splu(csc_matrix(gram + diags(RIDGE * gram.diagonal())))
        self._diagonal = RIDGE * gram.diagonal()
        self._old = np.concatenate([np.arange(base - 354), np.arange(full - 354, full)])
        self.weights = np.asarray(matrix.T @ weight)
        mirror = model.mirror_vertices.numpy()[self._old]
        self.mirror = np.where(mirror < base - 354, mirror, mirror - (full - base))

    def __call__(self, colors: np.ndarray) -> np.ndarray:
        """Return base vertex colors (base, 3); what subdivision smooths away is sharpened again."""
        pull = self._diagonal[:, None] * colors[self._old]
        return np.asarray(self._solver.solve(self._read @ colors + pull))


def _bake(assets: Path, seed: int, count: int, fit: "_BaseFit | None") -> np.ndarray:
    """Colors (people, vertices, 3) of drawn people: of base vertices with a fit, else at full resolution."""
    config = SceneConfig(size_px=256, level="makehuman", assets=assets, layout="single", cc0_only=True)
    config = dataclasses.replace(config, photographic_skin=1.0)
    library = load_library(config.assets, config.cc0_only)
    out = []
    for index in range(count):
        colors = baked_colors(library, sample_scene(seed, index, config).people[0]).astype(np.float64)
        out.append((colors if fit is None else fit(colors)).astype(np.float32))
        if (index + 1) % 200 == 0:
            print(f"{index + 1} people", file=sys.stderr)
    return np.stack(out)


def principal_components(
    colors: np.ndarray, mirror: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return mean, modes per standard deviation, their signs under mirroring, and the share of variance explained.

    Args:
        colors: (people, vertices, 3).
        mirror: Permutation of the vertices.
        weights: Importance of each vertex.
    """
    mean = colors.mean(0, dtype=np.float64)
    mean = 0.5 * (mean + mean[mirror])
    difference = colors - mean.astype(np.float32)
    root = np.sqrt(weights / weights.mean())[:, None].astype(np.float32)
    modes, variances, signs, total = [], [], [], 0.0
    for sign in (1.0, -1.0):
        half = 0.5 * (difference + np.float32(sign) * difference[:, mirror])
        flat = (half * root).reshape(len(half), -1)
        kernel = (flat @ flat.T).astype(np.float64) / len(flat)
        values, vectors = np.linalg.eigh(kernel)
        order = np.argsort(values)[::-1][:NUM_MODES]
        total += float(np.trace(kernel))
        modes.append(vectors[:, order].T @ half.reshape(len(half), -1) / np.sqrt(len(half)))
        variances.append(values[order])
        signs.append(np.full(len(order), sign))
    variance = np.concatenate(variances)
    order = np.argsort(variance, kind="stable")[::-1][:NUM_MODES]
    basis = np.concatenate(modes)[order].reshape(NUM_MODES, -1, 3)
    flip = np.concatenate(signs)[order]
    basis = 0.5 * (basis + flip[:, None, None] * basis[:, mirror])
    return mean, _with_fixed_signs(basis), flip, float(variance[order].sum() / total)


def _with_fixed_signs(basis: np.ndarray) -> np.ndarray:
    """Make every mode's sum positive where it has one, else its largest entry: higher values are lighter."""
    flat = basis.reshape(len(basis), -1)
    largest = flat[np.arange(len(flat)), np.abs(flat).argmax(1)]
    total = flat.sum(1)
    sign = np.sign(np.where(np.abs(total) > 1e-3 * np.abs(flat).sum(1), total, largest))
    return np.asarray(basis * sign[:, None, None])


def _report(model: MorphableModel, config: AlbedoConfig) -> None:
    """Print how near the modes come to people who were not used."""
    colors = _bake(config.assets, HELD_OUT_SEED, config.held_out, None)
    weight = np.repeat(albedo_weights(model), 3).astype(np.float64)
    mean = model.decode_albedo(torch.zeros(NUM_MODES)).numpy()
    basis = (model.decode_albedo(torch.eye(NUM_MODES)).numpy() - mean).reshape(NUM_MODES, -1).astype(np.float64)
    target = (colors - mean).reshape(len(colors), -1)
    coefficients = np.linalg.solve((basis * weight) @ basis.T, (basis * weight) @ target.T).T
    left = np.abs(target - coefficients @ basis).reshape(colors.shape)
    spread = np.abs(target).reshape(colors.shape)
    print(f"coefficients of {len(colors)} other people: standard deviation {coefficients.std():.2f}")
    for region in ("skin", "brows", "eyes", "lips", "face"):
        rows = model.region(region).numpy()
        alone = spread[:, rows].mean()
        print(f"{region}: mean absolute residual {left[:, rows].mean():.4f}, of the mean alone {alone:.4f}")


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    return run_command(
        "build_albedo", "morphable-synth", argv, parse=lambda arguments: tyro.cli(AlbedoConfig, args=arguments), act=run
    )


if __name__ == "__main__":
    raise SystemExit(main())
