"""Per-face networks after the single-shot network's boxes: answers in crops become faces in the photograph."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from stand_ins import LAYOUT, DotDetector, dotted, stacked

from morphable import WeightsInfo, reference_to, write_weights
from morphable.geometry import GLOBAL_FOCAL_PX, camera_from_model, rotation_from_angles
from morphable_reconstruct.batch.options import RunConfig, ViewsConfig
from morphable_reconstruct.batch.views import view_sources
from morphable_reconstruct.commands.reconstruct import run
from morphable_reconstruct.commands.views import run_views
from morphable_reconstruct.exports.glb import neutral_vertices
from morphable_reconstruct.faces.camera import Camera
from morphable_reconstruct.photographs.reading import Photograph
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.per_face import weights
from morphable_reconstruct.reconstructor.per_face.decoding import (
    scene_of_parameters,
    scene_of_position_maps,
    scene_of_views,
)
from morphable_reconstruct.reconstructor.per_face.nearest import nearest_coefficients
from morphable_reconstruct.reconstructor.per_face.weights import load_per_face
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.scene import Scene
from morphable_regressors import CropRule, SystemSpec, build_system, crop_matrices
from morphable_regressors.dfmvr import MultiViewParameters
from morphable_regressors.face_codec import OrthographicFaces
from morphable_regressors.systems import MultiViewConfig, ParameterConfig, PositionMapConfig
from morphable_render import uv_layout, uv_mesh
from morphable_render.uv import uv_map_from_vertices

SIDE = 64
RULE = CropRule(side_px=SIDE, face_share=0.6)
CAMERA = Camera(focal_px=1200.0, size_hw=(300, 400))
CONFIGS = {
    "mobile_frnet": ParameterConfig(num_identity=2, num_expression=2, model_identity=4, model_expression=3),
    "prnet": PositionMapConfig(width=4),
    "dfmvr": MultiViewConfig(width=0.25, parsing_channel=False, num_identity=4, num_expression=3, num_albedo=2),
}


def detected(model, camera=CAMERA) -> Scene:
    """What the single-shot network said: the mean face somewhere."""
    return Scene(
        photo=Photograph(pixels=np.zeros((300, 400, 3), np.uint8), name="a.jpg"),
        camera=camera,
        model=model,
        faces=stacked([{"albedo": [0.5, 0.5], "translation_m": [0, 0, 1.5]}]),
        score=np.float32([0.9]),
        center_px=np.float32([[200.0, 150.0]]),
    )


def crop_of(x: float, y: float, size: float) -> torch.Tensor:
    box = torch.tensor([[x - size / 2, y - size / 2, x + size / 2, y + size / 2]])
    return crop_matrices(box, RULE)


def to_photo(points_px: torch.Tensor, matrix: torch.Tensor) -> np.ndarray:
    return ((points_px[..., :2] - matrix[0, :2, 2]) / matrix[0, 0, 0]).numpy()


ROTATION = rotation_from_angles(torch.tensor([0.1, -0.3, 0.05]))
IDENTITY, EXPRESSION = torch.tensor([0.5, -1.0, 0.3, 0.8]), torch.tensor([0.4, 0.0, 0.2])


def test_parameters_are_placed_on_their_pixels(model):
    """Under a camera so long that perspective is gone, every landmark lies where parallel rays put it."""
    scene = detected(model, Camera(focal_px=5e4, size_hw=(300, 400)))
    matrix = crop_of(120.0, 90.0, 90.0)
    found = OrthographicFaces(
        ROTATION[None], torch.tensor([270.0]), torch.tensor([[30.0, 35.0]]), IDENTITY[None], EXPRESSION[None]
    )
    (placed,) = scene_of_parameters(found, matrix, scene)
    points = model.landmarks(model.decode_shape(IDENTITY, EXPRESSION)) @ ROTATION.T * torch.tensor([1.0, -1.0, -1.0])
    expected = to_photo(points * 270.0 + torch.tensor([30.0, 35.0, 0.0]), matrix)
    np.testing.assert_allclose(placed.landmarks68_px, expected, atol=0.1)  # 0.1 m of depth at 90 m
    np.testing.assert_allclose(placed.rotation_head, ROTATION.numpy(), atol=5e-3)
    assert placed.score == scene[0].score
    np.testing.assert_array_equal(placed.albedo, scene[0].albedo)


def crop_positions(model, vertices, translation):
    """What a perfect PRNet says of a face in its crop's camera: pixels, and depth from the origin in pixels."""
    cam = camera_from_model(vertices, ROTATION, translation)
    focal = GLOBAL_FOCAL_PX
    xy = cam[:, :2] / cam[:, 2:] * focal + SIDE / 2
    return torch.cat([xy, (cam[:, 2:] - translation[2]) * focal / translation[2]], dim=1)


