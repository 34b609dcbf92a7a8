"""The adapter of face-alignment, with a small stand-in for its networks."""

import sys
import types

import numpy as np
import pytest

from morphable_train.preparation.alignment import FaceAlignmentFinder, build_face_alignment
from morphable_train.preparation.landmarkers import LandmarkModelConfig, build_landmark_finder

POINTS = np.random.default_rng(0).uniform(0, 50, (68, 2)).astype(np.float32)


class Network:
    """Two faces in bright pictures, none in dark ones; the constructor of face-alignment 1.5.0."""

    def __init__(
        self,
        landmarks_type=None,
        network_size=4,
        device="cuda",
        dtype=None,
        flip_input=True,
        face_detector="sfd",
        face_detector_kwargs=None,
        verbose=False,
        compile=True,  # noqa: A002  (the name in face-alignment's own signature)
        max_batch_size=1,
    ):
        self.kind = landmarks_type
        self.options = {
            "device": device,
            "flip_input": flip_input,
            "compile": compile,
            "face_detector_kwargs": face_detector_kwargs,
        }

    def get_landmarks_from_image(self, image):
        return [POINTS, POINTS + 60] if image.mean() > 10 else None


@pytest.fixture
def package(monkeypatch):
    module = types.ModuleType("face_alignment")
    module.FaceAlignment, module.LandmarksType = Network, types.SimpleNamespace(TWO_D="2d")
    monkeypatch.setitem(sys.modules, "face_alignment", module)
    return module


def test_faces_of_a_picture(package):
    finder = build_landmark_finder(LandmarkModelConfig(kind="face-alignment", device="cpu"))
    np.testing.assert_array_equal(finder(np.full((9, 9, 3), 200, np.uint8)), np.stack([POINTS, POINTS + 60]))
    assert finder(np.zeros((9, 9, 3), np.uint8)).shape == (0, 68, 2)


def test_its_defaults_are_not_ours(package, tmp_path):
    (tmp_path / "s3fd.pth").touch()
    network = build_face_alignment("cpu", tmp_path / "s3fd.pth")._network
    assert network.kind == "2d"  # the visible outline: our contour labels
    assert network.options == {
        "device": "cpu",
        "flip_input": False,
        "compile": False,
        "face_detector_kwargs": {"path_to_detector": str(tmp_path / "s3fd.pth")},
    }


class OlderNetwork(Network):
    """The constructor of face-alignment 1.4.1, which the extra allows too."""

    def __init__(
        self,
        landmarks_type,
        network_size=4,
        device="cuda",
        dtype=None,
        flip_input=False,
        face_detector="sfd",
        face_detector_kwargs=None,
        verbose=False,
    ):
        super().__init__(landmarks_type, device=device, flip_input=flip_input, compile=None)


def test_both_versions_of_the_constructor_are_called_with_what_they_take(package, monkeypatch):
    monkeypatch.setattr(package, "FaceAlignment", OlderNetwork)
    network = build_face_alignment("cpu", None)._network
    assert (network.kind, network.options["device"], network.options["flip_input"]) == ("2d", "cpu", False)


def test_refusals(package, monkeypatch, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"landmarks\.detector must be an existing file"):
        build_face_alignment("cpu", tmp_path / "none.pth")

    def offline(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(package, "FaceAlignment", offline)
    with pytest.raises(OSError, match=r"could not be fetched \(no route\); put 2DFAN4"):
        build_face_alignment("cpu", None)
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"pip install 'face-alignment.*\(extra 'morphable-train\[face-alignment\]'\)"
    ):
        build_face_alignment("cpu", None)
    network = Network()
    network.get_landmarks_from_image = lambda _: [POINTS[:5]]
    with pytest.raises(ValueError, match="68 points of two coordinates"):
        FaceAlignmentFinder(network)(np.zeros((9, 9, 3), np.uint8))
