"""What is measured on faces that are not trained on."""

import torch
from tiny_run import write_shards

from morphable import FaceParameters
from morphable_train.data.surface import SurfaceSample
from morphable_train.validation.faces import measure, open_exact_shards


def faces_of(folder, model):
    surface = SurfaceSample(model)
    data = open_exact_shards(folder, input_px=64, max_faces=8, model=model, surface=surface)
    truth = data.faces
    perfect = FaceParameters(
        identity=truth.identity,
        expression=truth.expression,
        albedo=torch.zeros(len(truth), 3),
        rotation_head=truth.rotation_head,
        translation_m=truth.translation_m,
        illumination=torch.zeros(len(truth), 9, 3),
    )
    return data, surface, perfect


def test_the_truth_has_no_error_and_every_opening(model, tmp_path):
    data, surface, perfect = faces_of(write_shards(tmp_path / "shards", 8), model)
    values = measure(perfect, data, surface)
    assert values["nme_box"] < 0.01  # foreshortening that no pose reproduces after the crop
    assert values["failures"] == 0
    assert values["shape_mm"] < 0.01
    assert values["mouth_opening_r"] > 0.99
    assert values["eye_opening_r"] > 0.99


def test_one_face_for_all_follows_no_opening(model, tmp_path):
    data, surface, perfect = faces_of(write_shards(tmp_path / "shards", 8), model)
    still = perfect.map(lambda tensor: tensor[:1].expand_as(tensor))
    values = measure(still, data, surface)
    assert abs(values["mouth_opening_r"]) < 0.9
    assert values["nme_box"] > 0.01
