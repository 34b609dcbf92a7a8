"""Files are read back by independent readers and give the same scene."""

import io
import json
import struct
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from stand_ins import stacked, with_faces

from morphable.geometry import rotation_from_angles
from morphable_reconstruct.exports.glb import expression_offsets, neutral_vertices
from morphable_reconstruct.exports.layout import textured_layout
from morphable_reconstruct.faces.camera import Camera
from morphable_reconstruct.photographs.reading import Photograph
from morphable_reconstruct.scene import Scene


def make_scene(model, count=2, size_hw=(240, 320)):
    rng = np.random.default_rng(3)
    camera = Camera(focal_px=600.0, size_hw=size_hw)
    rows = []
    for index in range(count):
        angles = torch.tensor([0.1, -0.3 + 0.5 * index, 0.15])
        rows.append(
            {
                "identity": rng.normal(size=4),
                "expression": rng.uniform(size=3),
                "albedo": rng.normal(size=2),
                "rotation_head": rotation_from_angles(angles).numpy(),
                "translation_m": [-0.12 + 0.24 * index, 0.02, 1.0 + 0.2 * index],
                "illumination": rng.normal(size=(9, 3)) * 0.05,
            }
        )
    image = rng.integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    return Scene(
        photo=Photograph(pixels=image, name="group.jpg"),
        camera=camera,
        model=model,
        faces=stacked(rows),
        score=np.float32([0.9 - 0.1 * index for index in range(count)]),
        center_px=np.full((count, 2), (100.0, 120.0), np.float32),
    )


@pytest.fixture
def scene(model):
    return make_scene(model)


def parse_glb(data):
    """JSON and binary chunk, and a reader of accessors, from the specification."""
    magic, version, length = struct.unpack_from("<III", data)
    assert (magic, version, length) == (0x46546C67, 2, len(data))
    size, kind = struct.unpack_from("<II", data, 12)
    assert kind == 0x4E4F534A
    document = json.loads(data[20 : 20 + size])
    binary = data[20 + size + 8 :]

    def view(index, dtype, extra=0):
        item = document["bufferViews"][index]
        return np.frombuffer(
            binary, dtype, offset=item["byteOffset"] + extra, count=item["byteLength"] // np.dtype(dtype).itemsize
        )

    def accessor(index):
        item = document["accessors"][index]
        axes = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}[item["type"]]
        dtype = {5126: "<f4", 5125: "<u4"}[item["componentType"]]
        if "bufferView" in item:
            return view(item["bufferView"], dtype).reshape(-1, axes)
        values = np.zeros((item["count"], axes), dtype)
        sparse = item["sparse"]
        values[view(sparse["indices"]["bufferView"], "<u4")] = view(sparse["values"]["bufferView"], dtype).reshape(
            -1, axes
        )
        return values

    return document, accessor


def test_glb_is_placed_in_metres_for_an_independent_reader(tmp_path, scene):
    scene.save(tmp_path / "s.glb")
    loaded = trimesh.load(tmp_path / "s.glb")
    assert len(loaded.geometry) == 2
    layout = textured_layout(scene.model)
    for index, face in enumerate(scene):
        transform, name = loaded.graph[f"face_{index:02d}"]
        mesh = loaded.geometry[name]
        turn, shift = transform[:3, :3], transform[:3, 3]
        np.testing.assert_allclose(turn, face.rotation_head, atol=1e-6)
        np.testing.assert_allclose(shift, face.translation_m * (1, -1, -1), atol=1e-6)
        np.testing.assert_allclose(mesh.vertices, neutral_vertices(face)[layout.source], atol=1e-6)
        assert mesh.visual.material.baseColorTexture.size == (256, 256)  # the faces are some 120 pixels wide


def test_glb_morph_targets_give_the_expression(scene):
    document, accessor = parse_glb(_glb(scene))
    layout = textured_layout(scene.model)
    for index, face in enumerate(scene):
        mesh = document["meshes"][index]
        assert mesh["extras"]["targetNames"] == list(scene.model.expression_names)
        np.testing.assert_allclose(mesh["weights"], face.expression, atol=1e-6)
        primitive = mesh["primitives"][0]
        vertices = accessor(primitive["attributes"]["POSITION"]).copy()
        for weight, target in zip(mesh["weights"], primitive["targets"], strict=True):
            vertices += np.float32(weight) * accessor(target["POSITION"])
        # offsets under 0.01 mm are left out: at most three of them add up here
        np.testing.assert_allclose(vertices, face.vertices_model_m[layout.source], atol=3.1e-5)
    assert document["meshes"][0]["primitives"][0]["targets"] == document["meshes"][1]["primitives"][0]["targets"]


