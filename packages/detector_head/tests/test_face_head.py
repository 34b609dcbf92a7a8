import copy
import math

import pytest
import roma
import torch

from morphable import FaceParameters
from morphable_detector_head.face_head.crops import (
    ANCHOR_M,
    CROP_PX,
    CROP_SIDE_M,
    crop_frames,
    cut_crops,
    rotation_in_crop,
)
from morphable_detector_head.face_head.maps import mean_positions
from morphable_detector_head.face_head.network import (
    CROP_POINTS,
    EYE_POINTS,
    MOUTH_POINTS,
    NUM_POINTS,
    FaceHeadConfig,
    build_face_head,
)
from morphable_detector_head.face_head.reading import FaceReading, corrected

FOCAL = 1015.0


def some_faces(count: int = 5, seed: int = 0) -> FaceParameters:
    generator = torch.Generator().manual_seed(seed)
    turn = torch.randn(count, 3, generator=generator) * 0.5
    place = torch.randn(count, 3, generator=generator) * torch.tensor([0.2, 0.2, 0.0])
    return FaceParameters(
        identity=torch.zeros(count, 4),
        expression=torch.zeros(count, 3),
        albedo=torch.zeros(count, 2),
        rotation_head=roma.rotvec_to_rotmat(turn),
        translation_m=place + torch.tensor([0.0, 0.0, 1.5]),
        illumination=torch.zeros(count, 9, 3),
    )


def anchor_in_camera(faces: FaceParameters) -> torch.Tensor:
    axes = torch.tensor([1.0, -1.0, -1.0])
    return faces.rotation_head @ torch.tensor(ANCHOR_M) * axes + faces.translation_m


