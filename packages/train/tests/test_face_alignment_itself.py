"""The package face-alignment itself, with weights files of its own shape: random ones, for its own are not shipped.

What is tested is the way from a local file to points; where the points lie means nothing without trained weights.
"""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from morphable_train.preparation.landmarkers import LandmarkModelConfig, build_landmark_finder

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
SIDE = 256
ANCHOR_PX = 256
"""Side of the anchors of the detector's fifth map, of stride 64."""


@pytest.fixture(scope="module")
def package():
    return pytest.importorskip("face_alignment", reason="face-alignment is not installed", exc_type=ImportError)


@pytest.fixture
def files(package, tmp_path, monkeypatch):
    """Weights where face-alignment looks for them; a download is an error."""
    from face_alignment import api, utils
    from face_alignment.detection.sfd import sfd_detector
    from face_alignment.detection.sfd.net_s3fd import s3fd

    torch.manual_seed(0)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    name = api.models_urls["2DFAN-4"].rsplit("/", 1)[1]
    torch.save(api.FAN(4).state_dict(), folder / name)
    detector = s3fd()
    with torch.no_grad():  # no face anywhere but at the anchors of stride 64, moved nowhere
        for layer, module in detector.named_modules():
            if layer.endswith(("_mbox_conf", "_mbox_loc")):
                module.weight.zero_()
                module.bias.zero_()
            if layer.endswith("_mbox_conf"):
                here = layer.startswith("conv6_2")
                module.bias[0], module.bias[-1] = (-4.0, 4.0) if here else (4.0, -4.0)
    torch.save(detector.state_dict(), tmp_path / "s3fd.pth")

    def refuse(*_, **__):
        raise AssertionError("nothing may be downloaded")

    monkeypatch.setattr(utils, "download_url_to_file", refuse)
    monkeypatch.setattr(sfd_detector, "load_state_dict_from_url", refuse)
    return tmp_path


def test_points_come_from_local_files(files):
    config = LandmarkModelConfig(kind="face-alignment", device="cpu", detector=files / "s3fd.pth")
    finder = build_landmark_finder(config)
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    points = finder(pixels)
    assert points.ndim == 3
    assert points.shape[0] >= 1
    assert points.shape[1:] == (68, 2)
    assert np.isfinite(points).all()
    middle = points.reshape(-1, 2).mean(0)
    assert (np.abs(middle - SIDE / 2) < ANCHOR_PX).all()  # in the crop around an anchor, whatever the weights
    np.testing.assert_array_equal(points, finder(pixels))


def test_prepare_takes_them(files, tmp_path, capsys):
    """The command as a user gives it; random points may be refused, with a reason."""
    from morphable_train.cli import main

    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photos" / "a.png")
    argv = ["prepare", str(tmp_path / "photos"), "-o", str(tmp_path / "shards"), "--license", "own"]
    argv += ["--landmarks.kind", "face-alignment", "--landmarks.device", "cpu"]
    status = main([*argv, "--landmarks.detector", str(files / "s3fd.pth")])
    said = capsys.readouterr()
    if status == 1:  # every face was found, and refused for where its random points lie
        assert "must hold at least one usable face, got none" in said.err
    else:
        assert (status, json.loads(said.out)["records"]) == (0, 1), said.err