@pytest.mark.parametrize(("expression", "weight"), [(-0.14, 0.0), (0.3, 0.3), (1.2, 1.0)])
def test_glb_morph_weights_of_activations_are_between_0_and_1(scene, expression, weight):
    assert scene.model.expression_prior == "activation"
    faces = replace(scene.faces, expression=torch.full_like(scene.faces.expression, expression))
    document, _accessor = parse_glb(_glb(replace(scene, faces=faces)))
    for mesh in document["meshes"]:
        np.testing.assert_allclose(mesh["weights"], weight, atol=1e-6)


def test_glb_camera_sees_the_photograph(scene):
    document, _accessor = parse_glb(_glb(scene))
    camera = document["cameras"][0]["perspective"]
    assert camera["yfov"] == pytest.approx(2 * np.arctan(120 / 600))
    assert camera["aspectRatio"] == pytest.approx(320 / 240)
    # project a vertex of the file by glTF's camera (looks along -z, y up): the face's own pixels
    face, node = scene[1], next(n for n in document["nodes"] if n["name"] == "face_01")
    x, y, z, w = node["rotation"]
    turn = trimesh.transformations.quaternion_matrix([w, x, y, z])[:3, :3]
    points = face.vertices_model_m @ turn.T + node["translation"]
    focal = 120 / np.tan(camera["yfov"] / 2)
    px = np.stack([160 + focal * points[:, 0] / -points[:, 2], 120 - focal * points[:, 1] / -points[:, 2]], 1)
    np.testing.assert_allclose(px, face.vertices_px, atol=1e-3)


def test_an_empty_scene_is_a_file_with_a_camera(tmp_path, model):
    empty = make_scene(model, count=0)
    for suffix in ("glb", "obj", "ply", "json", "npz"):
        empty.save(tmp_path / f"s.{suffix}")
    document, _ = parse_glb((tmp_path / "s.glb").read_bytes())
    assert "meshes" not in document
    assert len(document["cameras"]) == 1
    assert json.loads((tmp_path / "s.json").read_text())["faces"] == []
    assert np.load(tmp_path / "s.npz", allow_pickle=False)["landmarks68_px"].shape == (0, 68, 2)
    assert empty.overlay().shape == (240, 320, 3)
    assert set(empty.views()) == {"front", "right", "top"}


def test_obj_with_material_and_texture(tmp_path, scene):
    scene.save(tmp_path / "s.obj", texture_px=64)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.mtl", "s.obj", "s_face_00.png", "s_face_01.png"]
    loaded = trimesh.load(tmp_path / "s.obj", group_material=False, split_object=True, process=False)
    meshes = sorted(loaded.geometry.values(), key=lambda mesh: mesh.bounds[0, 0])  # the second stands to the right
    assert len(meshes) == 2
    for mesh, face in zip(meshes, scene, strict=True):
        upright = face.vertices_cam_m * (1, -1, -1)
        assert len(mesh.faces) == len(scene.model.triangles)
        np.testing.assert_allclose(mesh.bounds, [upright.min(0), upright.max(0)], atol=1e-6)
        assert mesh.visual.material.image.size == (64, 64)
        assert mesh.visual.uv.min() >= 0
        assert mesh.visual.uv.max() <= 1


def test_ply_has_lit_colours(tmp_path, scene):
    scene.save(tmp_path / "s.ply")
    mesh = trimesh.load(tmp_path / "s.ply", process=False)
    count = scene.model.num_vertices
    assert mesh.vertices.shape == (2 * count, 3)
    np.testing.assert_allclose(mesh.vertices[count:], scene[1].vertices_cam_m * (1, -1, -1), atol=1e-6)
    assert mesh.visual.vertex_colors[:, :3].std() > 0
    assert mesh.triangles_center.shape == (2 * len(scene.model.triangles), 3)