def test_position_maps_keep_pixels_and_shape(model):
    scene, matrix = detected(model), crop_of(230.0, 140.0, 70.0)
    vertices = model.decode_shape(IDENTITY, EXPRESSION)
    positions = crop_positions(model, vertices, torch.tensor([0.02, -0.03, 4.0]))
    maps = uv_map_from_vertices(positions, uv_layout(uv_mesh(model), SIDE))
    (placed,) = scene_of_position_maps(maps[None], matrix, scene)
    assert placed.scene.surface_m is not None
    expected = to_photo(model.landmarks(positions), matrix)
    np.testing.assert_allclose(placed.landmarks68_px, expected, atol=0.6)  # a map of 64 texels; 1.8 px each here
    size = np.ptp(placed.vertices_model_m, axis=0) / np.ptp(vertices.numpy(), axis=0)
    np.testing.assert_allclose(size / size.mean(), 1.0, atol=0.03)
    np.testing.assert_allclose(neutral_vertices(placed).shape, placed.vertices_model_m.shape)


def test_nearest_coefficients_of_a_face_of_the_model_are_its_own(model):
    vertices = model.decode_shape(IDENTITY, EXPRESSION).numpy()
    identity, expression = nearest_coefficients(model, vertices)
    again = model.decode_shape(torch.from_numpy(identity), torch.from_numpy(expression)).numpy()
    assert np.linalg.norm(again - vertices, axis=1).mean() < 5e-4


def test_views_place_the_face_in_their_photograph(model):
    scene, matrix = detected(model), crop_of(150.0, 160.0, 80.0)
    zeros = torch.zeros
    found = MultiViewParameters(
        IDENTITY[None], EXPRESSION[None], zeros(1, 2), zeros(1, 9, 3), zeros(1, 3, 3), zeros(1, 3, 2), zeros(1, 3)
    )
    (placed,) = scene_of_views(found, RULE, matrix, scene, view=1)
    # Raw zeros: the model origin in the middle of the crop, which is (150, 160) in the photograph.
    origin = placed.camera.project(placed.translation_m[None])[0]
    np.testing.assert_allclose(origin, (150, 160), atol=1.0)
    assert placed.camera is scene.camera


@pytest.fixture
def files(model, tmp_path):
    """Untrained weights of each network for the toy model."""
    written = {}
    for kind in CONFIGS:
        torch.manual_seed(0)
        spec = SystemSpec(crop=RULE, config=CONFIGS[kind])
        info = WeightsInfo(
            name=kind, architecture=spec.to_json(), model=reference_to(model), license="MIT", training_data="none"
        )
        written[kind] = tmp_path / f"{kind}.safetensors"
        system = build_system(spec)
        if kind == "mobile_frnet":  # its mean face: looks at the camera from the middle of the crop
            mean = system.codec.mean.zero_()
            mean[[0, 5, 10]], mean[[3, 7]] = torch.tensor([250.0, -250.0, -250.0]), SIDE / 2
        write_weights(written[kind], info, system.state_dict())
    return written


