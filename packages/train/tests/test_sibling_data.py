"""The siblings' own data sets in their real layouts, from the folder to two steps of training."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from stand_in import draw_truth, render_record
from tiny_recipes import SIDE, YAW, tiny_recipe

from morphable.geometry import camera_from_model, rotation_from_angles
from morphable_regressors import CropRule, FaceParser, SystemSpec
from morphable_regressors.systems import ParserConfig
from morphable_synth.assets.parts import PART_NAMES
from morphable_train.data.faces import input_targets, source_faces
from morphable_train.data.shards import ShardReader, read_info
from morphable_train.data.surface import SurfaceSample
from morphable_train.preparation.basel import PARALLEL_FOCAL_PX, basel_labels
from morphable_train.preparation.parts import labels_of_parts, read_parts
from morphable_train.preparation.photographs import prepare
from morphable_train.preparation.records import PrepareConfig
from morphable_train.readers import open_source
from morphable_train.readers.w300lp import read_basel_fit
from morphable_train.recipes.running import run_recipe

SIZE = 96
SHAPE_SCALE, EXPRESSION_SCALE = 1e5, 0.5
SHIFT = np.array([2.0, -3.0, 5.0]) * 1e3  # of the data set's origin, in its units (micrometers)


@pytest.fixture(scope="module")
def basel(model, tmp_path_factory):
    """The stand-in's modes as 3DDFA writes arrays: micrometers, one row per coordinate, modes in units of their own."""
    folder, data = tmp_path_factory.mktemp("3ddfa"), model.data()
    mean = data.mean.numpy().astype(np.float64) * 1e6 + SHIFT
    np.save(folder / "u_shp.npy", mean.reshape(-1, 1))
    np.save(folder / "u_exp.npy", np.zeros_like(mean).reshape(-1, 1))
    modes = {"shp": (data.identity_basis, SHAPE_SCALE), "exp": (data.expression_basis, EXPRESSION_SCALE)}
    for name, (basis, scale) in modes.items():
        np.save(folder / f"w_{name}_sim.npy", basis.flatten(1).T.numpy().astype(np.float64) * 1e6 / scale)
    return folder


def static_points(truth, model, place, angles, scale):
    """The 68 points of a face under 300W-LP's camera, pixels counted from one."""
    shape = model.landmarks(model.decode_shape(truth["identity"], truth["expression"]))[0].double().numpy()
    rotation = rotation_from_angles(torch.tensor([angles]))[0].double().numpy()
    right, up = (scale * (shape * 1e6 + SHIFT) @ rotation.T)[:, :2].T + np.array(place)[:, None]
    return np.stack([right, SIZE + 1 - up], 1)


@pytest.fixture(scope="module")
def w300lp(model, tmp_path_factory):
    """Four faces of 300W-LP; pictures are noise, for what is tested are labels."""
    from scipy.io import savemat

    folder = tmp_path_factory.mktemp("data") / "300W_LP"
    (folder / "AFW").mkdir(parents=True)
    (folder / "landmarks" / "AFW").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), np.uint8)
    for index in range(4):
        truth = draw_truth(model, 1, index, size_px=SIZE, face_px=(40, 50))
        angles, place, scale = [0.1, 0.3 * index - 0.4, 0.2], [46.0 + index, 52.0], 3e-4
        name = f"AFW_1_1_{index}"
        Image.fromarray(pixels).save(folder / "AFW" / f"{name}.jpg")
        shape, expression = np.full((199, 1), 7.0), np.full((29, 1), 0.3)  # beyond the model's modes: not read
        shape[:6, 0] = truth["identity"][0].numpy() * SHAPE_SCALE
        expression[:4, 0] = truth["expression"][0].numpy() * EXPRESSION_SCALE
        pose = np.array([[*angles, *place, 0.0, scale]])
        parameters = {"Shape_Para": shape, "Exp_Para": expression, "Pose_Para": pose, "pt2d": np.zeros((2, 68))}
        savemat(folder / "AFW" / f"{name}.mat", parameters)
        points = static_points(truth, model, place, angles, scale)
        savemat(folder / "landmarks" / "AFW" / f"{name}_pts.mat", {"pts_3d": points, "pts_2d": points})
    return folder