def test_json_and_npz_say_the_same(tmp_path, scene):
    scene.save(tmp_path / "s.json")
    scene.save(tmp_path / "s.npz")
    record = json.loads((tmp_path / "s.json").read_text())
    arrays = np.load(tmp_path / "s.npz", allow_pickle=False)
    assert record["image"] == str(arrays["image"]) == "group.jpg"
    assert record["camera"] == {"focal_px": 600.0, "principal_px": [160.0, 120.0]}
    for index, face in enumerate(record["faces"]):
        for key in (
            "landmarks68_px",
            "landmarks68_contour_px",
            "landmarks68_cam_m",
            "translation_m",
            "rotation_head",
            "box_xyxy_px",
        ):
            np.testing.assert_allclose(face[key], arrays[key][index], atol=1e-4)
        assert list(face["expressions"]) == list(arrays["expression_names"])
        np.testing.assert_allclose(list(face["expressions"].values()), arrays["expression"][index], atol=1e-6)
        np.testing.assert_allclose(face["head_angles_rad"]["yaw"], -0.3 + 0.5 * index, atol=1e-5)


def test_photo_texture_takes_the_face_and_nothing_behind_it(model, no_parsing):

    from morphable_reconstruct.drawing.textures import albedo_texture, photo_texture

    scene = make_scene(model, count=1)
    image = np.where(scene.rendered.mask[..., None], [255, 0, 0], [0, 0, 255]).astype(np.uint8)  # red before blue
    texture = photo_texture(replace(scene, photo=Photograph(pixels=image, name="a"))[0], size_px=128)
    seen = texture.visible > 0.99
    assert 0.2 < seen.mean() < 0.95
    # the toy's mesh ends abruptly, where pixels mix with the background: 0.3 % of the texels
    assert (texture.rgb[seen & texture.mask][:, 2] < 0.02).mean() > 0.99
    hidden = (texture.visible == 0) & texture.mask
    assert hidden.any()
    assert (texture.rgb[hidden][:, 2] < 0.1).mean() > 0.95
    plain = albedo_texture(scene[0], size_px=128)
    assert plain.visible.max() == 0
    np.testing.assert_allclose(plain.rgb.mean((0, 1)), scene[0].albedo_rgb.mean(0), atol=0.03)


def test_an_occluded_face_takes_nothing_from_the_photograph(model, no_parsing):
    scene = make_scene(model, count=2)
    front = scene.faces
    translation, first = front.translation_m[[0, 0]], torch.tensor([0, 0])
    scene = with_faces(
        scene,
        translation_m=translation * torch.tensor([[1.0], [2.0]]),
        rotation_head=front.rotation_head[first],
        identity=front.identity[first],
    )
    from morphable_reconstruct.drawing.textures import photo_texture

    assert photo_texture(scene[0], size_px=64).visible.mean() > 0.2
    assert photo_texture(scene[1], size_px=64).visible.mean() < 0.01


def test_small_faces_show_their_albedo_in_the_photographs_tone(model, no_parsing):
    from morphable_reconstruct.drawing.textures import SMALLEST_TEXTURED_PX, photo_texture

    scene = make_scene(model, count=1)
    far = with_faces(scene, translation_m=scene.faces.translation_m * 6)
    assert np.ptp(far.box_xyxy_px.reshape(2, 2), axis=0).max() < SMALLEST_TEXTURED_PX
    texture = photo_texture(far[0], size_px=64)
    assert texture.visible.max() == 0
    assert texture.mask.any()


def test_a_changed_face_keeps_its_texture(model, no_parsing):
    from morphable_reconstruct.drawing.textures import photo_texture

    scene = make_scene(model, count=2)
    changed = scene.with_expressions({model.expression_names[0]: 1.0})
    again = changed.with_expressions({})
    before = photo_texture(scene[1], size_px=64)
    for face in (changed[1], again[1], again.take(np.array([1]))[0]):
        np.testing.assert_array_equal(photo_texture(face, size_px=64).rgb, before.rgb)
    assert not np.array_equal(changed[1].vertices_cam_m, scene[1].vertices_cam_m)


def test_skin_close_to_something_nearer_does_not_count(model):
    """A nose whose edge is at column 100, 30 mm before a cheek: points of the cheek count from some pixels on."""
    from morphable_reconstruct.drawing.textures import BESIDE, _apart_from_nearer, _extent_px

    face = make_scene(model, count=1)[0]
    depth_m = torch.full((240, 320), 1.03)
    depth_m[:, :100] = 1.0
    reach = round(BESIDE * _extent_px(face))
    assert reach > 1
    px = torch.tensor([[50.5, 120.5], [100.5, 120.5], [99.5 + reach, 120.5], [100.5 + reach, 120.5], [300.5, 120.5]])
    z_m = torch.tensor([1.0, 1.03, 1.03, 1.03, 1.03])
    assert _apart_from_nearer(px, z_m, depth_m, face).tolist() == [1, 0, 0, 1, 1]


