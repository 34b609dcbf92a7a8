import math

import torch

from morphable_detector_head import decode_centers, encode_centers
from morphable_detector_head.targets import gaussian_radius

SIZE_HW = (64, 96)


def boxes(*values: tuple[float, float, float, float]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([values]), torch.ones(1, len(values), dtype=torch.bool)


def test_centre_of_the_box_marks_its_cell():
    # center (30, 20): column 3, row 2 of 12 columns
    targets = encode_centers(*boxes((20.0, 10.0, 40.0, 30.0)), SIZE_HW)
    assert targets.cell.tolist() == [[27]]
    assert targets.heatmap.sum() == 1
    assert targets.heatmap[0, 2, 3] == 1


def test_two_faces_in_one_cell_the_larger_stays():
    box, present = boxes((25.0, 15.0, 33.0, 23.0), (20.0, 10.0, 40.0, 30.0), (20.0, 10.0, 40.0, 30.0))
    targets = encode_centers(box, present, SIZE_HW)
    assert targets.valid.tolist() == [[False, True, False]]
    assert targets.heatmap.sum() == 1


def test_padding_never_displaces_a_face():
    box, present = boxes((0.0, 0.0, 6.0, 6.0), (-900.0, -900.0, 900.0, 900.0))
    targets = encode_centers(box, present & torch.tensor([[True, False]]), SIZE_HW)
    assert targets.valid.tolist() == [[True, False]]


def test_centre_on_the_border_and_outside():
    box, present = boxes((86.0, 54.0, 106.0, 74.0), (-10.0, -10.0, 10.0, 10.0), (-20.0, 0.0, 10.0, 10.0))
    targets = encode_centers(box, present, SIZE_HW)
    assert targets.valid.tolist() == [[True, True, False]]
    assert targets.cell.tolist() == [[7 * 12 + 11, 0, 0]]
    assert targets.heatmap.sum() == 2


def test_no_faces():
    for kind in ("binary", "gaussian"):
        targets = encode_centers(torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.bool), SIZE_HW, kind=kind)
        assert targets.heatmap.shape == (2, 8, 12)
        assert targets.heatmap.sum() == 0
        padding = encode_centers(torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.bool), SIZE_HW, kind=kind)
        assert padding.heatmap.sum() == 0
        assert not padding.valid.any()


def test_radius_keeps_the_overlap():
    size = torch.tensor([[30.0, 40.0], [5.0, 5.0], [0.0, 0.0]], dtype=torch.float64)
    radius = gaussian_radius(size, min_iou=0.7)
    intersection = (size - radius[:, None]).prod(-1)[:2]
    union = 2 * size.prod(-1)[:2] - intersection
    torch.testing.assert_close(intersection / union, torch.full((2,), 0.7, dtype=torch.float64))
    assert radius[2] == 0


def test_gaussian_value():
    # an 80x80 px box is 10x10 cells: radius 10 - sqrt(100 - 100 (1 - 1.4 / 1.7)) = 0.925 -> 0; 20 cells: 1.85 -> 1,
    # sigma = 3 / 6, so a direct neighbor gets exp(-1 / 0.5)
    targets = encode_centers(*boxes((-40.0, -44.0, 120.0, 116.0)), SIZE_HW, kind="gaussian")
    assert targets.heatmap[0, 4, 5] == 1
    torch.testing.assert_close(targets.heatmap[0, 4, 4], torch.tensor(math.exp(-2)))
    assert targets.heatmap[0, 4, 3] == 0
    torch.testing.assert_close(targets.heatmap.sum(), torch.tensor(1 + 4 * math.exp(-2) + 4 * math.exp(-4)))


def test_decoding_finds_what_was_encoded():
    box, present = boxes((0.0, 0.0, 60.0, 60.0), (60.0, 20.0, 80.0, 40.0), (10.0, 50.0, 20.0, 60.0))
    for kind in ("binary", "gaussian"):
        targets = encode_centers(box, present, SIZE_HW, kind=kind)
        centers = decode_centers(targets.heatmap, top_k=8)
        assert sorted(centers.cell[centers.valid].tolist()) == sorted(targets.cell[0].tolist())