def test_parameters_become_labels_that_project_to_the_points(model, model_file, basel, w300lp):
    converter = basel_labels(basel, str(model_file))
    for index, item in enumerate(open_source(w300lp)):
        truth = draw_truth(model, 1, index, size_px=SIZE, face_px=(40, 50))
        labels = converter.labels(read_basel_fit(item.parameters), item.landmarks68_px[0], (SIZE, SIZE))
        vertices = model.decode_shape(torch.tensor(labels.identity), torch.tensor(labels.expression))
        # two of the stand-in's expressions move the face alike, so that shapes are compared
        known = model.decode_shape(truth["identity"], truth["expression"])
        assert float((vertices - known).norm(dim=-1).max()) < 1e-5
        shape = model.landmarks(vertices)
        cam = camera_from_model(shape, torch.tensor(labels.rotation_head), torch.tensor(labels.translation_m))
        px = (cam[0, :, :2] / cam[0, :, 2:] * PARALLEL_FOCAL_PX + SIZE / 2).numpy()
        assert np.abs(px - item.landmarks68_px[0]).max() < 0.1  # 0.1 % perspective on 50 px


def test_prepared_parameters_stay_on_their_pixels_in_the_crop(model, model_file, basel, w300lp, tmp_path):
    config = PrepareConfig(basel=basel, basel_model=model_file, min_face_px=20.0, size_px=64, skin="none")
    assert prepare(w300lp, tmp_path / "out", config).faces == 4
    assert read_info(tmp_path / "out").model == "stand-in"
    reader, surface = ShardReader(tmp_path / "out"), SurfaceSample(model)
    for index in range(len(reader)):
        record = reader.read(index)
        assert record.labels.exact.all()
        source = source_faces(record.labels, record.image.shape[:2], model)
        side = record.image.shape[0]
        still = torch.eye(3)[None], torch.zeros(1, dtype=torch.bool)
        first = torch.zeros(1, dtype=torch.long)
        seen = input_targets(source, first, *still, input_px=side, model=model, surface=surface)
        error = (seen.landmarks68_px - source.landmarks68_px).norm(dim=-1)
        assert float(error.max()) < 0.1
        assert float(seen.translation_m[0, 2]) < 10  # under the network's own lens, no longer the long one
    with pytest.raises(ValueError, match=r"options must be those .* was begun with"):
        prepare(w300lp, tmp_path / "out", replace(config, basel=None, basel_model=None))


@pytest.mark.parametrize("recipe", ["mobile_frnet", "prnet"])
def test_mobile_frnet_and_prnet_train_on_300w_lp(recipe, model_file, basel, w300lp, tmp_path):
    config = PrepareConfig(basel=basel, basel_model=model_file, min_face_px=20.0, skin="none")
    prepare(w300lp, tmp_path / "shards", config)
    settings = tiny_recipe(recipe, model_file, tmp_path / "shards")
    if recipe == "mobile_frnet":
        settings = replace(settings, num_identity=4, num_expression=3, whitening_faces=4)
    results = run_recipe(settings, tmp_path / "run")
    assert np.isfinite(results.after["nme"])
    prepare(w300lp, tmp_path / "weak", replace(config, basel=None, basel_model=None))
    with pytest.raises(ValueError, match=r"must have coefficients for .*, got 4 of 4 with landmarks alone"):
        run_recipe(tiny_recipe(recipe, model_file, tmp_path / "weak"), tmp_path / "run2")


