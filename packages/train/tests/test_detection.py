"""Recall and precision on whole pictures, by hand and through a detector that knows the answer."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from stand_in import draw_truth
from tiny_run import SIZE, tiny_config, write_shards

from morphable import FaceParameters
from morphable.geometry import box_iou
from morphable_train.cli import main
from morphable_train.configs.stages import LossConfig, ValidationConfig
from morphable_train.stages.training import train
from morphable_train.validation.detection import (
    PictureSet,
    detection_sheet,
    match,
    measure_detection,
    open_pictures,
)


def test_overlap_by_hand():
    # 10 x 10 boxes shifted by 5: shared 50, union 150
    a, b = torch.tensor([[0.0, 0.0, 10.0, 10.0]]), torch.tensor([[5.0, 0.0, 15.0, 10.0], [20.0, 20.0, 30.0, 30.0]])
    torch.testing.assert_close(box_iou(a, b), torch.tensor([[1 / 3, 0.0]]))


def test_a_face_is_found_once():
    truth = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    found = torch.tensor([[0.0, 1.0, 10.0, 11.0], [0.0, 0.0, 10.0, 10.0], [40.0, 40.0, 50.0, 50.0]])
    assert match(found, truth).tolist() == [True, False, False]
    assert match(found, truth[:0]).tolist() == [False, False, False]
    assert match(found[:0], truth).tolist() == []


def knowing(model, count):
    """The true parameters of the pictures that `write_shards` makes."""
    truths = [draw_truth(model, 2, index, size_px=SIZE, face_px=(40, 60)) for index in range(count)]
    return [FaceParameters(**truth) for truth in truths]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = write_shards(tmp_path_factory.mktemp("data") / "groups", 3, faces=2)
    return open_pictures(folder, input_px=SIZE, max_pictures=3)


def test_a_detector_that_knows_the_answer_finds_everything(model, surface, scenes):
    found = knowing(model, 3)
    values = measure_detection(found, scenes, surface)
    counted = {"faces": 6.0, "pictures": 3.0, "skipped": 0.0}
    assert values == {"recall": 1.0, "precision": 1.0, "false_per_picture": 0.0} | counted
    sheet = detection_sheet(found, scenes, model)
    assert sheet.shape == (SIZE, 3 * SIZE, 3)


def test_a_missed_face_and_a_false_one(model, surface, scenes):
    found = knowing(model, 3)
    found[0] = found[0][torch.tensor([0])]
    away = found[1][torch.tensor([0])]
    away = FaceParameters(**{**vars(away), "translation_m": away.translation_m + torch.tensor([5.0, 0.0, 0.0])})
    found[1] = FaceParameters(
        **{name: torch.cat([value, getattr(away, name)]) for name, value in vars(found[1]).items()}
    )
    values = measure_detection(found, scenes, surface)
    assert values["recall"] == pytest.approx(5 / 6)
    assert values["precision"] == pytest.approx(5 / 6)
    assert values["false_per_picture"] == pytest.approx(1 / 3)


def test_photographs_tell_recall_alone(model, surface, tmp_path):
    Image.new("RGB", (200, 100)).save(tmp_path / "a.png")
    points = np.random.default_rng(0).uniform(40, 80, (2, 68, 2))
    (tmp_path / "b.png").write_bytes(b"no picture")
    labelled = {"landmarks68_px": points.tolist()}
    (tmp_path / "landmarks68.json").write_text(json.dumps({"a.png": labelled, "b.png": labelled, "c.png": labelled}))
    data = open_pictures(tmp_path, input_px=64, max_pictures=5)
    assert isinstance(data, PictureSet)
    assert not data.complete
    # 200 x 100 into 64 x 64: scale 0.32, 16 rows of padding above
    expected = torch.from_numpy(points).float() * 0.32 + torch.tensor([0.0, 16.0])
    torch.testing.assert_close(data.landmarks68_px[0], expected, atol=1e-4, rtol=0)
    nothing = [knowing(model, 1)[0][torch.zeros(0, dtype=torch.long)]]
    assert measure_detection(nothing, data, surface) == {"recall": 0.0, "faces": 2.0, "pictures": 1.0, "skipped": 2.0}


def test_a_folder_without_labels_is_refused(tmp_path):
    (tmp_path / "landmarks68.json").write_text("{}")
    with pytest.raises(ValueError, match="at least one labeled picture"):
        open_pictures(tmp_path, input_px=64, max_pictures=5)


def test_a_run_of_stage_two_is_measured_on_whole_pictures(model_file, tmp_path, capsys):
    """From training to the command: numbers in the run's results, and again by `evaluate`."""
    folder = write_shards(tmp_path / "groups", 3, faces=2)
    config = tiny_config(model_file, (folder,), stage=2, steps=1)
    config = replace(config, validation=ValidationConfig(pictures=(folder,), min_score=0.0, max_pictures=2))
    results = train(config, tmp_path / "run").after["detection_groups"]
    assert results["faces"] == 4.0
    assert 0.0 <= results["precision"] <= 1.0
    assert (tmp_path / "run" / "pictures").is_dir()
    assert main(["evaluate", str(tmp_path / "run"), "--pictures", str(folder)]) == 0
    assert json.loads(capsys.readouterr().out)["detection_groups"]["faces"] == 6.0
    train(replace(config, run=replace(config.run, stage=1), loss=LossConfig(center=0.0)), tmp_path / "one")
    assert main(["evaluate", str(tmp_path / "one"), "--pictures", str(folder)]) == 1
    assert "pictures must be measured on a run of stage 2" in capsys.readouterr().err
