"""What the face head learns from photographs, of which 68 points are known, and what cameras do to crops."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from stand_in import draw_truth, render_record
from tiny_recipes import SIZE, UNCHANGED

from morphable import read_weights
from morphable.landmarks import IBUG68_FLIP, OPPOSITE_POINTS
from morphable_detector_head import DetectorConfig, build_detector, save_detector
from morphable_detector_head.face_head.network import FaceHeadConfig
from morphable_detector_head.face_head.reading import FaceReading
from morphable_detector_head.layout import ParameterLayout
from morphable_train.cli import main
from morphable_train.configs.stages import RunConfig
from morphable_train.data.labels import weak_labels
from morphable_train.data.shards import DatasetInfo, ShardReader, ShardWriter, write_info
from morphable_train.face_head.config import CropChanges, EstimateErrors, FaceHeadLoss, FaceHeadTraining
from morphable_train.face_head.crops import PhotographCropMaker
from morphable_train.face_head.faces import PhotographedFaces
from morphable_train.face_head.objective import photograph_losses
from morphable_train.face_head.photography import photograph
from morphable_train.face_head.training import train_face_head

COUNT = 5


@pytest.fixture(scope="module")
def photographs(model, tmp_path_factory):
    """Pictures of the stand-in model with 68 points alone; the jaw of the first is static, of others on the outline."""
    folder = tmp_path_factory.mktemp("photographs") / "shards"
    with ShardWriter(folder) as writer:
        for face in range(COUNT):
            truth = draw_truth(model, 1, 50 + face, size_px=SIZE, face_px=(36, 44))
            record = render_record(model, truth, f"photo_{face}", size_px=SIZE)
            labels = weak_labels(record.labels.landmarks68_px, contour=face > 0)
            writer.write(replace(record, labels=labels, skin=None))
    write_info(folder, DatasetInfo(name="made photographs", license="research only", records=COUNT, faces=COUNT))
    return folder


@pytest.fixture(scope="module")
def data(photographs, model):
    return PhotographedFaces((photographs,), model)


@pytest.fixture
def crops(data, model, surface):
    return PhotographCropMaker(data, model, surface, EstimateErrors(), UNCHANGED)(torch.arange(COUNT), seed=0)


def test_known_points_lie_where_the_photograph_shows_them(crops, photographs):
    """A crop has at its known points the colors that the picture has at the points of its label."""
    pixels, known = crops
    reader = ShardReader(photographs)
    for face in range(COUNT):
        record = reader.read(face)
        points = torch.from_numpy(record.labels.landmarks68_px[0])
        expected = at(torch.tensor(record.image), points / (SIZE / 2) - 1)
        rows = list(range(17, 68))
        seen = at(pixels[face], known.points[face, :68] * 2)
        both = [seen[rows], seen[IBUG68_FLIP][rows]]  # half of the crops are mirrored
        assert min((one - expected[rows]).abs().mean() for one in both) < 0.03  # 0.022 measured, at edges


def at(picture, points):
    """Colors of a picture (rows, cols, 3) at points in [-1, 1]."""
    image = picture.permute(2, 0, 1)[None].float() / 255
    return torch.nn.functional.grid_sample(image, points[None, None].float(), align_corners=False)[0, :, 0].T


def test_the_jaw_counts_where_its_points_lie(crops):
    _, known = crops
    assert known.known[0].tolist() == [True] * 68 + [False] * 19  # static jaw, others; no outline, no irises
    assert known.known[1].tolist() == [False] * 17 + [True] * 68 + [False] * 2
    assert not known.points[~known.known].any()


def test_mirrored_crops_have_mirrored_points(data, model, surface):
    make = PhotographCropMaker(
        data, model, surface, EstimateErrors(shift=0.0, log_depth=0.0, angle_deg=0.0, gross_share=0.0), UNCHANGED
    )
    _, known = make(torch.zeros(24, dtype=torch.long), seed=0)
    first = known.points[0, :68]
    mirrored = first[IBUG68_FLIP] * torch.tensor([-1.0, 1.0])
    distance = torch.stack([(known.points[:, :68] - one).norm(dim=-1).mean(1) for one in (first, mirrored)])
    assert bool((distance.amin(0) < 0.01).all())  # the anchor lies near the middle of the face
    assert bool((distance.argmin(0) == 1).any())


def a_reading(known, model, **changes):
    """Known points, and any face in front of the crop's camera."""
    faces = model.sample(COUNT, torch.Generator().manual_seed(0))
    return FaceReading(
        **{
            "identity": faces.identity.float(),
            "expression": faces.expression.float(),
            "rotation_crop": torch.eye(3).repeat(COUNT, 1, 1),
            "shift": torch.zeros(COUNT, 2),
            "log_depth": torch.zeros(COUNT),
            "points": known.points,
            "rough_points": known.points,
            "log_std": torch.full(known.known.shape, -3.0),
            "face_logit": torch.full((COUNT,), 20.0),
        }
        | changes
    )