def test_strands_near_what_hides_a_face_do_not_count():
    from morphable_reconstruct.drawing.tone import strangeness

    tone = torch.tensor([0.6, 0.45, 0.35])
    colors = torch.stack([tone, tone * 0.9, tone * 0.3, tone + torch.tensor([0.0, 0.0, 0.4])])
    # ln(0.5 / 0.185) = 0.99 and ln(0.8 / 0.4) = 0.69, with 0.05 added to colors, are past 0.5; ln(0.65 / 0.59) = 0.10
    # is below 0.2
    torch.testing.assert_close(strangeness(colors, tone.expand(4, 3)), torch.tensor([0.0, 0.0, 1.0, 1.0]))


def test_refusals(tmp_path, scene):
    with pytest.raises(
        ValueError, match=r"path must end in one of \.glb, \.obj, \.ply, \.json, \.npz, \.csv, got '\.stl'"
    ):
        scene.save(tmp_path / "s.stl")
    with pytest.raises(FileNotFoundError, match="path must be in an existing folder"):
        scene.save(tmp_path / "none" / "s.glb")
    with pytest.raises(ValueError, match="texture must be one of photo, albedo, delit, none, got 'shiny'"):
        scene.save(tmp_path / "s.glb", texture="shiny")
    assert list(tmp_path.iterdir()) == []


def test_offsets_are_the_models(model):
    offsets = expression_offsets(model)
    np.testing.assert_allclose(offsets, model.expression_basis.numpy(), atol=1e-7)


def _glb(scene):
    from morphable_reconstruct.exports.glb import scene_to_glb

    data = scene_to_glb(scene, texture_px=32)
    assert Image.open(io.BytesIO(scene_to_jpeg(data))).size == (32, 32)
    return data


def scene_to_jpeg(data):
    document, _ = parse_glb(data)
    item = document["bufferViews"][document["images"][0]["bufferView"]]
    start = 20 + struct.unpack_from("<I", data, 12)[0] + 8 + item["byteOffset"]
    return data[start : start + item["byteLength"]]


def test_glb_of_no_face_has_no_empty_array_and_no_binary_chunk(model):
    from morphable_reconstruct.exports.glb import scene_to_glb

    data = scene_to_glb(make_scene(model, count=0))
    document, _ = parse_glb(data)
    assert all(value for value in document.values() if isinstance(value, list))  # glTF 2.0: minItems 1
    assert "buffers" not in document
    assert len(data) == 20 + struct.unpack_from("<I", data, 12)[0]
    assert [node["name"] for node in document["nodes"]] == ["photograph", "group.jpg"]


def test_glb_weights_are_activations_between_0_and_1(model):
    scene = make_scene(model, count=1)
    beyond = with_faces(scene, expression=torch.tensor([[-0.2, 0.4, 1.3]]))
    document, accessor = parse_glb(_glb(beyond))
    assert document["meshes"][0]["weights"] == pytest.approx([0.0, 0.4, 1.0])
    # the neutral shape stays that of the identity
    layout = textured_layout(model)
    neutral = model.decode_shape(scene.faces.identity, torch.zeros(1, 3))[0].numpy()
    position = accessor(document["meshes"][0]["primitives"][0]["attributes"]["POSITION"])
    np.testing.assert_allclose(position, neutral[layout.source], atol=1e-6)


@pytest.mark.parametrize("suffix", ["json", "npz"])
def test_saved_scenes_come_back(tmp_path, scene, suffix):

    scene = replace(scene, track_id=np.array([4, 2]), residual_px=np.float32([np.nan, 0.25]))
    scene.save(tmp_path / f"s.{suffix}")
    again = Scene.load(tmp_path / f"s.{suffix}", model=scene.model, image=scene.image)
    assert repr(again) == "Scene('image', 320x240, 2 faces)"
    for name, values in vars(scene.faces).items():
        torch.testing.assert_close(getattr(again.faces, name), values, atol=1e-6, rtol=0)
    np.testing.assert_allclose(again.landmarks68_px, scene.landmarks68_px, atol=2e-3)
    assert [face.track_id for face in again] == [4, 2]
    assert [face.camera_residual_px for face in again] == [None, 0.25]
    blank = Scene.load(tmp_path / f"s.{suffix}", model=scene.model)
    assert blank.name == "group.jpg"
    assert blank.image.min() == 255


