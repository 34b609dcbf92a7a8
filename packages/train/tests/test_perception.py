"""The perception term: what is drawn, where it is cut, and what it pulls."""

from dataclasses import replace

import torch

from morphable import FaceParameters
from morphable_losses.perception import FACENET_SIZE_PX
from morphable_train.objective.perception import CROP_SCALE, crop_grid, perception_error, sample_crops
from morphable_train.objective.rendered import render_batch


def small_picture(crops):
    """An embedder: the crop at 8 x 8."""
    return torch.nn.functional.adaptive_avg_pool2d(crops, 8).flatten(1)


def error(model, parameters, batch):
    index = batch.faces.image_index
    pixels = render_batch(parameters, parameters, model, size_hw=batch.size_hw, image_index=index, num_images=1)
    return perception_error(pixels, batch.faces, model, small_picture, image=batch.image, image_index=index)


def test_the_true_faces_look_most_like_the_photograph(model, two_faces):
    truth, batch = two_faces
    parameters = FaceParameters(**truth)
    right = float(error(model, parameters, batch))
    dark = FaceParameters(**{**vars(parameters), "illumination": parameters.illumination - 0.2})
    assert right < 0.01  # the picture's 8 bits
    assert float(error(model, dark, batch)) > 20 * right


def test_it_pulls_shape_pose_albedo_and_light(model, two_faces):
    truth, batch = two_faces
    leaves = {name: value.clone().requires_grad_() for name, value in truth.items()}
    wrong = FaceParameters(**{**leaves, "illumination": leaves["illumination"] + 0.1})
    error(model, wrong, batch).backward()
    for name, leaf in leaves.items():
        assert bool(torch.isfinite(leaf.grad).all()), name
        assert float(leaf.grad.abs().sum()) > 0, name


def test_crops_lie_around_their_boxes_in_their_own_picture():
    # pictures whose red is x and green is y, in pixels over 100; the second is shifted by one unit
    y, x = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="ij")
    pictures = torch.stack([torch.stack([x, y, x * 0]) / 100, torch.stack([x, y, x * 0]) / 100 + 1])
    boxes = torch.tensor([[20.0, 24.0, 36.0, 34.0], [30.0, 30.0, 40.0, 44.0], [20.0, 24.0, 36.0, 34.0]])
    crops = sample_crops(pictures, crop_grid(boxes, (64, 64)), torch.tensor([1, 0, 0]))
    # first box: middle (28, 29), longer side 16
    half = 16 * CROP_SCALE / 2 * (1 - 1 / FACENET_SIZE_PX)
    torch.testing.assert_close(crops[2, 0, 0, 0] * 100, torch.tensor(28.0 - half), atol=1e-3, rtol=0)
    torch.testing.assert_close(crops[2, 1, -1, 0] * 100, torch.tensor(29.0 + half), atol=1e-3, rtol=0)
    torch.testing.assert_close(crops[0], crops[2] + 1, atol=1e-5, rtol=0)
    assert float(crops[1, 0].mean()) < 1  # from the first picture


def test_no_face_no_error(model, two_faces):
    truth, batch = two_faces
    none = torch.zeros(0, dtype=torch.long)
    empty = replace(batch, faces=batch.faces.select(none))
    assert float(error(model, FaceParameters(**truth)[none], empty)) == 0.0
