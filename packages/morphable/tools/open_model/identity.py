"""Identity: seeded adults, lips closed, eyeballs placed, aligned without size, mirrored, then PCA."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from morphable.geometry import fit_similarity

from . import people
from .eyeballs import RADIUS_M, Sphere, rest_against_lids
from .seams import NUM_COLUMNS, Seam
from .source import BaseMesh
from .topology import Head, Subdivision

NUM_MODES = 80
NUM_PEOPLE = 3000
LIP_RINGS = (1, 2)
"""Edge loops of the lips, counted from the mouth's border, that meet when the mouth is shut."""
LIP_RIM_RINGS = (0, 1, 2, 3)
"""Edge loops of the lips that could cross."""
LIP_GAP_M = 0.0
"""The model's shut lips: the upper's lowest rim loop is this far above the lower's highest, at any depth. Lips that
keep half a millimeter show a slit, and teeth in it, in every shut mouth."""


@dataclass(frozen=True)
class Anatomy:
    """What placing lips and eyes needs to know; base vertices are the head's, then the left and the right eyeball."""

    head: Head
    subdivision: Subdivision
    sphere: Sphere
    lips: Seam
    """Where samples' lips are shut."""
    lip_rims: Seam
    """Where the model's lips are kept apart."""
    lids: dict[str, NDArray[np.int64]]
    """Lid margin vertices per side."""
    eye_helpers: dict[str, NDArray[np.int64]]
    """Vertices of MakeHuman's eye helpers (base mesh numbers) per side."""
    weights: NDArray[np.float64]
    """Importance of each base vertex in alignment and PCA."""
    align: NDArray[np.float64]
    mirror: NDArray[np.int64]


@dataclass(frozen=True)
class Identity:
    """Mean and principal components of the aligned samples."""

    mean: NDArray[np.float64]
    basis: NDArray[np.float64]
    """Meters per standard deviation."""
    flip: NDArray[np.float64]
    explained: float
    """Share of the weighted variance in the kept modes."""


def sample_people(base: BaseMesh, anatomy: Anatomy, count: int, seed: int) -> NDArray[np.float64]:
    """Neutral people (count, base vertices, 3) before alignment."""
    rng = np.random.default_rng(seed)
    head = anatomy.head
    helpers = np.concatenate(list(anatomy.eye_helpers.values()))
    wanted = np.concatenate([head.base_index, helpers])
    skin, guesses = [], []
    for start in range(0, count, 500):
        size = min(500, count - start)
        coefficients = people.sample_coefficients(base, size, rng)
        forms = people.sample_head_forms(base, size, rng, wanted)
        points = base.vertices[wanted] + base.blend(coefficients, wanted) + forms
        skin.append(points[:, : len(head.base_index)])
        guesses.append(points[:, len(head.base_index) :])
    return finish_faces(anatomy, np.concatenate(skin), np.concatenate(guesses))


