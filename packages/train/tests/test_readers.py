"""Readers of data sets: layouts, points, frames."""

import json

import numpy as np
import pytest
from PIL import Image
from test_preparation import blank, pts_text

from morphable_train.readers import open_source
from morphable_train.readers.item import known_points
from morphable_train.readers.points import parse_pts
from morphable_train.readers.video import read_frame
from morphable_train.readers.w300lp import read_basel_fit


def test_pts_points_move_to_the_pixel_corner():
    # MATLAB's (1, 1) is the center of the first pixel: (0.5, 0.5) for us
    assert parse_pts(pts_text([(1, 1)] * 68))[0][0].tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="68 points, got 2"):
        parse_pts(pts_text([(1, 1)] * 2))


@pytest.mark.parametrize("kind", ["celeba", "300w_lp", "aflw2000", "300vw", "pts", "json", "folder"])
def test_a_wrong_layout_is_one_clear_error(tmp_path, kind):
    with pytest.raises(FileNotFoundError, match=r"source must be .* with .*; check the path"):
        list(open_source(tmp_path, kind))


def write_300w_lp(folder, name, *, static, original=5.0, **parameters):
    """One picture of 300W-LP in the layout it is downloaded in: `pt2d` is of the photograph before it was turned."""
    from scipy.io import savemat

    blank(folder / "AFW" / f"{name}.jpg")
    fit = {
        "pt2d": np.full((2, 68), original),
        "Shape_Para": np.zeros((199, 1)),
        "Exp_Para": np.zeros((29, 1)),
        "Tex_Para": np.zeros((199, 1)),
        "Pose_Para": np.array([[0.1, 0.2, 0.3, 40.0, 50.0, 0.0, 1e-3]]),
        "Illum_Para": np.zeros((1, 10)),
        "Color_Para": np.zeros((1, 7)),
        "roi": np.zeros((1, 4)),
    }
    savemat(folder / "AFW" / f"{name}.mat", fit | parameters)
    (folder / "landmarks" / "AFW").mkdir(parents=True, exist_ok=True)
    points = {"pts_2d": np.full((68, 2), static + 1), "pts_3d": np.full((68, 2), static)}
    savemat(folder / "landmarks" / "AFW" / f"{name}_pts.mat", points)


def test_300w_lp_gives_the_static_points_of_the_turned_picture(tmp_path):
    write_300w_lp(tmp_path, "AFW_1_1_0", static=10.0)
    write_300w_lp(tmp_path, "AFW_1_1_10", static=20.0)
    blank(tmp_path / "AFW" / "AFW_1_1_2.jpg", tmp_path / "AFW_Flip" / "AFW_1_1_0.jpg")
    for source, prefix in ((tmp_path, "AFW__"), (tmp_path / "AFW", "")):
        items = {item.name: item for item in open_source(source)}
        assert set(items) == {f"{prefix}AFW_1_1_0", f"{prefix}AFW_1_1_10", f"{prefix}AFW_1_1_2"}
        straight, turned = items[f"{prefix}AFW_1_1_0"], items[f"{prefix}AFW_1_1_10"]
        assert straight.landmarks68_px[0, 0].tolist() == [9.5, 9.5]
        assert turned.landmarks68_px[0, 0].tolist() == [19.5, 19.5]  # pt2d is the same for both
        assert not turned.contour
        assert "missing landmark file: no AFW_1_1_2_pts.mat" in items[f"{prefix}AFW_1_1_2"].problem


def test_the_parameters_of_300w_lp_are_read_by_name(tmp_path):
    shape = np.arange(199.0)[:, None]
    write_300w_lp(tmp_path, "AFW_1_1_0", static=10.0, Shape_Para=shape)
    fit = read_basel_fit(tmp_path / "AFW" / "AFW_1_1_0.mat")
    assert (fit.shape[7], len(fit.expression), fit.pixels_per_unit) == (7.0, 29, 1e-3)
    assert fit.angles_rad.tolist() == [0.1, 0.2, 0.3]
    assert fit.translation_px.tolist() == [40.0, 50.0]
    write_300w_lp(tmp_path, "AFW_1_1_1", static=10.0, Pose_Para=np.zeros((1, 7)))
    with pytest.raises(ValueError, match="Pose_Para must be 7 numbers with a positive scale"):
        read_basel_fit(tmp_path / "AFW" / "AFW_1_1_1.mat")
    (tmp_path / "AFW" / "AFW_1_1_1.mat").write_bytes(b"cut")
    with pytest.raises(ValueError, match="landmark file is damaged"):
        read_basel_fit(tmp_path / "AFW" / "AFW_1_1_1.mat")


