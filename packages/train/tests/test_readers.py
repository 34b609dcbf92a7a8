"""Readers of data sets: layouts, points, frames."""

import json

import numpy as np
import pytest
from PIL import Image
from test_preparation import blank, pts_text

from morphable_train.readers import open_source
from morphable_train.readers.points import parse_pts
from morphable_train.readers.video import read_frame


def test_pts_points_move_to_the_pixel_corner():
    # MATLAB's (1, 1) is the centre of the first pixel: (0.5, 0.5) for us
    assert parse_pts(pts_text([(1, 1)] * 68))[0].tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="68 points, got 2"):
        parse_pts(pts_text([(1, 1)] * 2))


@pytest.mark.parametrize("kind", ["celeba", "300w_lp", "aflw2000", "300vw", "pts", "json", "folder"])
def test_a_wrong_layout_is_one_clear_error(tmp_path, kind):
    with pytest.raises(FileNotFoundError, match=r"source must be .* with .*; check the path"):
        list(open_source(tmp_path, kind))


def test_mat_files_give_static_points(tmp_path):
    from scipy.io import savemat

    Image.new("RGB", (100, 100)).save(tmp_path / "a.jpg")
    savemat(tmp_path / "a.mat", {"pt3d_68": np.full((3, 68), 10.0)})
    Image.new("RGB", (100, 100)).save(tmp_path / "b.jpg")
    good, bad = list(open_source(tmp_path, "300w_lp"))
    assert good.landmarks68_px[0, 0].tolist() == [9.5, 9.5]
    assert not good.contour
    assert "missing landmark file" in bad.problem


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
