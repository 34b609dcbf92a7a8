"""Moving a picture's pixels and rendering the moved truth give the same picture: what augmentation rests on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from stand_in import draw_truth, render_record

from morphable.geometry import GLOBAL_FOCAL_PX, Pinhole, camera_from_model
from morphable.geometry.warping import flip_matrix, similarity_matrix
from morphable_render import render_faces
from morphable_render.lighting import mirror_illumination
from morphable_train.data.augment import warp_pictures
from morphable_train.data.crops import picture_tensor
from morphable_train.data.faces import input_targets, source_faces

SIZE = 128


def moved_and_rendered(model, surface, *, scale=1.0, angle=0.0, shift=(0.0, 0.0), flip=False, light=0.0):
    """A rendered face whose pixels were moved, and the same face rendered from the moved truth."""
    truth = draw_truth(model, 1, 11, size_px=SIZE, face_px=(50, 51))
    truth["illumination"] = torch.randn(1, 9, 3, generator=torch.Generator().manual_seed(1)) * light
    record = render_record(model, truth, "moved", size_px=SIZE)
    box = record.labels.boxes_px()[0]
    middle = torch.from_numpy((box[:2] + box[2:]) / 2)[None]
    move = similarity_matrix(torch.tensor([scale]), torch.tensor([angle]), middle, middle + torch.tensor([shift]))
    if flip:
        move = move @ flip_matrix(torch.tensor([float(SIZE)]))
    moved = warp_pictures(picture_tensor(record)[None], move, SIZE)[0]
    targets = input_targets(
        source_faces(record.labels, (SIZE, SIZE), model),
        torch.zeros(1, dtype=torch.long),
        move,
        torch.tensor([flip]),
        input_px=SIZE,
        model=model,
        surface=surface,
    )
    shape = model.decode_shape(targets.identity, targets.expression)
    again = render_faces(
        camera_from_model(shape, targets.rotation_head, targets.translation_m),
        model.triangles,
        model.decode_albedo(model.flip_albedo(truth["albedo"]) if flip else truth["albedo"]),
        illumination=mirror_illumination(truth["illumination"]) if flip else truth["illumination"],
        focal_px=GLOBAL_FOCAL_PX,
        background=torch.zeros(SIZE, SIZE, 3),
    )
    return moved, again


def test_points_stay_where_a_longer_lens_showed_them(model, surface):
    """No pose under the network's camera has the lens's perspective; the pixels are the picture's own."""
    truth = draw_truth(model, 1, 11, size_px=SIZE, face_px=(50, 51))
    labels = render_record(model, truth, "far", size_px=SIZE).labels
    lens = replace(labels, focal_px=4 * labels.focal_px, translation_m=labels.translation_m * np.float32([1, 1, 4]))
    shape = surface.few.decode_shape(truth["identity"], truth["expression"])
    translation = torch.from_numpy(lens.translation_m)
    seen = Pinhole((SIZE, SIZE), lens.focal_px).project(camera_from_model(shape, truth["rotation_head"], translation))
    targets = input_targets(
        source_faces(lens, (SIZE, SIZE), model),
        torch.zeros(1, dtype=torch.long),
        torch.eye(3)[None],
        torch.tensor([False]),
        input_px=SIZE,
        model=model,
        surface=surface,
    )
    torch.testing.assert_close(torch.cat([targets.landmarks68_px, targets.dense_px], 1), seen, atol=1e-2, rtol=0)
    posed = Pinhole((SIZE, SIZE)).project(camera_from_model(shape, targets.rotation_head, targets.translation_m))
    left = (posed - seen).norm(dim=-1)
    assert 0.2 < float(left.max()) < 3.0
    assert float(left.mean()) < 1.0


def inner(mask):
    """The mask without its outermost two pixels."""
    return -torch.nn.functional.max_pool2d(-mask.float()[None, None], 5, 1, 2)[0, 0] > 0.5


@pytest.mark.parametrize(
    "change",
    [
        {"shift": (25.0, -12.0)},
        {"scale": 1.5},
        {"scale": 0.7, "shift": (-20.0, 15.0)},
        {"angle": 0.3},
        {"flip": True, "light": 0.05},
        {"flip": True, "scale": 1.2, "angle": -0.2, "shift": (10.0, 8.0)},
    ],
    ids=str,
)
def test_the_moved_picture_is_the_picture_of_the_moved_truth(model, surface, change):
    moved, again = moved_and_rendered(model, surface, **change)
    before, after = moved[3] > 0.5, again.mask
    assert int(after.sum()) > 500
    # outlines: one pixel of difference in the size of a face that no rigid pose removes (foreshortening)
    assert float((before & after).sum() / (before | after).sum()) > 0.96
    both = inner(before) & inner(after)
    difference = (moved[:3].permute(1, 2, 0) - again.rgb.clamp(0, 1)).abs().mean(-1)
    # 8-bit JPEG-free colors, resampled; the stand-in's eyes and mouth have sharp edges
    assert float(difference[both].mean()) < 0.01


def test_a_truth_that_is_not_moved_does_not_fit(model, surface):
    moved, _ = moved_and_rendered(model, surface, shift=(25.0, -12.0))
    _, again = moved_and_rendered(model, surface)
    before, after = moved[3] > 0.5, again.mask
    assert float((before & after).sum() / (before | after).sum()) < 0.6