def test_basel_refusals(model, model_file, basel, tmp_path):
    with pytest.raises(ValueError, match="basel and basel_model must go together"):
        PrepareConfig(basel=basel)
    with pytest.raises(FileNotFoundError, match=r"basel must be a folder with u_shp\.npy"):
        basel_labels(tmp_path, str(model_file))
    for path in basel.iterdir():
        np.save(tmp_path / path.name, np.load(path)[:-3])
    with pytest.raises(ValueError, match="basel_model must have the 624 vertices"):
        basel_labels(tmp_path, str(model_file))
    for path in basel.iterdir():
        np.save(tmp_path / path.name, np.load(path))
    modes = np.load(basel / "w_shp_sim.npy")
    np.save(tmp_path / "w_shp_sim.npy", np.random.default_rng(0).permutation(modes))
    with pytest.raises(ValueError, match="basel_model must have the modes of"):
        basel_labels(tmp_path, str(model_file))


def write_views(model, path_of_view, people, listed=None):
    """Photographs of the stand-in from three sides; points go into a mapping or into `.pts` files."""
    for person in range(people):
        truth = draw_truth(model, 1, person, size_px=SIZE, face_px=(36, 44))
        for view, yaw in YAW.items():
            turned = truth | {"rotation_head": rotation_from_angles(torch.tensor([[0.0, yaw, 0.0]]))}
            record = render_record(model, turned, f"{person}{view}", size_px=SIZE, weak=True, contour=True)
            path = path_of_view(person, view)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(record.image).save(path)
            points = record.labels.landmarks68_px[0]
            if listed is not None:
                listed[path] = {"landmarks68_px": points.tolist()}
            else:
                body = "\n".join(f"{x} {y}" for x, y in points + 0.5)
                path.with_suffix(".pts").write_text(f"version: 1\nn_points: 68\n{{\n{body}\n}}\n")


