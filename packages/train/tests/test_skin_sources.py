"""Skin masks from a parsing network and from given files."""

import numpy as np
import pytest
import torch
from PIL import Image
from stand_in import stand_in_model
from test_preparation import photographs

from morphable import WeightsInfo, reference_to, write_weights
from morphable_regressors import CropRule, FaceParser, SystemSpec
from morphable_regressors.systems import ParserConfig
from morphable_train.data.shards import ShardReader
from morphable_train.preparation.photographs import prepare
from morphable_train.preparation.records import PrepareConfig
from morphable_train.preparation.skin_sources import SkinParser


class Halves(torch.nn.Module):
    """A parsing network that calls the left half of every crop skin and the right half background."""

    def forward(self, crop):
        logits = torch.zeros(len(crop), 10, *crop.shape[2:])
        logits[:, 1, :, : crop.shape[3] // 2] = 1.0
        return logits


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    spec = SystemSpec(crop=CropRule(side_px=64, face_share=0.5), config=ParserConfig())
    info = WeightsInfo(
        name="parser",
        architecture=spec.to_json(),
        model=reference_to(stand_in_model()),
        license="CC0-1.0",
        training_data="none",
    )
    write_weights(tmp_path / "parser.safetensors", info, FaceParser().state_dict())
    return tmp_path / "parser.safetensors"


def test_classes_become_a_mask_in_the_photograph(weights):
    parser = SkinParser(weights)
    parser._network = Halves()
    # a box of 40 px around (60, 50), half the crop: the crop spans 20..100 and 10..90, its left half is skin
    boxes = np.array([[40.0, 30.0, 80.0, 70.0]], np.float32)
    mask = parser(np.zeros((120, 140, 3), np.uint8), boxes)
    expected = np.zeros((120, 140), np.uint8)
    expected[10:90, 20:60] = 255
    assert float((mask != expected).mean()) < 0.01  # the edge lies between two pixels of the crop
    assert parser(np.zeros((20, 20, 3), np.uint8), boxes).shape == (20, 20)


def test_prepare_takes_the_networks_mask(model, weights, tmp_path):
    source = photographs(model, tmp_path / "photos", 1)
    config = PrepareConfig(min_face_px=20.0, skin="parsing", skin_weights=weights)
    prepare(source, tmp_path / "out", config)
    assert ShardReader(tmp_path / "out").read(0).skin is not None


def test_prepare_takes_given_masks(model, tmp_path):
    source = photographs(model, tmp_path / "photos", 2)
    masks = tmp_path / "masks"
    masks.mkdir()
    Image.new("L", (16, 16), 255).save(masks / "p0.png")
    prepare(source, tmp_path / "out", PrepareConfig(min_face_px=20.0, skin="folder", skin_folder=masks))
    reader = ShardReader(tmp_path / "out")
    with_mask, without = (reader.read(reader.keys().index(f"p{index}__0")) for index in (0, 1))
    assert int(with_mask.skin.max()) == 255
    assert without.skin is None
    (masks / "p1.png").write_bytes(b"no picture")
    result = prepare(source, tmp_path / "again", PrepareConfig(min_face_px=20.0, skin="folder", skin_folder=masks))
    assert result.rejected == {"skin mask is damaged or of an unknown kind": 1}


def test_refusals(weights, model, tmp_path):
    source = photographs(model, tmp_path / "photos", 1)
    with pytest.raises(ValueError, match="skin_weights must be given"):
        prepare(source, tmp_path / "out", PrepareConfig(skin="parsing"))
    with pytest.raises(FileNotFoundError, match="skin_folder must be an existing folder"):
        prepare(source, tmp_path / "out", PrepareConfig(skin="folder"))
    with pytest.raises(FileNotFoundError, match="weights must be an existing file"):
        SkinParser(tmp_path / "none.safetensors")