def per_face(model, path) -> Reconstructor:
    settings = ReconstructConfig(min_score=0.4, size_px=320, batch_size=2)
    return Reconstructor(DotDetector(), model, per_face=path, config=settings)


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_scenes_are_those_of_the_single_shot_network_with_other_faces(model, files, kind):
    picture = dotted((240, 320), [(100, 120), (250, 90)], dot_px=16)
    reconstructor = per_face(model, files[kind])
    scene, empty = reconstructor.many([picture, dotted((240, 320), [])])
    assert len(scene) == 2
    assert len(empty) == 0
    detected_alone = Reconstructor(DotDetector(), model, config=reconstructor.config)(picture)
    for face, other in zip(scene, detected_alone, strict=True):
        assert np.abs(face.landmarks68_px - other.landmarks68_px).max() > 1.0
        assert np.abs(face.landmarks68_px.mean(0) - other.landmarks68_px.mean(0)).max() < np.ptp(other.landmarks68_px)
    assert all(face.score > 0.4 for face in scene)
    assert all(np.isfinite(face.vertices_px).all() for face in scene)
    assert scene.rendered.rgb.shape == (240, 320, 3)


def test_the_command_writes_files_and_predictions(model, files, tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(dotted((240, 320), [(100, 120)], dot_px=16)).save(folder / "a.png")
    config = RunConfig(
        sources=(str(folder),), out=tmp_path / "out", save="glb,json,npz", texture="none", preds=tmp_path / "p.npz"
    )
    assert run(config, per_face(model, files["prnet"])) == 0
    with np.load(tmp_path / "p.npz") as predictions:
        assert predictions["landmarks68_px"].shape == (1, 68, 2)
    assert {path.suffix for path in (tmp_path / "out").iterdir()} >= {".glb", ".json", ".npz"}


def test_dfmvr_takes_left_front_and_right(model, files, tmp_path, capsys):
    pictures = [dotted((240, 320), [(x, 120)], dot_px=16) for x in (100, 160, 220)]
    reconstructor = per_face(model, files["dfmvr"])
    scene = reconstructor.views(pictures)
    (face,) = scene
    np.testing.assert_array_equal(scene.image, pictures[1])
    assert abs(face.landmarks68_px[:, 0].mean() - 160) < 40
    assert len(reconstructor.views(pictures[:1])) == 1
    paths = []
    for name, picture in zip(("left", "front", "right"), pictures, strict=True):
        paths.append(tmp_path / f"{name}.png")
        Image.fromarray(picture).save(paths[-1])
    network = str(files["dfmvr"])
    config = ViewsConfig(
        views=tuple(paths), out=tmp_path / "out", save="json", preds=tmp_path / "p.npz", per_face=network
    )
    assert run_views(config, reconstructor) == 0
    assert (tmp_path / "out" / "front.json").is_file()
    again = replace(config, views=(paths[0], paths[0], paths[2]), out=tmp_path / "again")
    assert run_views(again, reconstructor) == 0  # the same picture may stand for two views
    assert (tmp_path / "again" / "left.json").is_file()


def test_each_input_of_dfmvr_sees_its_own_view(model, files):
    """Left is the first input, and the pose that of the front: seen by a system that notes its inputs' brightness."""
    seen = []

    class System(torch.nn.Module):
        def forward(self, views, parsing=None):
            seen.append(views.mean((2, 3, 4))[0])
            zeros = torch.zeros
            rotation = torch.tensor([[[0.0, 0.5, 0.0], [0.0, 0.1, 0.0], [0.0, -0.5, 0.0]]])
            return MultiViewParameters(
                IDENTITY[None], EXPRESSION[None], zeros(1, 2), zeros(1, 9, 3), rotation, zeros(1, 3, 2), zeros(1, 3)
            )

    reconstructor = per_face(model, files["dfmvr"])
    reconstructor.per_face = replace(reconstructor.per_face, system=System())
    pictures = [dotted((240, 320), [(160, 120)], dot_px=size) for size in (12, 16, 20)]
    own = [reconstructor.views([picture]) and seen[-1][0] for picture in pictures]
    assert len({round(float(value), 3) for value in own}) == 3
    (face,) = reconstructor.views(pictures)
    torch.testing.assert_close(seen[-1], torch.stack(own))
    expected = rotation_from_angles(torch.tensor([0.0, -0.1, 0.0])).numpy()
    np.testing.assert_allclose(face.rotation_head, expected, atol=0.02)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("front", "left", "right"), "in the order left, front, right of one person; got .*front.png for left"),
        (("front", "right"), "got .*front.png for left"),
        (("left", "right"), "got .*right.png for front"),
        (("left", "front", "right", "left"), "views must be 1 to 3 pictures"),
        ((".",), "views must be single pictures"),
    ],
)
def test_views_must_be_named_in_order(model, files, tmp_path, names, message):
    for name in ("left", "front", "right"):
        Image.fromarray(dotted((240, 320), [(160, 120)], dot_px=16)).save(tmp_path / f"{name}.png")
    assert view_sources([str(tmp_path / "right.png")])
    views = tuple(tmp_path if name == "." else tmp_path / f"{name}.png" for name in names)
    config = ViewsConfig(views=views, out=tmp_path / "out", save="json", per_face=str(files["dfmvr"]))
    with pytest.raises(ValueError, match=message):
        run_views(config, per_face(model, files["dfmvr"]))


