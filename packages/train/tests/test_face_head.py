"""The face head's crops, their truth, its losses, its training and its weights file."""

import copy
import math
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
import torch
from tiny_recipes import SIZE, UNCHANGED

from morphable import read_weights
from morphable.geometry import rotation_from_vector
from morphable_detector_head import DetectorConfig, build_detector, load_detector, save_detector
from morphable_detector_head.face_head.network import NUM_POINTS, FaceHeadConfig
from morphable_detector_head.face_head.reading import FaceReading
from morphable_detector_head.layout import ParameterLayout
from morphable_train.cli import main
from morphable_train.configs.stages import RunConfig
from morphable_train.data.shards import ShardReader
from morphable_train.face_head.config import CropChanges, EstimateErrors, FaceHeadLoss, FaceHeadTraining
from morphable_train.face_head.crops import CropMaker
from morphable_train.face_head.faces import SyntheticFaces
from morphable_train.face_head.measures import after_similarity
from morphable_train.face_head.objective import channel_weights, face_head_losses
from morphable_train.face_head.training import train_face_head
from morphable_train.runs.checkpoint import latest_checkpoint, read_checkpoint

NO_ERRORS = EstimateErrors(shift=0.0, log_depth=0.0, angle_deg=0.0, gross_share=0.0)


@pytest.fixture(scope="module")
def data(part_shards):
    return SyntheticFaces((part_shards,), min_visible=0.0)


def perfect_reading(truth):
    return FaceReading(
        identity=truth.identity,
        expression=truth.expression,
        rotation_crop=truth.rotation_crop,
        shift=truth.shift,
        log_depth=truth.log_depth,
        points=truth.points,
        rough_points=truth.points,
        log_std=torch.full(truth.points.shape[:2], -3.0),
        face_logit=torch.full(truth.points.shape[:1], 20.0),
    )


