"""Landmark networks from files: what they take, what they give, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from morphable_train.preparation.landmarkers import LandmarkModelConfig, ModelLandmarks, Network, build_landmark_finder
from morphable_train.preparation.photographs import prepare
from morphable_train.preparation.records import PrepareConfig

SIDE_PX = 32
BOX = np.array([74.0, 74.0, 122.0, 122.0], np.float32)
CROP_PX = 57.6  # 1.2 times the box
SPAN = 1 / 1.1  # of the crop: the next crop is 1.1 times the points, so it is the same one


def shares(span=SPAN):
    """Points in the middle of the crop that span a part of it in both directions."""
    drawn = np.random.default_rng(0).uniform(-0.5, 0.5, (68, 2))
    drawn[0], drawn[1] = -0.5, 0.5
    return (0.5 + span * drawn).astype(np.float32)


def expected(shift_px=0.0):
    return shares() * CROP_PX + 98 - CROP_PX / 2 + np.array([shift_px, 0.0])


def save_onnx(path, nodes, constants, shape, outputs):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra landmarks)")
    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(*node) for node in nodes],
        "tiny",
        [helper.make_tensor_value_info("picture", number, shape)],
        [helper.make_tensor_value_info(name, number, None) for name in outputs],
        [onnx.numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def landmark_network(folder, points, *, slope=0.0, shape=(1, 3, SIDE_PX, SIDE_PX)):
    """The same points for every picture, moved to the right by the mean of the first channel times the slope."""
    weight = np.zeros((136, 3, 1, 1))
    weight[0::2, 0] = slope
    nodes = [
        ("GlobalAveragePool", ["picture"], ["mean"]),
        ("Conv", ["mean", "weight", "bias"], ["points"]),
    ]
    constants = {"weight": weight, "bias": points.reshape(-1)}
    return save_onnx(folder / "landmarks.onnx", nodes, constants, shape, ["points"])


def face_network(folder):
    """One face in the box, of every picture: cell (24, 24) of 48, whose middle is 98 px of 192."""
    values, logits = np.zeros((1, 2304, 16)), np.full((1, 2304, 1), -10.0)
    values[0, 24 * 48 + 24, 2:4], logits[0, 24 * 48 + 24] = 48, 10
    nodes = [
        ("ReduceMean", ["picture"], ["mean"]),
        ("Mul", ["mean", "zero"], ["nothing"]),
        ("Squeeze", ["nothing"], ["scalar"]),
        ("Add", ["scalar", "boxes"], ["first"]),
        ("Add", ["scalar", "scores"], ["second"]),
    ]
    constants = {"zero": 0.0, "boxes": values, "scores": logits}
    return save_onnx(folder / "faces.onnx", nodes, constants, (1, 192, 192, 3), ["first", "second"])


def red(side_px=192):
    return np.full((side_px, side_px, 3), (255, 0, 0), np.uint8)


@pytest.mark.parametrize(("colors", "shift_px"), [("bgr", 0.0), ("rgb", 3 * 0.05 * CROP_PX)])
def test_onnx_networks_find_the_points_of_a_face(tmp_path, colors, shift_px):
    """Red is the first channel as RGB alone: each of three passes moves the points by 0.05 of the crop."""
    path = landmark_network(tmp_path, shares(), slope=0.05)
    finder = build_landmark_finder(LandmarkModelConfig(path=path, detector=face_network(tmp_path), colors=colors))
    np.testing.assert_allclose(finder(red()), expected(shift_px)[None], atol=1e-3)


def test_a_free_batch_axis_is_one_picture(tmp_path):
    path = landmark_network(tmp_path, shares(), shape=("batch", 3, SIDE_PX, SIDE_PX))
    finder = build_landmark_finder(LandmarkModelConfig(path=path, detector=face_network(tmp_path)))
    np.testing.assert_allclose(finder(red()), expected()[None], atol=1e-3)


def test_an_onnx_network_of_a_free_size_is_refused(tmp_path):
    path = landmark_network(tmp_path, shares(), shape=(1, 3, "height", "width"))
    config = LandmarkModelConfig(path=path, detector=face_network(tmp_path))
    with pytest.raises(ValueError, match=r"fixed size, got input \[1, 3, 'height', 'width'\] in .*landmarks.onnx"):
        build_landmark_finder(config)


@pytest.mark.parametrize("shape", [(1, -1, -1, 3), (8, 3, 64, 64), (1, 3, 64, 32), (1, 1, 64, 64), (1, 64)])
def test_other_inputs_are_refused(shape):
    with pytest.raises(ValueError, match="one square RGB picture of a fixed size"):
        Network(lambda batch: [batch], shape, Path("net.tflite"))


def network_of(points):
    return Network(lambda batch: [points], (1, 3, SIDE_PX, SIDE_PX), Path("net.onnx"))


@pytest.mark.parametrize("points", [shares() * 112, shares() * 2 - 2, np.full((68, 2), np.nan)])
def test_outputs_that_are_no_shares_of_the_crop_are_refused(points):
    with pytest.raises(ValueError, match="shares of its crop, 0 to 1, got"):
        ModelLandmarks(LandmarkModelConfig(), network_of(points), lambda image: BOX[None])


def test_another_detector_is_refused(tmp_path):
    path = landmark_network(tmp_path, shares())
    with pytest.raises(ValueError, match=r"landmarks\.detector must take 192 px with the channels last, got 32 px"):
        build_landmark_finder(LandmarkModelConfig(path=path, detector=path))


def test_unsettled_faces_are_in_the_report(tmp_path):
    """Points in a third of the crop: each crop is a third of the one before."""
    finder = ModelLandmarks(LandmarkModelConfig(), network_of(shares(0.3)), lambda image: BOX[None])
    assert np.isnan(finder(red())).all()
    (tmp_path / "photos").mkdir()
    Image.fromarray(red()).save(tmp_path / "photos" / "a.png")
    with pytest.raises(ValueError, match="did not settle"):
        prepare(tmp_path / "photos", tmp_path / "out", PrepareConfig(), finder=finder)
    Image.fromarray(red()).save(tmp_path / "photos" / "b.png")
    settled = ModelLandmarks(LandmarkModelConfig(), network_of(shares()), lambda image: BOX[None])
    config = PrepareConfig(min_face_px=20.0)
    both = iter([finder, settled])
    result = prepare(tmp_path / "photos", tmp_path / "both", config, finder=lambda image: next(both)(image))
    assert result.faces == 1
    assert "`a`: landmarks are not finite, or did not settle" in (tmp_path / "both" / "rejects.md").read_text()