def test_crop_of_a_face_straight_ahead():
    # The anchor lies 25 mm before the origin and 10 mm below it: depth 1.025 - 0.025 = 1 m, 10.15 px down.
    faces = some_faces(1)
    faces = FaceParameters(
        **{**vars(faces), "rotation_head": torch.eye(3)[None], "translation_m": torch.tensor([[0, 0, 1.025]])}
    )
    frames = crop_frames(faces)
    torch.testing.assert_close(frames.center_px, torch.tensor([[0.0, 10.15]]))
    torch.testing.assert_close(frames.side_px, torch.tensor([CROP_SIDE_M * FOCAL]))
    torch.testing.assert_close(frames.right, torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(frames.down, torch.tensor([[0.0, 1.0]]))


def test_frames_turn_with_the_head():
    faces = some_faces()
    angle = 0.7
    # A turn of the picture by `angle` (from +x to +y) turns the head about the optical axis; in the head's axes the
    # sign of a rotation about z changes.
    cos, sin = math.cos(angle), math.sin(angle)
    in_camera = torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    turned = FaceParameters(
        **{
            **vars(faces),
            "rotation_head": flip @ in_camera @ flip @ faces.rotation_head,
            "translation_m": faces.translation_m @ in_camera.T,
        }
    )
    before, after = crop_frames(faces), crop_frames(turned)
    torch.testing.assert_close(after.center_px, before.center_px @ in_camera[:2, :2].T)
    torch.testing.assert_close(after.down, before.down @ in_camera[:2, :2].T)
    torch.testing.assert_close(
        rotation_in_crop(turned.rotation_head, after), rotation_in_crop(faces.rotation_head, before), atol=1e-5, rtol=0
    )


def test_points_go_to_the_crop_and_back():
    frames = crop_frames(some_faces())
    points = torch.randn(5, 7, 2, generator=torch.Generator().manual_seed(1)) * 100
    torch.testing.assert_close(frames.to_picture(frames.to_crop(points)), points, atol=1e-3, rtol=1e-5)


def test_reading_the_truth_corrects_a_wrong_estimate():
    truth, estimate = some_faces(seed=0), some_faces(seed=0)
    estimate = FaceParameters(
        **{
            **vars(estimate),
            "rotation_head": roma.rotvec_to_rotmat(torch.full((5, 3), 0.1)) @ truth.rotation_head,
            "translation_m": truth.translation_m * torch.tensor([1.02, 0.98, 1.05]),
        }
    )
    frames = crop_frames(estimate)
    anchor = anchor_in_camera(truth)
    reading = FaceReading(
        identity=torch.ones(5, 4),
        expression=torch.ones(5, 3),
        rotation_crop=rotation_in_crop(truth.rotation_head, frames),
        shift=frames.to_crop((anchor[:, :2] / anchor[:, 2:] * FOCAL)[:, None])[:, 0],
        log_depth=(anchor[:, 2] / frames.depth_m).log(),
        points=torch.zeros(5, NUM_POINTS, 2),
        rough_points=torch.zeros(5, NUM_POINTS, 2),
        log_std=torch.zeros(5, NUM_POINTS),
        face_logit=torch.zeros(5),
    )
    found = corrected(estimate, frames, reading)
    torch.testing.assert_close(found.rotation_head, truth.rotation_head, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.translation_m, truth.translation_m, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.identity, torch.ones(5, 4))
    torch.testing.assert_close(found.illumination, estimate.illumination)


def test_a_crop_shows_what_lies_there():
    # Red grows to the right and green downward by 1 / 1024 a pixel: each sample tells where it was taken.
    side = 512
    along = (torch.arange(side) + 0.5) / 1024
    image = torch.stack([along.expand(side, side), along[:, None].expand(side, side), torch.zeros(side, side)])[None]
    faces = some_faces(1)
    faces = FaceParameters(**{**vars(faces), "translation_m": torch.tensor([[0.02, -0.03, 1.2]])})
    frames = crop_frames(faces)
    crop = cut_crops(image, crop_frames(FaceParameters(**{k: v[None] for k, v in vars(faces).items()})))[0, 0]
    row, col = 150, 30
    at = (torch.tensor([col, row]) + 0.5) / CROP_PX - 0.5
    expected = (frames.to_picture(at[None, None])[0, 0] + side / 2) / 1024
    torch.testing.assert_close(crop[:2, row, col], expected, atol=1e-4, rtol=0)


def test_samples_beyond_the_picture_are_gray():
    faces = some_faces(1)
    faces = FaceParameters(
        **{k: v[None] for k, v in vars(faces).items()} | {"translation_m": torch.tensor([[[5.0, 0, 1.0]]])}
    )
    crop = cut_crops(torch.zeros(1, 3, 64, 64), crop_frames(faces))
    torch.testing.assert_close(crop, torch.full_like(crop, 0.5))


@pytest.fixture(scope="module")
def head():
    torch.manual_seed(0)
    return build_face_head(FaceHeadConfig(width=32), num_identity=4, num_expression=3).eval()


def test_batched_equals_single(head):
    crops = torch.rand(3, 3, CROP_PX, CROP_PX, generator=torch.Generator().manual_seed(2))
    together = head(crops)
    torch.testing.assert_close(together[1], head(crops[1:2])[0], atol=1e-5, rtol=1e-4)


def test_an_untrained_head_reads_a_mean_face_about_where_the_crop_is(head):
    reading = head.reading(head(torch.rand(2, 3, CROP_PX, CROP_PX)))
    torch.testing.assert_close(reading.rotation_crop, torch.eye(3).expand(2, 3, 3), atol=0.1, rtol=0)
    assert reading.shift.abs().max() < 0.1
    assert reading.identity.abs().max() < 0.1
    identity = reading.rotation_crop @ reading.rotation_crop.mT
    torch.testing.assert_close(identity, torch.eye(3).expand(2, 3, 3), atol=1e-5, rtol=0)


def test_gradients_reach_pixels_and_estimate(head):
    crops = torch.rand(1, 3, CROP_PX, CROP_PX, requires_grad=True)
    reading = head.reading(head(crops))
    (reading.points.sum() + reading.identity.sum()).backward()
    assert crops.grad is not None
    assert crops.grad.abs().sum() > 0


def test_corrected_has_the_right_gradient():
    estimate = some_faces(1).map(lambda value: value.double())
    frames = crop_frames(estimate)

    def place(shift: torch.Tensor, log_depth: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
        reading = FaceReading(
            identity=estimate.identity,
            expression=estimate.expression,
            rotation_crop=roma.rotvec_to_rotmat(turn),
            shift=shift,
            log_depth=log_depth,
            points=torch.zeros(1, NUM_POINTS, 2),
            rough_points=torch.zeros(1, NUM_POINTS, 2),
            log_std=torch.zeros(1, NUM_POINTS),
            face_logit=torch.zeros(1),
        )
        return corrected(estimate, frames, reading).translation_m

    start = (torch.tensor([[0.1, -0.2]]), torch.tensor([0.05]), torch.tensor([[0.1, 0.2, -0.1]]))
    assert torch.autograd.gradcheck(place, tuple(value.double().requires_grad_() for value in start))


def test_a_head_without_features_is_refused():
    with pytest.raises(ValueError, match="width must be positive, got 0"):
        FaceHeadConfig(width=0)


def test_mean_positions_by_hand():
    # Two cells with logits 0 and log 3, both as far from the rough place: weights 1/4 and 3/4.
    logits = torch.tensor([0.0, math.log(3.0)]).view(1, 1, 1, 2)
    where = torch.tensor([[-0.25, 0.1], [0.25, 0.1]])
    found = mean_positions(logits, where, torch.tensor([[[0.0, 0.1]]]))
    torch.testing.assert_close(found, torch.tensor([[[0.125, 0.1]]]))


def test_flat_maps_leave_the_rough_place(head):
    rough = torch.tensor([[[0.1, -0.2]]])
    found = mean_positions(torch.zeros(1, 1, 28, 28), head.crop_places, rough)
    torch.testing.assert_close(found, rough, atol=1e-3, rtol=0)


def test_maps_find_what_lies_in_a_cell(head):
    """A map that is sure of one cell puts its point into the middle of that cell, in the crop and in the bands."""

    def found(places: torch.Tensor, cells: tuple[int, int], row: int, col: int) -> torch.Tensor:
        logits = torch.full((1, 1, *cells), -1e4)
        logits[0, 0, row, col] = 0.0
        return mean_positions(logits, places, torch.zeros(1, 1, 2))

    expected = torch.tensor([[[20.5 / 28 - 0.5, 3.5 / 28 - 0.5]]]) * 1.1
    torch.testing.assert_close(found(head.crop_places, (28, 28), 3, 20), expected)
    expected = torch.tensor([[[(48 + 5.5 * 4) / 224 - 0.5, (32 + 2.5 * 4) / 224 - 0.5]]])
    torch.testing.assert_close(found(head.eye_places, (20, 32), 2, 5), expected)
    expected = torch.tensor([[[(40 + 5.5 * 4) / 224 - 0.5, (104 + 2.5 * 4) / 224 - 0.5]]])
    torch.testing.assert_close(found(head.mouth_places, (20, 36), 2, 5), expected)


@pytest.mark.parametrize(
    ("maps", "points"), [("crop_maps", CROP_POINTS), ("eye_maps", EYE_POINTS), ("mouth_maps", MOUTH_POINTS)]
)
def test_points_come_from_their_maps(head, maps, points):
    """More contrast in one kind of maps moves the points that are found in them, and no other point."""
    crops = torch.rand(1, 3, CROP_PX, CROP_PX, generator=torch.Generator().manual_seed(4))
    changed = copy.deepcopy(head)
    with torch.no_grad():
        getattr(changed, maps).maps.weight *= 1000
        moved = (changed.reading(changed(crops)).points - head.reading(head(crops)).points)[0].norm(dim=-1)
    others = [k for k in range(NUM_POINTS) if k not in points]
    assert moved[list(points)].min() > 1e-6
    assert moved[others].max() == 0