def test_unknown_points_do_not_count(crops, model, surface):
    _, known = crops
    reading = a_reading(known, model, rough_points=known.points + torch.tensor([0.03, 0.04]))
    loss = FaceHeadLoss(rough=10.0, opening=0.0)
    terms = photograph_losses(reading, known, surface, loss)
    assert float(terms["points"]) == 0
    assert float(terms["rough"]) == pytest.approx(0.5, rel=1e-4)
    assert float(terms["likelihood"]) == pytest.approx(-6 * loss.likelihood, rel=1e-5)
    elsewhere = replace(reading, points=torch.where(known.known[..., None], known.points, torch.tensor(7.0)))
    moved = photograph_losses(elsewhere, known, surface, loss)
    for name, value in terms.items():
        assert float(moved[name]) == float(value), name


def test_a_shut_mouth_that_is_read_as_open_counts(crops, surface, model):
    _, known = crops
    base = dict.fromkeys(("points", "rough", "surface", "likelihood", "face"), 0.0)
    points = known.points.clone()
    points[:, 65:68, 1] += 0.02
    reading = a_reading(known, model)
    right = photograph_losses(reading, known, surface, FaceHeadLoss(opening=1.0, **base))["opening"]
    wrong = photograph_losses(replace(reading, points=points), known, surface, FaceHeadLoss(opening=1.0, **base))
    lips = sum((a in (65, 66, 67)) != (b in (65, 66, 67)) for a, b in OPPOSITE_POINTS)
    # lines across the inner lips are off by 0.02; the mean of located points and mesh counts
    assert float(wrong["opening"] - right) == pytest.approx(0.02 * lips / len(OPPOSITE_POINTS) / 2, rel=1e-3)


def test_faces_with_unknown_points_are_left_out(model, tmp_path):
    with ShardWriter(tmp_path) as writer:
        truth = draw_truth(model, 1, 50, size_px=SIZE, face_px=(36, 44))
        record = render_record(model, truth, "photo", size_px=SIZE)
        valid = np.ones((1, 68), bool)
        valid[0, 3] = False
        writer.write(replace(record, labels=weak_labels(record.labels.landmarks68_px, valid=valid), skin=None))
    with pytest.raises(ValueError, match="single faces with all 68 points, got none"):
        PhotographedFaces((tmp_path,), model)


def test_photographs_are_trained_on_and_named_in_the_card(part_shards, photographs, model_file, model, tmp_path):
    config = FaceHeadTraining(
        head=FaceHeadConfig(width=8),
        data=(part_shards,),
        photographs=(photographs,),
        photographs_per_step=2,
        model=str(model_file),
        min_visible=0.0,
        run=RunConfig(batch_size=2, precision="32-true", log_every_steps=1, steps=2),
    )
    train_face_head(config, tmp_path / "run")
    header = (tmp_path / "run" / "losses.csv").read_text().splitlines()[0]
    assert "photograph_points" in header
    sizes = {"width": 8, "center_width": 8, "parameter_width": 8}
    detector = build_detector(DetectorConfig(**sizes, layout=ParameterLayout.of_model(model)))
    save_detector(detector, tmp_path / "plain.safetensors", model, name="plain", license="MIT", training_data="none")
    output = tmp_path / "both.safetensors"
    assert (
        main(["package", str(tmp_path / "run"), "-o", str(output), "--detector", str(tmp_path / "plain.safetensors")])
        == 0
    )
    info, _ = read_weights(output)
    assert "research only" in info.license
    assert "made photographs" in info.training_data
    assert "2 crops of synthetic people and 2 of photographs" in output.with_suffix(".md").read_text()


def test_each_change_of_the_pixels_is_seen_alone():
    crop = np.random.default_rng(0).integers(60, 180, (224, 224, 3), np.uint8)
    crop[:112] //= 2
    original = crop.copy()
    photograph(crop, UNCHANGED, np.random.default_rng(1))
    assert np.array_equal(crop, original)
    for name in ("tone", "light", "sharpness", "compressed"):
        changed = original.copy()
        photograph(changed, replace(UNCHANGED, **{name: 1.0}), np.random.default_rng(1))
        assert changed.std() > 0
        assert np.abs(changed.astype(int) - original).mean() > 1, name
    gamma = original.copy()
    photograph(gamma, replace(UNCHANGED, tone=1.0), np.random.default_rng(1))
    order = np.argsort(original.ravel(), kind="stable")
    assert bool((np.diff(gamma.ravel()[order].astype(int)) >= 0).all())  # a tone curve keeps the order of levels


def test_shares_are_shares():
    with pytest.raises(ValueError, match=r"changes.light must be in \[0, 1\], got 1.5"):
        CropChanges(light=1.5)
