"""Recipes of the per-face networks: data, targets, runs, packages."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_recipes import SIDE, tiny_recipe
from tiny_run import write_shards

from morphable import ModelData, MorphableModel, load_model
from morphable.geometry.orthographic import project_scaled_orthographic
from morphable_losses.position_map import FACE_WEIGHT, LANDMARK_WEIGHT
from morphable_regressors import CropRule, crop_matrices
from morphable_regressors.crops import boxes_of_landmarks
from morphable_regressors.position_map import map_of_points
from morphable_render import uv_layout, uv_mesh
from morphable_render.uv import vertices_from_uv_map
from morphable_synth import SceneConfig
from morphable_synth.assets.parts import PART_NAMES
from morphable_train.cli import main
from morphable_train.configs.recipe_names import ABLATIONS, PRESETS
from morphable_train.configs.recipe_presets import recipe_preset
from morphable_train.configs.recipes import RecipeData
from morphable_train.configs.stages import AugmentConfig
from morphable_train.data.augment import draw_changes
from morphable_train.data.shards import ShardReader, read_info
from morphable_train.data.streams import Shard
from morphable_train.recipes.base.batches import MIRRORED_PARTS, finish_crops, load_crops, plain_crops
from morphable_train.recipes.base.crops import open_part_crops
from morphable_train.recipes.base.targets import orthographic_truth, points_in_crop, true_shape
from morphable_train.recipes.dfmvr.triples import TriplesConfig, sample_triple, write_triples
from morphable_train.recipes.dfmvr.views import choose_inputs, group_views
from morphable_train.recipes.mobile_frnet.recipe import FrnetRecipe, points_of_parameters
from morphable_train.recipes.parsing.recipe import class_of_part, confusion, intersection_over_union
from morphable_train.recipes.prnet.recipe import PrnetRecipe, weight_mask

RULE = CropRule(side_px=SIDE)
DATA = RecipeData(min_face_px=16.0)


@pytest.fixture(scope="module")
def crops(part_shards, model, tmp_path_factory):
    return open_part_crops((part_shards,), tmp_path_factory.mktemp("cache"), RULE, DATA, model)


def still(count):
    """Changes that change nothing."""
    drawn = draw_changes(torch.Generator().manual_seed(0), count, AugmentConfig())
    zero = torch.zeros(count)
    return replace(
        drawn, flipped=zero > 1, size=zero + 0.5, angle_rad=zero, shift=torch.zeros(count, 2),
        gain=torch.ones(count, 3), contrast=zero + 1, saturation=zero + 1,
        blurred=zero > 1, noise=zero, erased=zero > 1,
    )  # fmt: skip


def test_plain_crops_are_what_inference_cuts(crops, model, surface):
    """The true points lie in the crop where the rule's matrix puts those of the source picture."""
    index = torch.arange(len(crops))
    batch = finish_crops(plain_crops(crops, index, RULE), RULE, model, surface)
    source = crops.faces.landmarks68_px
    matrix = crop_matrices(boxes_of_landmarks(source), RULE)
    moved = source @ matrix[:, :2, :2].mT + matrix[:, None, :2, 2]
    torch.testing.assert_close(batch.faces.landmarks68_px, moved, atol=1e-2, rtol=0)
    size = batch.faces.boxes_px()
    longest = (size[:, 2:] - size[:, :2]).amax(1)
    torch.testing.assert_close(longest, torch.full_like(longest, RULE.face_px), atol=1e-2, rtol=0)


def test_parts_move_with_the_picture_and_change_sides_in_the_mirror(crops, model, surface):
    index, augment = torch.arange(len(crops)), AugmentConfig(zoom=(1.0, 1.0), shift=0.0)
    plain = finish_crops(plain_crops(crops, index, RULE), RULE, model, surface)
    changes = replace(still(len(index)), flipped=torch.ones(len(index), dtype=torch.bool))
    mirrored = finish_crops(load_crops(crops, index, RULE, augment=augment, changes=changes), RULE, model, surface)
    same = (mirrored.part.flip(2) == MIRRORED_PARTS[plain.part]).float().mean()
    assert float(same) > 0.98
    assert (plain.part == PART_NAMES.index("left_brow")).any()


