"""The perception term: what is drawn, where it is cut, and what it pulls."""

import torch
from stand_in import draw_truth, render_record

from morphable_detector_head import FaceParameters
from morphable_losses.perception import FACENET_SIZE_PX
from morphable_train.batch import FaceTargets
from morphable_train.perception import CROP_SCALE, crop_grid, perception_error, sample_crops
from morphable_train.rendered import render_batch

SIZE = 128


def small_picture(crops):
    """An embedder: the crop at 8 x 8."""
    return torch.nn.functional.adaptive_avg_pool2d(crops, 8).flatten(1)


def scene(model):
    truth = draw_truth(model, 2, 5, size_px=SIZE, face_px=(40, 50))
    record = render_record(model, truth, "scene", size_px=SIZE)
    image = torch.from_numpy(record.image).permute(2, 0, 1)[None].float() / 255
    faces = FaceTargets(
        image_index=torch.zeros(2, dtype=torch.long),
        landmarks68_px=torch.from_numpy(record.labels.landmarks68_px),
        landmark_weight=torch.ones(2, 68),
        contour=torch.zeros(2, dtype=torch.bool),
        exact=torch.ones(2, dtype=torch.bool),
        identity=truth["identity"],
        expression=truth["expression"],
        rotation_head=truth["rotation"],
        translation_m=truth["translation"],
    )
    return FaceParameters(**truth), faces, image


def error(model, parameters, faces, image):
    index = torch.zeros(2, dtype=torch.long)
    pixels = render_batch(parameters, parameters, model, size_hw=(SIZE, SIZE), image_index=index, num_images=1)
    return perception_error(pixels, faces, model, small_picture, image=image, image_index=index)


def test_the_true_faces_look_most_like_the_photograph(model):
    parameters, faces, image = scene(model)
    right = float(error(model, parameters, faces, image))
    dark = FaceParameters(**{**vars(parameters), "illumination": parameters.illumination - 0.2})
    assert right < 0.01  # the picture's 8 bits
    assert float(error(model, dark, faces, image)) > 20 * right


def test_it_pulls_shape_pose_albedo_and_light(model):
    parameters, faces, image = scene(model)
    leaves = {name: value.clone().requires_grad_() for name, value in vars(parameters).items()}
    wrong = FaceParameters(**{**leaves, "illumination": leaves["illumination"] + 0.1})
    error(model, wrong, faces, image).backward()
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


def test_no_face_no_error(model):
    parameters, faces, image = scene(model)
    none = torch.zeros(0, dtype=torch.long)
    empty = parameters[none]
    pixels = render_batch(empty, empty, model, size_hw=(SIZE, SIZE), image_index=none, num_images=1)
    value = perception_error(pixels, faces.select(none), model, small_picture, image=image, image_index=none)
    assert float(value) == 0.0
