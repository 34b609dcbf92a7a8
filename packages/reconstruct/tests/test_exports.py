"""Files are read back by independent readers and give the same scene."""

import io
import json
import struct

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from stand_ins import stacked, with_faces

from morphable_reconstruct.exports.glb import expression_offsets, neutral_vertices
from morphable_reconstruct.exports.layout import textured_layout
from morphable_reconstruct.faces.camera import Camera
from morphable_reconstruct.photographs.reading import Photograph
from morphable_reconstruct.scene import Scene
from morphable_render import rotation_from_angles


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
                "rotation": rotation_from_angles(angles).numpy(),
                "translation": [-0.12 + 0.24 * index, 0.02, 1.0 + 0.2 * index],
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
        axes = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}[item["type"]]
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
        assert mesh.visual.material.baseColorTexture.size == (512, 512)


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


def test_photo_texture_takes_the_face_and_nothing_behind_it(model):
    from dataclasses import replace

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


def test_an_occluded_face_takes_nothing_from_the_photograph(model):
    scene = make_scene(model, count=2)
    front = scene.faces
    translation, first = front.translation[[0, 0]], torch.tensor([0, 0])
    scene = with_faces(
        scene,
        translation=translation * torch.tensor([[1.0], [2.0]]),
        rotation=front.rotation[first],
        identity=front.identity[first],
    )
    from morphable_reconstruct.drawing.textures import photo_texture

    assert photo_texture(scene[0], size_px=64).visible.mean() > 0.2
    assert photo_texture(scene[1], size_px=64).visible.mean() < 0.01


def test_refusals(tmp_path, scene):
    with pytest.raises(
        ValueError, match=r"path must end in one of \.glb, \.obj, \.ply, \.json, \.npz, \.csv, got '\.stl'"
    ):
        scene.save(tmp_path / "s.stl")
    with pytest.raises(FileNotFoundError, match="path must be in an existing folder"):
        scene.save(tmp_path / "none" / "s.glb")
    with pytest.raises(ValueError, match="texture must be one of albedo, photo, none, got 'shiny'"):
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