def test_a_hidden_patch_is_an_occluder(crops, model, surface):
    index = torch.arange(2)
    patch = torch.tensor([[0.5, 0.5, 0.2, 0.2]]).repeat(2, 1)
    changes = replace(still(2), erased=torch.ones(2, dtype=torch.bool), patch=patch)
    augment = AugmentConfig(zoom=(1.0, 1.0), shift=0.0)
    batch = finish_crops(load_crops(crops, index, RULE, augment=augment, changes=changes), RULE, model, surface)
    hidden = batch.part == PART_NAMES.index("occluder")
    # a square of 0.4 of the side: 12.8 px, whole pixels by their centers
    assert int(hidden[0].sum()) in (12 * 12, 12 * 13, 13 * 13)
    assert bool(hidden[:, SIDE // 2, SIDE // 2].all())


def test_crops_are_made_once(part_shards, model, tmp_path):
    first = open_part_crops((part_shards,), tmp_path, RULE, DATA, model)
    stamp = next(tmp_path.glob("parts_*/info.json")).stat().st_mtime_ns
    again = open_part_crops((part_shards,), tmp_path, RULE, DATA, model)
    assert next(tmp_path.glob("parts_*/info.json")).stat().st_mtime_ns == stamp
    np.testing.assert_array_equal(first.part, again.part)


def test_every_class_has_its_part_and_the_rest_is_background():
    table = class_of_part()
    assert table[PART_NAMES.index("inner_mouth")] == 7
    assert table[PART_NAMES.index("left_brow")] == 2
    for name in ("background", "hair", "ears", "neck", "glasses", "occluder", "mask"):
        assert table[PART_NAMES.index(name)] == 0
    assert sorted(set(table.tolist())) == list(range(10))


def test_iou_by_hand():
    # class 1: two pixels true, one of them found, one found elsewhere: 1 / 3; class 0: 1 hit, 3 in the union
    counts = confusion(torch.tensor([0, 1, 1, 0]), torch.tensor([0, 0, 1, 1]))
    iou = intersection_over_union(counts)
    assert iou[:2].tolist() == pytest.approx([1 / 3, 1 / 3])
    assert iou[2].isnan()


def test_orthographic_truth_draws_the_face_where_it_is(crops, model, surface):
    faces = finish_crops(plain_crops(crops, torch.arange(len(crops)), RULE), RULE, model, surface).faces
    shape = true_shape(faces, surface)
    truth = orthographic_truth(faces, surface, SIDE)
    drawn = project_scaled_orthographic(
        shape, truth.rotation_head, scale_px_per_m=truth.scale_px_per_m, offset_px=truth.offset_px
    )
    error = (drawn[..., :2] - points_in_crop(shape, faces, SIDE)[..., :2]).norm(dim=-1).mean()
    assert float(error) / RULE.face_px < 0.01  # what perspective leaves


def test_frnet_parameters_and_points_agree(crops, model, model_file, part_shards):
    config = tiny_recipe("mobile_frnet", model_file, part_shards, num_identity=6, num_expression=4, whitening_faces=4)
    recipe = FrnetRecipe(config, model, crops, crops, Shard())
    batch = recipe.held_out.batch(0, len(crops))
    codec = recipe._codec
    truth = orthographic_truth(batch.faces, recipe.surface, SIDE)
    points = points_of_parameters(codec.pack(truth), recipe.face)
    goal = points_in_crop(true_shape(batch.faces, recipe.surface), batch.faces, SIDE)
    assert float((points - goal)[..., :2].norm(dim=-1).mean()) / RULE.face_px < 0.02
    values = recipe.validate(recipe.network.eval())
    assert values["faces"] == len(crops)
    assert 0 < values["mean_face_nme"] < 1


def test_position_maps_hold_the_face_and_the_mask_its_ratio(crops, model, model_file, part_shards):
    config = tiny_recipe("prnet", model_file, part_shards)
    recipe = PrnetRecipe(config, model, crops, crops, Shard())
    batch = recipe.held_out.batch(0, 2)
    maps = recipe.true_map(batch.faces)
    vertices = model.decode_shape(batch.faces.identity, batch.faces.expression)
    nearness = map_of_points(points_in_crop(vertices, batch.faces, SIDE), SIDE)[..., 2]
    assert float(nearness.min()) > 0
    assert float(nearness.max()) < 1.1 * SIDE
    landmarks, _ = recipe._points(maps)
    # a map of 32 texels of a 32 px crop
    torch.testing.assert_close(landmarks[..., :2], batch.faces.landmarks68_px, atol=0.5, rtol=0)
    layout = uv_layout(uv_mesh(model), SIDE)
    mask = weight_mask(model, layout)
    assert set(mask.unique().tolist()) <= {0.0, FACE_WEIGHT, LANDMARK_WEIGHT}
    alike = weight_mask(model, layout, landmark=1.0, feature=1.0, face=1.0, elsewhere=1.0)
    torch.testing.assert_close(alike, layout.mask.float())


def test_the_mask_of_the_open_model_has_all_four_weights():
    model = load_model("open")
    layout = uv_layout(uv_mesh(model), 64)
    mask = weight_mask(model, layout)
    assert set(mask.unique().tolist()) == {0.0, 3.0, 4.0, 16.0}
    assert 50 <= int((mask == 16.0).sum()) <= 68
    without_points = weight_mask(model, layout, landmark=4.0)
    weights = vertices_from_uv_map(without_points[..., None], layout)[:, 0].round()
    for name, weight in (("eyes", 4.0), ("lips", 4.0), ("face", 3.0), ("scalp", 0.0), ("neck", 0.0)):
        assert float(weights[model.region(name)].median()) == weight, name


def test_single_views_are_shown_three_times_in_equal_shares():
    u = (torch.arange(900) + 0.5) / 900
    inputs = choose_inputs(u, 1 / 3)
    alone = inputs[:, 0] == inputs[:, 1]
    assert int(alone.sum()) == 300
    assert torch.bincount(inputs[alone][:, 0]).tolist() == [100, 100, 100]
    assert inputs[~alone].unique(dim=0).tolist() == [[0, 1, 2]]
    assert not bool((choose_inputs(u, 0.0)[:, 0] == 1).any())


def test_a_triple_is_one_person_turned():
    scenes = SceneConfig(layout="single", size_px=96)
    config = TriplesConfig(out=Path("unused"), scenes=scenes, jitter_deg=0.0, side_deg=(40.0, 40.0))
    left, front, right = (scene.people[0] for scene in sample_triple(config, 3))
    np.testing.assert_array_equal(left.identity, right.identity)
    np.testing.assert_array_equal(left.expression, front.expression)
    sine = np.sin(np.radians(40.0))
    assert [p.rotation_head[0, 2] for p in (left, front, right)] == pytest.approx([-sine, 0.0, sine], abs=1e-6)


def test_triples_say_what_they_are_made_of(tmp_path):
    scenes = SceneConfig(layout="single", size_px=64)
    (path,) = write_triples(TriplesConfig(out=tmp_path, scenes=scenes, people=1, seed=3, workers=1))
    assert len(ShardReader(tmp_path)) == 3
    info = read_info(tmp_path)
    assert (info.name, info.license) == ("morphable-synth, procedural, three views, series 3", "CC0-1.0")
    assert info.records == info.faces == 3
    assert path.parent == tmp_path


def test_every_ablation_is_a_preset():
    assert list(ABLATIONS["dfmvr"]) == ["v1", "v2", "v3", "v4", "v5", "v6"]
    for recipe, names in ABLATIONS.items():
        for name in names:
            for size in PRESETS:
                recipe_preset(recipe, size, ablation=name)
    assert recipe_preset("dfmvr", "smoke", ablation="v5").weights.landmark_3d == 0
    with pytest.raises(ValueError, match="ablation of dfmvr must be one of v1, v2"):
        recipe_preset("dfmvr", "smoke", ablation="v7")
    with pytest.raises(ValueError, match="preset must be one of smoke, small, full"):
        recipe_preset("prnet", "huge")


def test_refusals(triples, part_shards, model, model_file, tmp_path, capsys):
    plain = write_shards(tmp_path / "plain", 1)
    with pytest.raises(ValueError, match="must have parts, got none"):
        ShardReader(plain).parts(0)
    with pytest.raises(ValueError, match=r"got none; the first of 1 damaged records.*must have parts"):
        open_part_crops((plain,), tmp_path, RULE, DATA, model)
    with pytest.raises(ValueError, match="data must name folders of synthetic shards"):
        open_part_crops((), tmp_path, RULE, DATA, model)
    single = open_part_crops((part_shards,), tmp_path, RULE, DATA, model)
    single = replace(single, keys=tuple(key.replace("front", "side") for key in single.keys))
    with pytest.raises(ValueError, match="shards must hold three views of each person"):
        group_views(single)
    with pytest.raises(ValueError, match="side_deg must be two increasing angles"):
        TriplesConfig(out=tmp_path, scenes=SceneConfig(layout="single"), side_deg=(50.0, 20.0))
    with pytest.raises(ValueError, match="must be single for triples"):
        TriplesConfig(out=tmp_path, scenes=SceneConfig(layout="group"))
    parts = {"part_names": ("skin",), "part_labels": torch.zeros(len(model.triangles), dtype=torch.int64)}
    bare = ModelData(**{**vars(model.data()), "regions": {}, **parts})
    with pytest.raises(ValueError, match="model must name the region face"):
        weight_mask(MorphableModel(bare), uv_layout(uv_mesh(model), SIDE))
    with pytest.raises(SystemExit, match="2"):
        main(["run", "vgg"])
    assert "mobile_frnet, prnet, dfmvr, parsing" in capsys.readouterr().err
    assert main(["run", "prnet", "--preset"]) == 1
    assert "--preset must be followed by a value" in capsys.readouterr().err
    assert main(["run", "prnet", "--preset", "smoke", "--out", str(tmp_path / "run")]) == 1
    assert "data must name folders of synthetic shards" in capsys.readouterr().err
