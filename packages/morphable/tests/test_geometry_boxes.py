import torch

from morphable.geometry import box_iou, box_of_points, distinct_boxes


def test_overlap_by_hand():
    # 2 x 2 and 2 x 2, shifted by (1, 1): 1 in common of 7
    first = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
    second = torch.tensor([[1.0, 1.0, 3.0, 3.0], [0.0, 0.0, 2.0, 2.0], [5.0, 5.0, 6.0, 6.0], [2.0, 2.0, 2.0, 2.0]])
    torch.testing.assert_close(box_iou(first, second), torch.tensor([[1 / 7, 1.0, 0.0, 0.0]]))


def test_scale_and_order_do_not_matter():
    generator = torch.Generator().manual_seed(0)
    corner, size = torch.rand(2, 9, 2, generator=generator)
    boxes = torch.cat([corner, corner + size], 1)
    torch.testing.assert_close(box_iou(boxes * 7, boxes * 7), box_iou(boxes, boxes))
    torch.testing.assert_close(box_iou(boxes, boxes), box_iou(boxes, boxes).T)


def test_first_of_overlapping_boxes_stays():
    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0], [4.0, 0.0, 8.0, 4.0], [9.0, 9.0, 9.5, 9.5]])
    # the second shares 12 of 20 with the first; the third 4 of 28 with the second, which is gone
    assert distinct_boxes(boxes, 0.3).tolist() == [0, 2, 3]
    assert distinct_boxes(boxes, 0.6).tolist() == [0, 1, 2, 3]
    assert distinct_boxes(boxes[:0], 0.3).tolist() == []


def test_box_of_points():
    points = torch.tensor([[[1.0, 5.0], [3.0, 2.0], [2.0, 9.0]]])
    torch.testing.assert_close(box_of_points(points), torch.tensor([[1.0, 2.0, 3.0, 9.0]]))
