import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from morphable_detector_head import decode_centers
from morphable_detector_head.decode import cell_centers, local_maxima


def heatmap(*rows: str) -> torch.Tensor:
    """Digits are tenths."""
    return torch.tensor([[[int(digit) / 10 for digit in row] for row in rows]])


def test_centres_of_cells():
    # cell 5 of a map with 3 columns: row 1, column 2
    expected = torch.tensor([[20.0, 12.0], [4.0, 4.0]])
    torch.testing.assert_close(cell_centers(torch.tensor([5, 0]), 3), expected)


def test_best_first_with_padding():
    centers = decode_centers(heatmap("000007", "090000", "000000"), top_k=4, min_score=0.5)
    assert centers.valid.tolist() == [[True, True]]
    torch.testing.assert_close(centers.score, torch.tensor([[0.9, 0.7]]))
    assert centers.cell[0, :2].tolist() == [7, 5]
    torch.testing.assert_close(centers.xy_px[0, 0], torch.tensor([12.0, 12.0]))


def test_score_must_exceed_the_threshold():
    assert not decode_centers(heatmap("050"), top_k=1, min_score=0.5).valid.any()


def test_equal_neighbours_give_one_face():
    for rows in (["0880"], ["0800", "0080"], ["0080", "0800"], ["0888"], ["888", "888", "888"]):
        assert decode_centers(heatmap(*rows), top_k=4 if len(rows) == 1 else 8).valid.sum() == 1


def test_two_faces_two_cells_apart_are_both_kept():
    assert decode_centers(heatmap("08080"), top_k=3).valid.sum() == 2
    assert decode_centers(heatmap("08080"), top_k=3, window=5).valid.sum() == 1


def test_face_on_the_border():
    centers = decode_centers(heatmap("900", "000", "008"), top_k=3)
    assert sorted(centers.cell[centers.valid].tolist()) == [0, 8]


def test_flat_map_has_one_maximum_per_plateau():
    assert local_maxima(torch.zeros(2, 6, 7)).sum() == 2


def test_batch_equals_single():
    maps = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    together = decode_centers(maps, top_k=5)
    for index in range(3):
        alone = decode_centers(maps[index : index + 1], top_k=5)
        count = int(alone.valid.sum())
        assert together.valid[index].sum() == count
        assert torch.equal(together.cell[index, :count], alone.cell[0, :count])
        assert torch.equal(together.score[index, :count], alone.score[0, :count])


def test_as_many_entries_as_the_fullest_picture_has():
    maps = torch.cat([heatmap("90009", "00000", "90009"), heatmap("00000", "00600", "00000")])
    assert decode_centers(maps, top_k=9).valid.tolist() == [[True] * 4, [True, False, False, False]]
    assert decode_centers(maps, top_k=2).valid.tolist() == [[True, True], [True, False]]
    assert decode_centers(maps[1:], top_k=9).score.shape == (1, 1)
    assert decode_centers(torch.zeros(1, 3, 5), top_k=9).valid.tolist() == [[False]]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=2, max_size=6))
def test_no_two_maxima_touch(values: list[list[int]]):
    peaks = local_maxima(torch.tensor(values, dtype=torch.float32)[None] / 3)[0]
    rows, cols = peaks.nonzero(as_tuple=True)
    for first in range(len(rows)):
        for second in range(first):
            distance = max(abs(rows[first] - rows[second]), abs(cols[first] - cols[second]))
            assert distance > 1


def test_refusals():
    with pytest.raises(ValueError, match="top_k must be at least 1, got 0"):
        decode_centers(torch.zeros(1, 2, 2), top_k=0)
    with pytest.raises(ValueError, match="window must be odd and positive, got 4"):
        local_maxima(torch.zeros(1, 2, 2), window=4)
