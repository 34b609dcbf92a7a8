"""Sparse maps of vertices."""

import torch

from morphable.geometry.mesh import SparseRows, apply_rows

ROWS = SparseRows(torch.tensor([0, 2, 3]), torch.tensor([0, 1, 2]), torch.tensor([0.5, 0.5, 2.0]))


def test_rows_are_weighted_sums() -> None:
    """The product of the matrix with the columns."""
    dense = torch.tensor([[1.0, 10.0], [3.0, 30.0], [5.0, 50.0]])
    assert torch.equal(apply_rows(ROWS, dense), torch.tensor([[2.0, 20.0], [10.0, 100.0]]))


def test_no_columns_give_no_columns() -> None:
    """A picture without faces has none."""
    assert apply_rows(ROWS, torch.zeros(3, 0)).shape == (2, 0)