def test_aflw2000_gives_static_points(tmp_path):
    from scipy.io import savemat

    Image.new("RGB", (100, 100)).save(tmp_path / "a.jpg")
    savemat(tmp_path / "a.mat", {"pt3d_68": np.full((3, 68), 10.0), "pt2d": np.full((2, 21), 3.0)})
    Image.new("RGB", (100, 100)).save(tmp_path / "b.jpg")
    savemat(tmp_path / "c.mat", {"pt2d": np.full((2, 68), 10.0)})
    Image.new("RGB", (100, 100)).save(tmp_path / "c.jpg")
    good, *bad = list(open_source(tmp_path))
    assert good.landmarks68_px[0, 0].tolist() == [9.5, 9.5]
    assert not good.contour
    problems = {item.name: item.problem for item in bad}
    assert problems["b"] == "missing landmark file: no b.mat for it"
    assert problems["c"].startswith("landmark file is damaged: ")
    assert problems["c"].endswith("c.mat must hold a numeric array pt3d_68")


def hidden_face():
    """68 points of a face of which eight are hidden."""
    points = np.random.default_rng(0).uniform(20, 80, (68, 2)).round(2)
    hidden = np.zeros(68, bool)
    hidden[9:17] = True
    return points, hidden


@pytest.mark.parametrize("mark", [(-1.0, -1.0), (0.0, 0.0), (9999.0, 9999.0), None])
def test_hidden_points_are_masked_not_learnt(tmp_path, mark):
    points, hidden = hidden_face()
    blank(tmp_path / "a.png")
    listed = [mark if h else p.tolist() for p, h in zip(points, hidden, strict=True)]
    (tmp_path / "landmarks68.json").write_text(json.dumps({"a.png": {"landmarks68_px": listed}}))
    (item,) = open_source(tmp_path)
    assert item.landmark_valid[0].tolist() == (~hidden).tolist()
    if mark is not None:
        found, known = parse_pts(pts_text(listed))
        assert known.tolist() == (~hidden).tolist()
        np.testing.assert_allclose(found[~hidden], points[~hidden] - 0.5, atol=1e-4)


def test_points_at_the_edge_or_together_are_no_marks():
    points, _ = hidden_face()
    points[0], points[1] = (-3.25, -0.5), (0.0, 12.0)  # a face that leaves the picture
    points[60] = points[61] = points[67]  # shut lips
    assert known_points(points).all()


def test_json_landmarks_of_several_faces(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    faces = np.zeros((2, 68, 2)).tolist()
    (tmp_path / "landmarks68.json").write_text(json.dumps({"a.png": {"landmarks68_px": faces}}))
    (item,) = open_source(tmp_path)
    assert item.landmarks68_px.shape == (2, 68, 2)


def test_celeba_gives_pictures_without_points(tmp_path):
    blank(tmp_path / "img_celeba" / "000001.jpg", tmp_path / "other" / "000002.jpg")
    (item,) = open_source(tmp_path)
    assert (item.name, item.landmarks68_px, item.problem) == ("000001", None, "")


def test_frames_of_a_video_go_with_their_own_points(tmp_path):
    av = pytest.importorskip("av")
    (tmp_path / "001" / "annot").mkdir(parents=True)
    with av.open(str(tmp_path / "001" / "vid.avi"), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for frame in range(20):
            gray = np.full((48, 64, 3), 10 * frame, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(gray, format="rgb24")))
            (tmp_path / "001" / "annot" / f"{frame + 1:06d}.pts").write_text(pts_text([(frame, frame)] * 68))
        container.mux(stream.encode(None))
    items = list(open_source(tmp_path))
    assert [item.frame for item in items] == [0, 15]
    for item in items:
        assert item.landmarks68_px[0, 0].tolist() == [item.frame - 0.5] * 2
        assert abs(read_frame(item.path, item.frame).mean() - 10 * item.frame) < 3
    with pytest.raises(ValueError, match="video must hold frame 30, got fewer"):
        read_frame(items[0].path, 30)