def finish_faces(anatomy: Anatomy, skin: NDArray[np.float64], helpers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Close the lips and rest an eyeball against each pair of lids."""
    skin = anatomy.lips.close(skin, np.zeros(NUM_COLUMNS), upper_share=0.5)
    matrix = anatomy.subdivision.matrix
    people_points = np.empty((len(skin), skin.shape[1] + 2 * len(anatomy.sphere.points), 3))
    people_points[:, : skin.shape[1]] = skin
    middle = helpers.shape[1] // 2
    for k, side in enumerate(("left", "right")):
        guess = helpers[:, :middle] if side == "left" else helpers[:, middle:]
        rows = matrix[anatomy.lids[side]]
        first = skin.shape[1] + k * len(anatomy.sphere.points)
        for i in range(len(skin)):
            centre = rest_against_lids(rows @ skin[i], guess[i].mean(0))
            people_points[i, first : first + len(anatomy.sphere.points)] = centre + RADIUS_M * anatomy.sphere.points
    return people_points


def similarity_align(
    points: NDArray[np.float64], target: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Align each shape to the target by weighted translation, rotation and uniform scale (Umeyama)."""
    shapes = torch.from_numpy(points)
    scale, rotation, translation = fit_similarity(shapes, torch.from_numpy(target), torch.from_numpy(weights))
    return (scale[:, None, None] * shapes @ rotation.mT + translation[:, None]).numpy()


def principal_components(points: NDArray[np.float64], anatomy: Anatomy) -> Identity:
    """Align to a symmetric mean of average size, then PCA of the samples and their mirror images."""
    mirror = anatomy.mirror
    spread = np.sqrt(
        anatomy.align @ ((points - (anatomy.align @ points)[:, None] / anatomy.align.sum()) ** 2).sum(-1).T
    )
    mean = anatomy.head.template.mean(0) + (points - points.mean(1, keepdims=True)).mean(0)
    for _ in range(5):
        mean = mirror_average(mean, mirror)
        centred = mean - anatomy.align @ mean / anatomy.align.sum()
        mean = centred * (spread.mean() / np.sqrt(anatomy.align @ (centred**2).sum(-1)))
        aligned = similarity_align(points, mean, anatomy.align)
        mean = aligned.mean(0)
    mean = mirror_average(mean, mirror)
    difference = aligned - mean
    root = np.sqrt(anatomy.weights)[:, None]
    modes, variances, signs = [], [], []
    total = 0.0
    for sign in (1.0, -1.0):
        half = mirror_average(difference, mirror, sign)
        flat = (half * root).reshape(len(half), -1)
        kernel = flat @ flat.T / len(flat)
        values, vectors = np.linalg.eigh(kernel)
        order = np.argsort(values)[::-1][:NUM_MODES]
        total += np.trace(kernel)
        modes.append(vectors[:, order].T @ half.reshape(len(half), -1) / np.sqrt(len(half)))
        variances.append(values[order])
        signs.append(np.full(len(order), sign))
    variance = np.concatenate(variances)
    order = np.argsort(variance, kind="stable")[::-1][:NUM_MODES]
    basis = np.concatenate(modes)[order].reshape(NUM_MODES, -1, 3)
    flip = np.concatenate(signs)[order]
    basis = mirror_average(basis, mirror, flip[:, None, None])
    return Identity(mean, fix_signs(basis), flip, float(variance[order].sum() / total))


def seal_lips(identity: Identity, anatomy: Anatomy) -> Identity:
    """Shut the mean's lips and let no mode part or cross them: both rims of a column rise alike."""
    count = len(anatomy.head.base_index)
    mean, basis = identity.mean.copy(), identity.basis.copy()
    mean[:count] = anatomy.lip_rims.close(mean[None, :count], np.full(NUM_COLUMNS, LIP_GAP_M), upper_share=0.5)[0]
    basis[:, :count] = anatomy.lip_rims.move_as_one(basis[:, :count])
    mean = mirror_average(mean, anatomy.mirror)
    basis = mirror_average(basis, anatomy.mirror, identity.flip[:, None, None])
    return replace(identity, mean=mean, basis=basis)


def mirror_average(
    points: NDArray[np.float64], mirror: NDArray[np.int64], sign: NDArray[np.float64] | float = 1.0
) -> NDArray[np.float64]:
    """Average points (..., base vertices, 3) with their mirror images times a sign: their (anti)symmetric part."""
    return 0.5 * (points + sign * points[..., mirror, :] * [-1.0, 1.0, 1.0])


def fix_signs(basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make the largest entry of every mode positive, so that builds agree."""
    flat = basis.reshape(len(basis), -1)
    magnitude = np.abs(flat)
    largest = np.argmax(magnitude > magnitude.max(1, keepdims=True) * (1 - 1e-6), axis=1)
    return basis * np.sign(flat[np.arange(len(flat)), largest])[:, None, None]
