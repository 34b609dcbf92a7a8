"""MakeHuman's base mesh (hm08) around a face of the open model: shoulders, lashes, eyes, what clothes bind to."""

from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from safetensors.numpy import load_file

from morphable import MorphableModel
from morphable_synth.assets.proxies import HM08_VERTICES


@dataclass(frozen=True)
class Hm08:
    """Affine maps from the open model's coefficients to the base mesh vertices that the open model does not decode.

    Frame and unit are the open model's. Written by ``tools/build_hm08.py``.
    """

    head_index: Int[np.ndarray, " head"]
    """hm08 number of the open model's first vertices."""
    exact_index: Int[np.ndarray, " exact"]
    """hm08 numbers of lashes, eyes and hair helpers, which follow all coefficients."""
    exact_mean: Float[np.ndarray, "exact 3"]
    exact_basis: Float[np.ndarray, "id exact 3"]
    exact_expression: Float[np.ndarray, "expr exact 3"]
    body_index: Int[np.ndarray, " body"]
    body_mean: Float[np.ndarray, "body 3"]
    body_mix: Float[np.ndarray, "id rank"]
    body_basis: Float[np.ndarray, "rank body 3"]
    skin_triangles: Int[np.ndarray, "tris 3"]
    """The body's skin below the head's mesh, in hm08 numbers."""
    skin_corner_uv: Float[np.ndarray, "tris 3 2"]
    neck_weight: Float[np.ndarray, " hm08"]
    """How far a vertex follows the head (1) rather than the shoulders (0)."""
    head_neck_weight: Float[np.ndarray, " verts"]
    """The same for the vertices of the decoded face."""
    phenotype: Float[np.ndarray, "id_plus_one 4"]
    """Affine map (constant first) to sex (1 female), age (2/3 is 25 years, 1 is 90), African and Asian ancestry."""
    open_fingerprint: Float[np.ndarray, " entries"]
    """Fingerprint of the open model that the file was made for; see `fingerprint`."""
    head_uv: Float[np.ndarray, "uv_verts 2"]
    """MakeHuman's texture coordinates of the open model's UV vertices: u right, v down."""

    def resting(
        self, identity: Float[np.ndarray, " id"], decoded: Float[np.ndarray, "verts 3"]
    ) -> Float[np.ndarray, "hm08 3"]:
        """Return the base mesh around a decoded face, lashes and eyes at rest; vertices nobody needs are NaN."""
        out = np.full((HM08_VERTICES, 3), np.nan, np.float32)
        out[self.body_index] = self.body_mean + np.tensordot(identity @ self.body_mix, self.body_basis, 1)
        out[self.exact_index] = self.exact_mean + np.tensordot(identity, self.exact_basis, 1)
        out[self.head_index] = decoded[: len(self.head_index)]
        return out

    def moved(
        self, resting: Float[np.ndarray, "hm08 3"], expression: Float[np.ndarray, " expr"]
    ) -> Float[np.ndarray, "hm08 3"]:
        """Return what `resting` gives with lashes and eyes moved by the expression."""
        out = resting.copy()
        out[self.exact_index] += np.tensordot(expression, self.exact_expression, 1)
        out[self.head_index] = resting[self.head_index]
        return out

    def traits(self, identity: Float[np.ndarray, " id"]) -> Float[np.ndarray, "4"]:
        """Estimate sex, age, African and Asian ancestry from identity coefficients (see ``phenotype``)."""
        return np.asarray(self.phenotype[0] + identity @ self.phenotype[1:], np.float32)


def read_hm08(path: Path) -> Hm08:
    """Read the file written by ``tools/build_hm08.py``.

    Raises:
        ValueError: A tensor is missing.
    """
    tensors = load_file(path)
    missing = [field.name for field in fields(Hm08) if field.name not in tensors]
    if missing:
        raise ValueError(
            f"{path.name} must hold {missing[0]}, got {len(tensors)} other tensors; reinstall morphable-synth"
        )
    arrays = {field.name: tensors[field.name] for field in fields(Hm08)}
    return Hm08(**{k: v.astype(np.float32) if v.dtype == np.float16 else v for k, v in arrays.items()})


def fingerprint(model: MorphableModel) -> Float[np.ndarray, " entries"]:
    """Return a few sums that change when the open model is built anew."""
    parts = (model.mean, model.identity_basis, model.expression_basis)
    sums = [float(part.double().abs().sum()) for part in parts]
    return np.array([*sums, float(model.num_vertices), float(model.uv.shape[0])], np.float32)


@cache
def load_hm08() -> Hm08:
    """Return the extension of the open model that comes with this package (read once)."""
    with as_file(files("morphable_synth") / "data" / "hm08.safetensors") as path:
        return read_hm08(path)
