"""People of videos as animated GLB files and as Live Link Face tables, read back by independent readers."""

import csv
import io
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
import trimesh
from test_exports import parse_glb

from morphable import load_model
from morphable.geometry import rotation_from_angles
from morphable_reconstruct.exports.livelink import SHAPES, check_livelink, livelink_header, livelink_row, timecode
from morphable_reconstruct.faces.camera import Camera
from morphable_reconstruct.photographs.reading import Photograph
from morphable_reconstruct.scene import Scene
from morphable_reconstruct.video.animation import TrackAnimations, write_animations
from morphable_reconstruct.video.tracks import TrackedFrame

RATE = 10.0


@cache
def open_model():
    return load_model("open")


def frame(index, *, people=1, size_hw=(240, 320)):
    """A frame in which everyone turns, opens the mouth and moves to the right; the second person comes at frame 2."""
    model = open_model()
    count = people if index >= 2 else 1
    faces = model.sample(count, torch.Generator().manual_seed(0)).map(torch.zeros_like)
    faces.identity[:, 0] = 1.0 if index % 2 else -1.0
    faces.expression[:, model.expression_names.index("jawOpen")] = index / 10
    faces.rotation_head[:] = rotation_from_angles(torch.tensor([0.0, 0.1 * index, 0.0]))
    faces.translation_m[:] = torch.tensor([0.01 * index, 0.02, 1.0]) + torch.tensor([[0.0], [0.3]])[:count]
    pixels = np.full((*size_hw, 3), (200, 150, 120), np.uint8)
    scene = Scene(
        photo=Photograph(pixels=pixels, name="clip.mp4"),
        camera=Camera(focal_px=600.0, size_hw=size_hw),
        model=model,
        faces=faces,
        score=np.full(count, 0.9, np.float32),
        center_px=np.zeros((count, 2), np.float32),
        track_id=np.arange(count) + 3,
    )
    return TrackedFrame(index=index, time_s=index / RATE, source_time_s=index / RATE, scene=scene)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Files of a clip of five frames with two people."""
    folder = tmp_path_factory.mktemp("clip")
    paths = write_animations((frame(i, people=2) for i in range(5)), folder / "clip.glb", texture="albedo", mesh="face")
    assert [path.name for path in paths] == ["clip.track_03.glb", "clip.track_04.glb"]
    return paths


def curves(path):
    """The only animation of a file: its node, times and values by path."""
    document, read = parse_glb(path.read_bytes())
    (animation,) = document["animations"]
    (node,) = {channel["target"]["node"] for channel in animation["channels"]}
    found = {}
    for channel in animation["channels"]:
        sampler = animation["samplers"][channel["sampler"]]
        found[channel["target"]["path"]] = (read(sampler["input"]), read(sampler["output"]))
    return document, node, found


def test_curves_are_those_of_the_frames(written):
    document, node, found = curves(written[0])
    model = open_model()
    assert set(found) == {"rotation", "translation", "weights"}
    for times, _ in found.values():
        np.testing.assert_allclose(times.reshape(-1), np.arange(5) / RATE, atol=1e-6)
    weights = found["weights"][1].reshape(5, model.num_expression)
    np.testing.assert_allclose(weights[:, model.expression_names.index("jawOpen")], np.arange(5) / 10, atol=1e-6)
    assert (np.delete(weights, model.expression_names.index("jawOpen"), axis=1) == 0).all()
    # glTF: y up, z toward the viewer; R_head = Ry(-yaw), whose quaternion is (0, -sin(yaw / 2), 0, cos(yaw / 2))
    half = 0.1 * np.arange(5) / 2
    expected = np.stack([0 * half, -np.sin(half), 0 * half, np.cos(half)], axis=1)
    np.testing.assert_allclose(found["rotation"][1], expected, atol=1e-6)
    place = np.stack([0.01 * np.arange(5), np.full(5, -0.02), np.full(5, -1.0)], axis=1)
    np.testing.assert_allclose(found["translation"][1], place, atol=1e-6)
    assert document["nodes"][node]["name"] == "track_03"
    mesh = document["meshes"][document["nodes"][node]["mesh"]]
    assert mesh["extras"]["targetNames"] == list(model.expression_names)


def test_a_person_who_comes_later_starts_later(written):
    _, _, found = curves(written[1])
    np.testing.assert_allclose(found["weights"][0].reshape(-1), [0.2, 0.3, 0.4], atol=1e-6)
    np.testing.assert_allclose(found["translation"][1][0], [0.02 + 0.3, -0.32, -1.3], atol=1e-6)


def test_the_mesh_is_the_mean_person_of_the_track(written):
    """Identity goes -1, 1, -1, 1, -1: -0.2 on average."""
    model = open_model()
    identity = torch.zeros(1, model.num_identity)
    identity[0, 0] = -0.2
    neutral = model.decode_shape(identity, torch.zeros(1, model.num_expression))[0].numpy()
    document, read = parse_glb(written[0].read_bytes())
    stored = read(document["meshes"][0]["primitives"][0]["attributes"]["POSITION"])
    distance = np.linalg.norm(stored[::50, None] - neutral[None], axis=-1).min(1)
    assert distance.max() < 1e-6
    loaded = trimesh.load(written[0], force="scene")
    assert len(loaded.geometry) == 1


def test_quaternions_take_the_short_way():
    tracks = TrackAnimations()
    for index, yaw in enumerate((3.0, 3.3)):  # across half a turn the quaternion of the matrix changes its sign
        seen = frame(index)
        turn = rotation_from_angles(torch.tensor([[0.0, 0.0, yaw]]))
        scene = replace(seen.scene, faces=replace(seen.scene.faces, rotation_head=turn))
        tracks.add(replace(seen, scene=scene))
    first, second = tracks._tracks[3].rotation_xyzw
    assert float(first @ second) > 0.98


def test_the_texture_is_that_of_the_frame_that_shows_most():
    """Frame 0 looks straight; later ones turn away. What is kept of it is the part around the face."""
    tracks = TrackAnimations()
    for index in (9, 0, 8):
        tracks.add(frame(index))
    best = tracks._tracks[3].best
    np.testing.assert_allclose(best.faces.rotation_head[0], np.eye(3), atol=1e-6)
    assert best.camera.size_hw < (240, 320)
    shown = best.landmarks68_px + frame(0).scene.camera.principal_px - best.camera.principal_px
    np.testing.assert_allclose(shown, frame(0).scene.landmarks68_px, atol=1e-3)


def test_tracks_of_one_frame_and_faces_without_a_track():
    tracks = TrackAnimations()
    tracks.add(frame(0))
    assert list(tracks.glbs()) == []
    untracked = replace(frame(0), scene=replace(frame(0).scene, track_id=None))
    with pytest.raises(ValueError, match=r"faces must be tracked to be animated, got clip\.mp4"):
        tracks.add(untracked)


def test_columns_of_live_link_face():
    """Order, names and number of columns as the app writes them (61 values: 52 expressions, 9 turns)."""
    names = livelink_header().strip().split(",")
    assert names[:3] == ["Timecode", "BlendShapeCount", "EyeBlinkLeft"]
    assert names[9:10] == ["EyeBlinkRight"]
    assert names[16:20] == ["JawForward", "JawRight", "JawLeft", "JawOpen"]
    assert names[53:57] == ["TongueOut", "HeadYaw", "HeadPitch", "HeadRoll"] or names[52:57] == [
        *("NoseSneerRight", "TongueOut", "HeadYaw", "HeadPitch", "HeadRoll")
    ]
    assert names[-6:] == [f"{side}Eye{angle}" for side in ("Left", "Right") for angle in ("Yaw", "Pitch", "Roll")]
    assert len(set(names)) == len(names) == 63
    assert {name[0].lower() + name[1:] for name in SHAPES} <= set(open_model().expression_names)


def test_a_row_of_live_link_face():
    row = livelink_header() + livelink_row(frame(4).scene[0], 1.025)
    (read,) = csv.DictReader(io.StringIO(row))
    assert (read["Timecode"], read["BlendShapeCount"]) == ("00:00:01:01.500", "61")
    assert float(read["JawOpen"]) == pytest.approx(0.4)
    assert float(read["HeadYaw"]) == pytest.approx(-0.4, abs=1e-5)  # the yaw of conventions.md is to the right
    assert float(read["LeftEyeYaw"]) == pytest.approx(0.0, abs=1e-4)
    assert timecode(3661.525) == "01:01:01:31.500"
    assert timecode(0.99999) == "00:00:00:59.999"


def test_models_without_arkit_expressions_have_no_live_link_table(model):
    with pytest.raises(ValueError, match=r"model must have ARKit's 52 expressions for csv livelink, got 'toy'"):
        check_livelink(model)