def test_a_perfect_estimate_centers_the_anchor(data, model, surface):
    crops = CropMaker(data, model, surface, NO_ERRORS, None)(torch.arange(6), seed=0)
    torch.testing.assert_close(crops.truth.shift, torch.zeros(6, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(crops.truth.log_depth, torch.zeros(6), atol=1e-5, rtol=0)


def sampled(images, points):
    """Values of pictures at points in [-1, 1]."""
    return torch.nn.functional.grid_sample(images, points[:, :, None], align_corners=False)[..., 0]


def test_crops_show_the_face_where_the_truth_says(data, model, surface, part_shards):
    """A crop has at its true points the colors that the picture has at the landmarks of its label."""
    crops = CropMaker(data, model, surface, EstimateErrors(), None)(torch.arange(6), seed=0)
    reader = ShardReader(part_shards)
    pictures, landmarks = [], []
    for k in range(6):
        record = reader.read(k)
        pictures.append(torch.tensor(record.image).permute(2, 0, 1).float() / 255)
        landmarks.append(torch.from_numpy(record.labels.landmarks68_px[0]))
    seen = sampled(torch.stack(pictures), torch.stack(landmarks) / (SIZE / 2) - 1)
    torch.testing.assert_close(
        sampled(crops.images(), crops.truth.points[:, :68] * 2), seen, atol=0.05, rtol=0
    )  # the crop is bilinear in bytes: measured 0.037 at an outline


def test_an_estimate_that_errs_moves_the_crop_and_its_truth_together(data, model, surface):
    exact, erring = (
        CropMaker(data, model, surface, errors, None)(torch.arange(6), seed=0).truth
        for errors in (NO_ERRORS, EstimateErrors())
    )
    seen = [truth.frames.to_picture(truth.points) for truth in (exact, erring)]
    torch.testing.assert_close(seen[0], seen[1], atol=1e-5, rtol=0)
    assert (exact.points - erring.points).abs().max() > 0.01


def test_a_crop_depends_on_its_seed_alone(data, model, surface):
    make = CropMaker(data, model, surface, EstimateErrors(), CropChanges())
    first, again, other = (make(torch.arange(6), seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first.pixels, again.pixels)
    assert not torch.equal(first.pixels, other.pixels)


def test_mirrored_faces_have_mirrored_crops(data, model, surface, monkeypatch):
    make = CropMaker(data, model, surface, NO_ERRORS, CropChanges())
    make.changes = UNCHANGED
    monkeypatch.setattr("morphable_train.face_head.crops.random_colors", lambda rng, changes: (np.eye(3, 4), 0.0))
    index = torch.zeros(24, dtype=torch.long)  # one face, mirrored about half of the time
    crops = make(index, seed=0)
    plain, mirrored = crops.pixels[0].float(), None
    for row in range(1, 24):
        if (crops.truth.rotation_crop[row] - crops.truth.rotation_crop[0]).abs().max() > 1e-4:
            mirrored = crops.pixels[row].float()
    assert mirrored is not None
    torch.testing.assert_close(mirrored.flip(1), plain, atol=1.01, rtol=0)


def test_losses_of_a_perfect_reading_are_zero_but_for_the_likelihood(data, model, surface):
    truth = CropMaker(data, model, surface, EstimateErrors(), None)(torch.arange(6), seed=0).truth
    loss = FaceHeadLoss()
    weights = channel_weights(model.expression_names, loss)
    terms = face_head_losses(perfect_reading(truth), truth, surface, weights, loss)
    # Two coordinates with standard deviation exp(-3) and no error: 2 log std = -6, times the weight.
    assert float(terms.pop("likelihood")) == pytest.approx(-6 * loss.likelihood, abs=1e-6)
    for name, value in terms.items():
        assert float(value) == pytest.approx(0.0, abs=2e-3), name


def test_losses_have_hand_computed_values(data, model, surface):
    truth = CropMaker(data, model, surface, EstimateErrors(), None)(torch.arange(6), seed=0).truth
    loss = FaceHeadLoss(place=10.0, depth=3.0, points=10.0, rough=10.0, rotation=4.0, identity=0.1)
    turn = rotation_from_vector(torch.tensor([0.0, 0.0, 0.2]))
    reading = perfect_reading(truth)
    reading = replace(
        reading,
        shift=truth.shift + torch.tensor([0.03, 0.04]),  # 0.05 of the side, times 10
        log_depth=truth.log_depth - 0.1,  # 0.1 times 3
        points=truth.points + torch.tensor([0.0, 0.02]),  # 0.02 times 10, and times 20 for the irises
        rough_points=truth.points + torch.tensor([0.03, 0.0]),  # 0.03 times 10
        rotation_crop=turn @ truth.rotation_crop,  # 2 sqrt(2) sin(angle / 2) times 4
        identity=truth.identity + 2.0,  # 4 times 0.1
    )
    terms = face_head_losses(reading, truth, surface, channel_weights(model.expression_names, loss), loss)
    expected = {"place": 0.5, "depth": 0.3, "points": 0.2, "rough": 0.3, "irises": 0.4, "identity": 0.4}
    expected["rotation"] = 4 * 2 * math.sqrt(2) * math.sin(0.1)
    for name, value in expected.items():
        assert float(terms[name]) == pytest.approx(value, rel=1e-4), name


def doubled(record):
    """A dataclass with its tensors, and those of its dataclasses, in float64."""
    changed = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, torch.Tensor):
            changed[field.name] = value.double()
        elif is_dataclass(value):
            changed[field.name] = doubled(value)
    return replace(record, **changed)


def test_losses_have_the_right_gradient(data, model, surface):
    truth = doubled(CropMaker(data, model, surface, EstimateErrors(), None)(torch.arange(2), seed=0).truth)
    double = copy.deepcopy(surface).double()
    generator = torch.Generator().manual_seed(0)
    wrong = {
        name: getattr(perfect_reading(truth), name)
        + 0.1 * torch.randn(getattr(truth, name).shape, generator=generator, dtype=torch.float64)
        for name in ("identity", "expression", "shift", "log_depth", "points")
    }
    loss = FaceHeadLoss()
    weights = channel_weights(model.expression_names, loss).double()

    def total(*values):
        reading = replace(perfect_reading(truth), **dict(zip(wrong, values, strict=True)))
        return sum(face_head_losses(reading, truth, double, weights, loss).values())

    assert torch.autograd.gradcheck(total, tuple(v.requires_grad_() for v in wrong.values()), atol=1e-4)


def test_gaze_and_lids_count_more():
    loss = FaceHeadLoss(gaze=7.0, lids=5.0)
    weights = channel_weights(("jawOpen", "eyeLookInLeft", "eyeBlinkRight", "browInnerUp"), loss)
    assert weights.tolist() == [1.0, 7.0, 5.0, 1.0]


def test_a_similarity_does_not_count():
    truth = torch.randn(3, 20, 3, generator=torch.Generator().manual_seed(0))
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))[0]
    turn = turn * torch.linalg.det(turn)
    torch.testing.assert_close(after_similarity(truth, 2 * truth @ turn.T + 1), torch.zeros(3), atol=1e-5, rtol=0)