def test_what_is_no_saved_scene_is_refused(tmp_path, scene, model):
    from stand_ins import toy_model

    scene.save(tmp_path / "s.npz")
    whole = (tmp_path / "s.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "other.json").write_text('{"faces": []}')
    for name in ("cut.npz", "other.json"):
        with pytest.raises(ValueError, match=r"path must be a scene saved as \.json or \.npz"):
            Scene.load(tmp_path / name, model=model)
    with pytest.raises(FileNotFoundError, match="path must be an existing file"):
        Scene.load(tmp_path / "none.json", model=model)
    with pytest.raises(ValueError, match="model must be toy, with which the scene was made, got open"):
        Scene.load(tmp_path / "s.npz")
    with pytest.raises(ValueError, match="photo must be 320x240"):
        Scene.load(tmp_path / "s.npz", model=toy_model(), image=np.zeros((10, 10, 3), np.uint8))


def test_expected_errors_of_points_are_kept_and_read_back(tmp_path, scene, model):

    from morphable_evalkit import read_predictions
    from morphable_reconstruct.exports.predictions import prediction_rows, write_predictions
    from morphable_reconstruct.faces.rows import concatenate_rows

    std_px = np.random.default_rng(0).uniform(1, 4, (2, 68)).astype(np.float32)
    spread = replace(scene, landmarks68_std_px=std_px)
    np.testing.assert_array_equal(spread[1].landmarks68_std_px, std_px[1])
    np.testing.assert_array_equal(spread.take(np.array([1])).landmarks68_std_px, std_px[1:])
    np.testing.assert_array_equal(concatenate_rows([spread, spread]).landmarks68_std_px, np.tile(std_px, (2, 1)))
    assert concatenate_rows([spread, scene]).landmarks68_std_px is None
    assert spread.with_expressions({"jawOpen": 1.0}).landmarks68_std_px is None
    for name in ("s.json", "s.npz"):
        spread.save(tmp_path / name)
        np.testing.assert_allclose(Scene.load(tmp_path / name, model=model).landmarks68_std_px, std_px, atol=1e-6)
        scene.save(tmp_path / name)
        assert Scene.load(tmp_path / name, model=model).landmarks68_std_px is None
    rows = prediction_rows(spread)
    write_predictions(tmp_path / "p.npz", [("a.jpg", rows)], system="test")
    np.testing.assert_array_equal(read_predictions(tmp_path / "p.npz").landmarks68_std_px, std_px)
    write_predictions(tmp_path / "p.npz", [("a.jpg", rows), ("b.jpg", prediction_rows(scene))], system="test")
    assert read_predictions(tmp_path / "p.npz").landmarks68_std_px is None


@cache
def open_model():
    from morphable import load_model

    return load_model("open")


def open_scene(**activations):
    """The mean face of the open model, half a meter away, looking at the camera."""
    model = open_model()
    faces = model.sample(1, torch.Generator().manual_seed(0)).map(torch.zeros_like)
    for name, value in activations.items():
        faces.expression[:, model.expression_names.index(name)] = value
    faces.rotation_head[:] = torch.eye(3)
    faces.translation_m[:, 2] = 0.5
    return Scene(
        photo=Photograph(pixels=np.full((480, 480, 3), 40, np.uint8), name="a.jpg"),
        camera=Camera(focal_px=800.0, size_hw=(480, 480)),
        model=model,
        faces=faces,
        score=np.float32([0.9]),
        center_px=np.zeros((1, 2), np.float32),
    )


def test_gaze_and_irises_of_a_face(tmp_path, scene):
    looking = open_scene(eyeLookOutLeft=1.0, eyeLookInRight=1.0)
    eyes = looking[0].eyes
    assert list(eyes) == ["right", "left"]
    for name, eye in eyes.items():
        assert eye.degrees["yaw"] == pytest.approx(35.0, abs=0.5)  # the model's range at activation 1
        assert eye.degrees["pitch"] == pytest.approx(0.0, abs=0.5)
        # The head looks at the camera: its left is the picture's right; the gaze comes toward the camera.
        np.testing.assert_allclose(eye.gaze_cam, [np.sin(np.radians(35)), 0.0, -np.cos(np.radians(35))], atol=0.01)
        points = looking[0].landmarks68_px[36:42] if name == "right" else looking[0].landmarks68_px[42:48]
        assert points[:, 0].mean() < eye.iris_px[0] < points[:, 0].max()
        assert points[:, 1].min() < eye.iris_px[1] < points[:, 1].max()
        np.testing.assert_allclose(eye.iris_px, looking.camera.project(eye.iris_cam_m), atol=1e-4)
        reach_m = np.linalg.norm(eye.iris_cam_m - eye.center_cam_m)
        assert reach_m == pytest.approx(0.01254 * np.cos(np.radians(28)), rel=0.03)
    looking.save(tmp_path / "s.json")
    record = json.loads((tmp_path / "s.json").read_text())["faces"][0]["eyes"]
    np.testing.assert_allclose(record["left"]["iris_px"], eyes["left"].iris_px, atol=1e-5)
    assert record["right"]["gaze_angles_deg"]["yaw"] == pytest.approx(35.0, abs=0.5)
    looking.save(tmp_path / "s.npz")
    arrays = np.load(tmp_path / "s.npz")
    np.testing.assert_allclose(arrays["gaze_cam"][0, 1], eyes["left"].gaze_cam)
    assert arrays["iris_px"].shape == arrays["gaze_angles_deg"].shape == (1, 2, 2)
    looking.save(tmp_path / "s.csv")
    names, values = (line.split(",") for line in (tmp_path / "s.csv").read_text().splitlines())
    assert names[-4:] == ["right_gaze_yaw_deg", "right_gaze_pitch_deg", "left_gaze_yaw_deg", "left_gaze_pitch_deg"]
    assert float(values[-2]) == pytest.approx(35.0, abs=0.5)
    assert scene[0].eyes is scene.iris_px is scene.gaze_cam is scene.gaze_angles_deg is None
    scene.save(tmp_path / "s.npz")
    assert "iris_px" not in np.load(tmp_path / "s.npz")


def test_overlays_are_faint_where_the_network_is_unsure(scene):

    from morphable_reconstruct.drawing.overlay import FAINTEST, SURE, UNSURE, point_opacity

    side_px = (scene.box_xyxy_px[:, 2:] - scene.box_xyxy_px[:, :2]).max(1)
    std_px = np.full((2, 68), SURE / 2) * side_px[:, None]
    std_px[1, :17] = 2 * UNSURE * side_px[1]
    unsure = replace(scene, landmarks68_std_px=std_px.astype(np.float32))
    np.testing.assert_allclose(point_opacity(unsure[1]), [FAINTEST] * 17 + [1.0] * 51)
    np.testing.assert_array_equal(point_opacity(scene[0]), np.ones(68))
    plain, drawn = (rows.overlay(opacity=0.0, boxes=False, parse=False).astype(int) for rows in (scene, unsure))
    changed = np.argwhere(np.abs(plain - drawn).max(-1) > 0)
    jaw = scene[1].landmarks68_contour_px[:17]
    assert len(changed) > 50
    assert (np.linalg.norm(changed[:, None, ::-1] + 0.5 - jaw[None], axis=-1).min(1) < 20).all()
    photo = scene.image.astype(int)
    rows, cols = changed.T
    nearer = np.abs(drawn - photo)[rows, cols].sum() < np.abs(plain - photo)[rows, cols].sum()
    assert nearer


def test_overlays_mark_irises_between_open_lids_only():
    from morphable_reconstruct.drawing.overlay import IRIS_COLOR

    for closed in (0.0, 1.0):
        scene = open_scene(eyeBlinkLeft=closed)
        drawn = scene.overlay(opacity=0.0, boxes=False, parse=False)
        marked = np.argwhere((drawn == IRIS_COLOR).all(-1))[:, ::-1] + 0.5
        near = [np.linalg.norm(marked - eye.iris_px, axis=1).min() < 3 for eye in scene[0].eyes.values()]
        assert near == [True, closed == 0.0]


def test_matrices_and_dense_points_of_npz_give_the_pixels(tmp_path, scene):
    scene.save(tmp_path / "s.npz")
    arrays = np.load(tmp_path / "s.npz", allow_pickle=False)
    assert arrays["vertices_cam_m"].shape == (2, scene.model.num_vertices, 3)
    for index, face in enumerate(scene):
        model_m = np.c_[face.vertices_model_m, np.ones(scene.model.num_vertices)]
        cam = model_m @ arrays["cam_from_model"][index].T
        np.testing.assert_allclose(cam[:, :3], arrays["vertices_cam_m"][index], atol=1e-6)
        px = cam[:, :2] / cam[:, 2:3] * 600.0 + (160.0, 120.0)
        np.testing.assert_allclose(px, arrays["vertices_px"][index], atol=1e-3)
        yaw_deg = np.rad2deg(-0.3 + 0.5 * index)
        assert arrays["head_angles_deg"][index, 1] == pytest.approx(yaw_deg, abs=1e-3) == face.angles.degrees["yaw"]
        np.testing.assert_allclose(arrays["landmarks5_px"][index, 2], face.landmarks68_px[30])


def test_mediapipe_points_of_npz_are_the_surface_points_in_the_photograph(tmp_path):
    scene = open_scene(jawOpen=0.5)
    scene.save(tmp_path / "s.npz")
    (points_px,) = np.load(tmp_path / "s.npz", allow_pickle=False)["landmarks468_px"]
    assert points_px.shape == (468, 2)
    face = scene[0]
    cam = face.landmarks("mediapipe468") @ face.cam_from_model[:3, :3].T + face.cam_from_model[:3, 3]
    np.testing.assert_allclose(points_px, cam[:, :2] / cam[:, 2:3] * 800.0 + 240.0, atol=1e-3)
    np.testing.assert_array_equal(points_px, face.landmarks_px("mediapipe468"))
    box = face.box_xyxy_px
    # MediaPipe's point 4 and iBUG's point 30 are both the tip of the nose
    assert np.abs(points_px[4] - face.landmarks68_px[30]).max() < 0.05 * (box[2] - box[0])


def test_csv_of_a_picture(tmp_path, scene):
    scene.save(tmp_path / "s.csv")
    header, *lines = (tmp_path / "s.csv").read_text().splitlines()
    names = header.split(",")
    assert names[:3] == ["face", "score", "jawOpen"]
    assert names[-6:] == ["head_pitch_deg", "head_yaw_deg", "head_roll_deg", "x_m", "y_m", "z_m"]
    second = dict(zip(names, lines[1].split(","), strict=True))
    assert float(second["head_yaw_deg"]) == pytest.approx(np.rad2deg(0.2), abs=1e-3)
    assert float(second["jawOpen"]) == pytest.approx(scene[1].expressions["jawOpen"], abs=1e-5)


def test_expressions_move_from_one_person_to_another(scene):
    taken = scene.with_expressions(scene[1].expressions, face=0)
    assert taken[0].expressions == scene[1].expressions
    np.testing.assert_array_equal(taken[0].identity, scene[0].identity)
    both = scene.with_expressions({"jawOpen": 0.5})
    assert [face.expressions["jawOpen"] for face in both] == [0.5, 0.5]
    assert both[1].expressions["eyeBlinkLeft"] == 0.0
    with pytest.raises(ValueError, match="expressions must be names of the face model, got smirk"):
        scene.with_expressions({"smirk": 1.0})
    with pytest.raises(IndexError, match="index must be below 2"):
        scene.with_expressions({}, face=2)


def test_a_crop_stands_upright(model):
    """A face that lies on its side is turned; its mean landmark is in the middle, its nose below its eyes."""
    from morphable_reconstruct.drawing.crops import face_crop

    scene = make_scene(model, count=1)
    turned = with_faces(scene, rotation_head=rotation_from_angles(torch.tensor([[0.0, 0.0, 1.5]])))
    pixels = np.full_like(scene.image, 90)
    for point, color in zip(
        turned[0].landmarks5_px, [(255, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 0), (0, 0, 0)], strict=True
    ):
        x, y = np.rint(point).astype(int)
        pixels[y - 2 : y + 3, x - 2 : x + 3] = color

    crop = face_crop(replace(turned, photo=Photograph(pixels=pixels, name="a"))[0], size_px=128).astype(int)
    reds, greens = (np.argwhere(crop[..., c] - crop[..., 2] > 80) for c in (0, 1))
    assert np.ptp(reds[:, 0]) < 0.2 * np.ptp(reds[:, 1])  # the eyes are level
    assert greens[:, 0].mean() > reds[:, 0].mean() + 5
    with pytest.raises(ValueError, match="size_px must be at least 1"):
        face_crop(turned[0], size_px=0)


def test_a_texture_that_holds_the_light_is_unlit(scene):
    from morphable_reconstruct.exports.glb import scene_to_glb

    for texture, unlit in {"photo": True, "delit": False, "albedo": False, "none": False}.items():
        document, _ = parse_glb(scene_to_glb(scene, texture=texture, texture_px=32))
        assert [material.get("extensions") == {"KHR_materials_unlit": {}} for material in document["materials"]] == [
            unlit,
            unlit,
        ]
        assert ("extensionsUsed" in document) == unlit


def test_meshes_of_the_face_alone(tmp_path, model):
    from morphable import load_model
    from morphable_reconstruct.exports.layout import mesh_triangles

    open_model = load_model("open")
    kept = mesh_triangles(open_model, "face")
    names = {open_model.part_names[label] for label in open_model.part_labels[torch.from_numpy(kept)].unique()}
    assert names == set(open_model.part_names) - {"scalp", "neck", "ears"}
    layout = textured_layout(open_model, "face")
    assert len(layout.triangles) == kept.sum()
    assert layout.triangles.max() == len(layout.source) - 1
    scene = make_scene(model, count=1)  # its parts are all of the face
    for suffix in ("glb", "obj"):
        scene.save(tmp_path / f"s.{suffix}", texture="none", mesh="face")
        assert len(trimesh.load(tmp_path / f"s.{suffix}", force="mesh").faces) == len(model.triangles)
    with pytest.raises(ValueError, match="mesh must be one of head, face, got 'bust'"):
        scene.save(tmp_path / "t.glb", mesh="bust")


def test_unseen_side_continues_the_seen_sides_tone(model, no_parsing):

    from morphable_reconstruct.drawing.textures import delit_texture, photo_texture

    scene = make_scene(model, count=1)
    turned = rotation_from_angles(torch.tensor([[0.0, 1.0, 0.0]]))
    scene = with_faces(scene, rotation_head=turned, illumination=torch.zeros(1, 9, 3))
    pixels = np.full_like(scene.photo.pixels, (180, 90, 60))
    face = replace(scene, photo=Photograph(pixels=pixels, name="a"))[0]
    texture = photo_texture(face, size_px=128)
    hidden = (texture.visible == 0) & texture.mask
    assert hidden.mean() > 0.1
    off = np.abs(texture.rgb[hidden] - pixels[0, 0] / 255)
    assert off.mean() < 0.05
    # zero coefficients are light of 0.709: 0.8 of the constant function
    delit = delit_texture(face, size_px=128)
    shown = texture.mask & (texture.rgb < 0.6).all(-1)
    np.testing.assert_allclose(delit.rgb[shown] * 0.709, texture.rgb[shown], atol=0.01)


def test_frontal_picture_shows_the_face_in_the_middle(model, no_parsing):
    from morphable_reconstruct.drawing.frontal import frontal_picture

    picture = frontal_picture(make_scene(model, count=1)[0], size_px=64)
    assert picture.shape == (64, 64, 3)
    rows, cols = np.nonzero((picture < 250).any(-1))
    assert abs(cols.min() + cols.max() - 63) <= 3
    # the box of the 68 points takes 1 / 1.7 of the side
    assert rows.max() - rows.min() > 64 / 1.7
    with pytest.raises(ValueError, match="size_px must be at least 1, got 0"):
        frontal_picture(make_scene(model, count=1)[0], size_px=0)


def test_overlay_leaves_what_is_before_the_face(model, monkeypatch):
    from morphable_reconstruct.drawing import overlay

    scene = make_scene(model, count=1)

    class Covered:
        def face_at(self, px):
            return (px[:, 0] > 100).float()

    monkeypatch.setattr(overlay, "parse_faces", lambda rows: [Covered()])
    drawn = scene.overlay(opacity=1.0, boxes=False, landmarks=False)
    changed = (drawn != scene.photo.pixels).any(-1)
    assert changed[:, 100:].any()
    assert not changed[:, :100].any()