def test_refusals(model, files):
    pictures = [dotted((240, 320), [(100, 120)], dot_px=16)] * 4
    multi = per_face(model, files["dfmvr"])
    with pytest.raises(ValueError, match="views must be 1 to 3 photographs of one person"):
        multi.views(pictures)
    with pytest.raises(ValueError, match="views must each show a face, got none"):
        multi.views([dotted((240, 320), [])])
    with pytest.raises(ValueError, match="per_face must be dfmvr to take views"):
        per_face(model, files["prnet"]).views(pictures[:1])


def test_names_are_those_of_the_weights_that_are_there(model, files, tmp_path, monkeypatch):
    folder = tmp_path / "per_face"
    folder.mkdir()
    monkeypatch.setattr(weights, "BUNDLED_FOLDER", tmp_path)
    for kind in ("prnet", "mobile_frnet"):
        files[kind].rename(folder / f"{kind}.safetensors")
    assert load_per_face("prnet", model).kind == "prnet"
    with pytest.raises(
        FileNotFoundError, match=r"must be mobile_frnet, prnet or an existing weights file, got nothing"
    ):
        load_per_face("nothing", model)
    with pytest.raises(FileNotFoundError, match=r"got dfmvr; train dfmvr \(`morphable-train run dfmvr`\)"):
        load_per_face("dfmvr", model)


def test_names_are_looked_for_in_the_folder_first(model, files):
    folder = files["prnet"].parent
    assert load_per_face("prnet", model, folder).crop == RULE
    files["prnet"].rename(folder / "mine.safetensors")
    assert Reconstructor(DotDetector(), model, per_face="mine", weights_dir=folder).per_face.kind == "prnet"
    with pytest.raises(
        FileNotFoundError, match=r"per_face must be .*, mine.* or an existing weights file, got nothing"
    ):
        load_per_face("nothing", model, folder)


def test_weights_of_another_network_or_face_model_are_refused(model, files, tmp_path):
    from stand_ins import toy_model

    with pytest.raises(ValueError, match="model must be the one the weights"):
        load_per_face(files["prnet"], toy_model(seed=1))
    info = WeightsInfo(
        name="d", architecture={"backbone": "x"}, model=reference_to(model), license="MIT", training_data="none"
    )
    write_weights(tmp_path / "d.safetensors", info, {})
    with pytest.raises(ValueError, match="must be weights of mobile_frnet, prnet, dfmvr, got those of a detector"):
        load_per_face(tmp_path / "d.safetensors", model)


def test_layout_of_the_toy_model_is_as_assumed():
    assert (LAYOUT.num_identity, LAYOUT.num_expression, LAYOUT.num_albedo) == (4, 3, 2)