def tiny(part_shards, model_file, **run):
    return FaceHeadTraining(
        head=FaceHeadConfig(width=8),
        data=(part_shards,),
        held_out=(part_shards,),
        model=str(model_file),
        min_visible=0.0,
        run=RunConfig(batch_size=3, precision="32-true", log_every_steps=1, **run),
    )


def test_a_resumed_run_ends_like_one_that_was_not_stopped(part_shards, model_file, tmp_path):
    train_face_head(tiny(part_shards, model_file, steps=2), tmp_path / "whole")
    train_face_head(tiny(part_shards, model_file, steps=2, checkpoint_every_steps=1), tmp_path / "parts")
    (tmp_path / "parts" / "checkpoints" / "step_00000002.safetensors").unlink()
    values = train_face_head(tiny(part_shards, model_file, steps=2), tmp_path / "parts", resume=True)
    whole, parts = (read_checkpoint(latest_checkpoint(tmp_path / name), None)[0] for name in ("whole", "parts"))
    for name, value in whole["average"].items():
        assert torch.equal(value, parts["average"][name]), name
    assert values["shape_ratio"] > 0


def test_a_packaged_face_head_is_read_with_its_detector(part_shards, model_file, model, tmp_path):
    train_face_head(tiny(part_shards, model_file, steps=1), tmp_path / "run")
    torch.manual_seed(0)
    layout = ParameterLayout.of_model(model)
    sizes = {"width": 8, "center_width": 8, "parameter_width": 8, "refinement_width": 8, "fine_refinement_width": 8}
    detector = build_detector(DetectorConfig(**sizes, layout=layout))
    save_detector(detector, tmp_path / "plain.safetensors", model, name="plain", license="MIT", training_data="none")
    both_files = ["-o", str(tmp_path / "both.safetensors"), "--detector", str(tmp_path / "plain.safetensors")]
    assert main(["package", str(tmp_path / "run"), *both_files, "--name", "both"]) == 0
    card = tmp_path / "both.md"
    info, _ = read_weights(tmp_path / "both.safetensors")
    assert info.name == "both"
    assert info.license == "MIT; CC0-1.0"
    assert "stand-in" in info.training_data
    assert "shape_ratio" in card.read_text()
    both = load_detector(tmp_path / "both.safetensors", model)
    assert both.config.face_head == FaceHeadConfig(width=8)
    assert both.refinement is None
    assert both.fine_refinement is None
    with torch.no_grad():
        found = both.detect(torch.rand(1, 3, 64, 96), top_k=4, min_score=0.0)
    assert found.points_px.shape == (1, found.score.shape[1], NUM_POINTS, 2)
    assert found.point_std_px.shape == (1, found.score.shape[1], NUM_POINTS)
    assert bool((found.parameters.expression >= 0).all())
    assert NUM_POINTS == 87


def test_the_command_trains(part_shards, model_file, tmp_path, capsys):
    options = ["--data", str(part_shards), "--model", str(model_file), "--min-visible", "0", "--head.width", "8"]
    length = ["--steps", "1", "--run.batch-size", "2", "--run.precision", "32-true", "--out", str(tmp_path / "run")]
    assert main(["face-head", *options, *length]) == 0
    assert (tmp_path / "run" / "run.json").is_file()
    assert main(["face-head", "--out", str(tmp_path / "other")]) == 1
    assert "data must name folders of shards" in capsys.readouterr().err


def test_shards_without_single_faces_are_refused(part_shards):
    with pytest.raises(ValueError, match="single faces"):
        SyntheticFaces((part_shards,), min_visible=0.0, most=0)
