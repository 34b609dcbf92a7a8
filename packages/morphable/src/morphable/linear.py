"""Linear maps of vertices: combinations of modes, and sparse matrices."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def combine_modes(
    coefficients: Float[Tensor, "*batch modes"],
    basis: Float[Tensor, "modes verts 3"],
    offset: Float[Tensor, "verts 3"],
) -> Float[Tensor, "*batch verts 3"]:
    """Return offset + coefficients @ basis, computed in the basis' dtype."""
    batch = coefficients.shape[:-1]
    flat = coefficients.reshape(math.prod(batch), basis.shape[0]).to(basis.dtype)
    combined = torch.addmm(offset.reshape(1, -1), flat, basis.reshape(basis.shape[0], offset.numel()))
    return combined.reshape(*batch, *offset.shape)


@dataclass(frozen=True)
class SparseRows:
    """A sparse matrix by rows (CSR), applied to vertices."""

    crow: Int[Tensor, " rows_plus_one"]
    """Where each row's entries start in `col`; the last entry is their number."""
    col: Int[Tensor, " entries"]
    """Column of each entry."""
    value: Float[Tensor, " entries"]
    """Value of each entry."""


def apply_rows(rows: SparseRows, dense: Float[Tensor, "cols channels"]) -> Float[Tensor, "rows channels"]:
    """Multiply a sparse matrix with a dense one; gradients flow to the dense one.

    An embedding bag does this without torch's sparse layouts, whose CSR product was measured to take twice as
    long at the open model's size and warns when used.
    """
    return F.embedding_bag(
        rows.col, dense, rows.crow, mode="sum", per_sample_weights=rows.value, include_last_offset=True
    )