LAYOUTS = {
    "triples": lambda person, view: f"person{person}/{view}.png",
    "pixel_face": lambda person, view: "{0}/0033{1}1{0}.png".format(("left", "front", "right").index(view), person),
    "multi_pie": lambda person, view: "session01/multiview/00{0}/01/{1}/00{0}_01_01_{2}_06.png".format(
        person,
        {"left": "08_0", "front": "05_1", "right": "19_0"}[view],
        {"left": "080", "front": "051", "right": "190"}[view],
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_views_are_found_in_their_layouts(layout, model, tmp_path):
    write_views(model, lambda person, view: tmp_path / LAYOUTS[layout](person, view), 2)
    items = list(open_source(tmp_path))
    assert len(items) == 6
    for item in items:
        assert item.landmarks68_px is not None
        # from the person's left, the nose tip is left of the middle of the outer eye corners
        shift = item.landmarks68_px[0, 30, 0] - item.landmarks68_px[0, [36, 45], 0].mean()
        view = item.name.rpartition("_")[2]
        turned = 0 if abs(shift) < 1.0 else np.sign(shift)
        assert turned == {"left": -1, "front": 0, "right": 1}[view]
    right = tmp_path / LAYOUTS[layout](1, "right")
    right.unlink()
    assert [item.problem for item in open_source(tmp_path) if item.problem] == ["missing view: no right of it"]


@pytest.mark.parametrize("layout", ["triples", "pixel_face"])
def test_df_mvr_trains_on_photographs_of_three_views(layout, model, model_file, tmp_path):
    source, listed = tmp_path / "source", {}
    write_views(model, lambda person, view: source / LAYOUTS[layout](person, view), 2, listed)
    entries = {path.relative_to(source).as_posix(): entry for path, entry in listed.items()}
    (source / "landmarks68.json").write_text(json.dumps(entries))
    prepare(source, tmp_path / "shards", PrepareConfig(min_face_px=20.0, kind=layout))
    weights = tmp_path / "parser.safetensors"
    _write_parser(weights, model)
    config = tiny_recipe("dfmvr", model_file, tmp_path / "shards", parser=weights, photo_every=1)
    results = run_recipe(config, tmp_path / "run")
    assert set(results.after) == {"nme", "people"}  # nothing else is known of photographs
    assert np.isfinite(results.after["nme"])


def _write_parser(path, model):
    from morphable import InferenceDefaults, WeightsInfo, reference_to, write_weights

    spec = SystemSpec(crop=CropRule(side_px=SIDE, face_share=0.6), config=ParserConfig())
    info = WeightsInfo(
        name="parser",
        architecture=spec.to_json(),
        model=reference_to(model),
        license="CC0-1.0",
        training_data="none",
        inference=InferenceDefaults(size_px=SIDE),
        results={},
    )
    write_weights(path, info, FaceParser().state_dict())


def write_celebamask(folder, faces=3):
    """Drawn faces with the masks of their parts in CelebAMask-HQ's layout: 96 px pictures, 48 px masks."""
    (folder / "CelebA-HQ-img").mkdir(parents=True)
    (folder / "CelebAMask-HQ-mask-anno" / "0").mkdir(parents=True)
    boxes = {  # left, top, right, bottom in a picture of 96
        "hair": (20, 6, 76, 30),
        "skin": (24, 20, 72, 84),
        "l_brow": (28, 32, 42, 36),
        "r_brow": (54, 32, 68, 36),
        "l_eye": (30, 40, 42, 46),
        "r_eye": (54, 40, 66, 46),
        "nose": (42, 40, 54, 60),
        "mouth": (38, 68, 58, 72),
        "u_lip": (36, 64, 60, 68),
        "l_lip": (36, 72, 60, 76),
    }
    for number in range(faces):
        pixels = np.random.default_rng(number).integers(0, 80, (96, 96, 3), np.uint8)
        for value, (name, (left, top, right, bottom)) in enumerate(boxes.items()):
            pixels[top:bottom, left:right] = 90 + 12 * value
            mask = np.zeros((48, 48), np.uint8)
            mask[top // 2 : bottom // 2, left // 2 : right // 2] = 255
            Image.fromarray(mask).save(folder / "CelebAMask-HQ-mask-anno" / "0" / f"{number:05d}_{name}.png")
        Image.fromarray(pixels).save(folder / "CelebA-HQ-img" / f"{number}.jpg", quality=95)
    return folder


def test_celebamask_hq_gives_parts_and_a_box(tmp_path):
    folder = write_celebamask(tmp_path / "set")
    (folder / "CelebAMask-HQ-mask-anno" / "0" / "00002_skin.png").unlink()
    items = list(open_source(folder))
    assert [item.problem for item in items] == ["", "", "missing part masks: no 00002_skin.png for it"]
    parts = read_parts(items[0].part_masks, (96, 96))
    assert parts[50, 30] == PART_NAMES.index("skin")
    assert parts[70, 48] == PART_NAMES.index("inner_mouth")
    assert parts[10, 48] == PART_NAMES.index("hair")
    # the set calls the eye at the picture's left "left"; it is the person's right one
    assert parts[43, 36] == PART_NAMES.index("right_eye")
    assert parts[43, 60] == PART_NAMES.index("left_eye")
    # from the brows to the chin, from ear to ear
    assert labels_of_parts(parts).boxes_px()[0].tolist() == [24, 32, 72, 84]
    with pytest.raises(ValueError, match="part masks must show skin"):
        labels_of_parts(np.zeros((9, 9), np.uint8))


def test_parsing_trains_on_celebamask_hq(model_file, tmp_path):
    folder = write_celebamask(tmp_path / "set")
    prepare(folder, tmp_path / "shards", PrepareConfig(size_px=96))
    reader = ShardReader(tmp_path / "shards")
    assert set(np.unique(reader.parts(0))) >= {PART_NAMES.index(name) for name in ("skin", "nose", "left_eye")}
    assert reader.read(0).skin.max() == 255
    config = tiny_recipe("parsing", model_file, tmp_path / "shards", backbone="mobilenet_v2")
    results = run_recipe(config, tmp_path / "run")
    assert 0 <= results.after["mean_iou"] <= 1
