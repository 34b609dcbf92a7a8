"""Runs of the per-face networks: trained, resumed, packaged, asked for on the command line."""

import json
from dataclasses import asdict, replace

import pytest
import torch
from tiny_recipes import SIDE, tiny_recipe

from morphable import read_weights
from morphable.records import plain
from morphable_regressors import SystemSpec, load_system
from morphable_train.cli import main
from morphable_train.configs.recipe_presets import recipe_preset
from morphable_train.packaging.provenance import describe_data, started_from, terms
from morphable_train.packaging.recipes import RecipePackage, package_recipe, read_system
from morphable_train.recipes.running import run_recipe
from morphable_train.runs.checkpoint import latest_checkpoint, read_checkpoint
from morphable_train.runs.logs import write_run_file


def run_tiny(name, folder, model_file, data, **changes):
    config = tiny_recipe(name, model_file, data, **changes)
    return run_recipe(config, folder / name), config


def test_frnet_runs_resumes_and_is_packaged(part_shards, model_file, tmp_path):
    sizes = {"num_identity": 4, "num_expression": 2, "whitening_faces": 4}
    results, config = run_tiny("mobile_frnet", tmp_path, model_file, part_shards, **sizes)
    run = tmp_path / "mobile_frnet"
    assert results.after["nme"] > 0
    names = {path.name for path in run.iterdir()}
    assert {"run.json", "results.json", "losses.csv", "validation.csv", "checkpoints", "pictures"} <= names
    with pytest.raises(FileExistsError, match="run must be a new folder"):
        run_recipe(config, run)
    longer = replace(config, run=replace(config.run, steps=4, checkpoint_every_steps=2))
    run = tmp_path / "longer"
    run_recipe(longer, run)
    last = latest_checkpoint(run)
    straight = read_checkpoint(last, None)[0]["network"]
    last.unlink()
    run_recipe(longer, run, resume=True)
    resumed = read_checkpoint(last, None)[0]["network"]
    assert all(torch.equal(value, resumed[key]) for key, value in straight.items())
    card = package_recipe(run, tmp_path / "w.safetensors", RecipePackage(name="tiny"))
    assert "stand-in (6 faces, CC0-1.0)" in card.read_text()
    info, state = read_weights(tmp_path / "w.safetensors")
    assert info.architecture["network"] == "mobile_frnet"
    system = load_system(SystemSpec.from_json(info.architecture), state)
    assert system.faces(torch.zeros(1, 3, SIDE, SIDE)).identity.shape == (1, 6)


def test_prnet_runs(part_shards, model_file, tmp_path):
    results, _ = run_tiny("prnet", tmp_path, model_file, part_shards)
    assert results.after["dense_3d_nme"] > 0
    assert load_system(*read_system(tmp_path / "prnet")).training is False


def test_dfmvr_runs_with_the_parser_of_another_run(part_shards, triples, model_file, tmp_path):
    parsing, _ = run_tiny("parsing", tmp_path, model_file, part_shards)
    assert 0 <= parsing.after["mean_iou"] <= 1
    preset = recipe_preset("dfmvr", "smoke")
    weights = replace(preset.weights, mask_from_epoch=0)
    changes = {"parser": tmp_path / "parsing", "weights": weights, "photo_every": 1}
    results, _ = run_tiny("dfmvr", tmp_path, model_file, triples, **changes)
    assert results.after["people"] == 4
    assert {"shape_mm", "one_view_shape_mm", "mean_face_shape_mm"} <= set(results.after)
    header = (tmp_path / "dfmvr" / "losses.csv").read_text().splitlines()[0].split(",")
    assert {"photo", "mask", "landmark_2d", "landmark_3d", "coefficients", "reflectance", "light"} <= set(header)
    package_recipe(tmp_path / "dfmvr", tmp_path / "w.safetensors", RecipePackage())
    info, state = read_weights(tmp_path / "w.safetensors")
    assert any(name.startswith("parser.") for name in state)
    assert info.license == "CC0-1.0"
    assert info.training_data == "stand-in (4 faces, CC0-1.0); stand-in (6 faces, CC0-1.0)"
    card = (tmp_path / "w.md").read_text()
    assert "- Started from: random weights, beside the parser of `parsing`\n" in card


def test_a_parser_goes_on_from_another_at_any_size(part_shards, model_file, tmp_path):
    first, config = run_tiny("parsing", tmp_path, model_file, part_shards)
    start = tmp_path / "parsing"
    again = run_recipe(replace(config, start=start), tmp_path / "again")
    assert again.before["mean_iou"] == first.after["mean_iou"]
    larger = replace(config, start=start, crop=replace(config.crop, side_px=2 * SIDE))
    assert run_recipe(larger, tmp_path / "larger").after["faces"] == 6
    assert started_from(larger) == "the layers of `parsing`"
    with pytest.raises(ValueError, match=r"start must be parsing with options .*resnet18.*, got .*mobilenet_v2"):
        run_recipe(replace(config, start=start, backbone="resnet18"), tmp_path / "other")


FRNET_SIZES = {"num_identity": 4, "num_expression": 2, "whitening_faces": 4}


@pytest.mark.parametrize("recipe", ["mobile_frnet", "prnet", "dfmvr"])
def test_a_network_goes_on_from_its_own_weights(recipe, part_shards, triples, model_file, tmp_path):
    shards = triples if recipe == "dfmvr" else part_shards
    changes = {
        "mobile_frnet": FRNET_SIZES,
        "prnet": {},
        "dfmvr": {"parsing_channel": False},
    }[recipe]
    first, config = run_tiny(recipe, tmp_path, model_file, shards, **changes)
    start = tmp_path / recipe
    again = run_recipe(replace(config, start=start), tmp_path / "again").before
    assert {k: v for k, v in again.items() if not k.startswith("mean_")} == pytest.approx(
        {k: v for k, v in first.after.items() if not k.startswith("mean_")}, rel=1e-5
    )
    assert started_from(replace(config, start=start)) == f"the layers of `{recipe}`"
    package_recipe(start, tmp_path / "w.safetensors", RecipePackage())
    from_file = run_recipe(replace(config, start=tmp_path / "w.safetensors"), tmp_path / "file").before
    assert from_file["nme"] == pytest.approx(first.after["nme"], rel=0.05)  # float16


def test_starts_with_other_options_are_refused(part_shards, model_file, tmp_path):
    _, config = run_tiny("mobile_frnet", tmp_path, model_file, part_shards, **FRNET_SIZES)
    start, prnet = tmp_path / "mobile_frnet", tiny_recipe("prnet", model_file, part_shards)
    with pytest.raises(ValueError, match="start must be a run or weights of prnet, got something else"):
        run_recipe(replace(prnet, start=start), tmp_path / "other")
    with pytest.raises(ValueError, match=r"start must be mobile_frnet with options .*num_identity=3"):
        run_recipe(replace(config, start=start, num_identity=3), tmp_path / "fewer")
    with pytest.raises(ValueError, match=r"start must have the crops .*side_px=64.*, got .*side_px=32"):
        run_recipe(replace(config, start=start, crop=replace(config.crop, side_px=2 * SIDE)), tmp_path / "larger")


def test_a_parser_of_another_recipe_is_refused(triples, part_shards, model_file, tmp_path):
    run_tiny("mobile_frnet", tmp_path, model_file, part_shards, **FRNET_SIZES)
    with pytest.raises(ValueError, match="parser must be a run or weights of parsing, got mobile_frnet"):
        run_tiny("dfmvr", tmp_path, model_file, triples, parser=tmp_path / "mobile_frnet")


def test_the_command_trains_from_its_own_run_file(part_shards, model_file, tmp_path, capsys):
    config = tiny_recipe("prnet", model_file, part_shards)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(plain(asdict(config))))
    assert main(["run", "prnet", "--config", str(path), "--out", str(tmp_path / "run"), "--steps", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["after"]["faces"] == 6
    assert main(["run", "parsing", "--config", str(path), "--out", str(tmp_path / "other")]) == 1
    assert "config must be of parsing, got one of prnet" in capsys.readouterr().err


def test_first_weights_and_parsers_of_unknown_origin_are_refused(part_shards, model_file, tmp_path):
    started = tiny_recipe("mobile_frnet", model_file, part_shards, start=tmp_path / "imagenet.safetensors")
    parsed = tiny_recipe("dfmvr", model_file, part_shards, parser=tmp_path / "parser")
    for config in (started, parsed):
        with pytest.raises(ValueError, match=r"first weights must say .*; give both --license and --training-data"):
            describe_data(tmp_path / "run", config)
        assert terms(tmp_path / "run", config, licence="MIT", training_data="mine") == ("MIT", "mine")
    assert started_from(started) == "the layers of `imagenet.safetensors`"
    assert started_from(tiny_recipe("prnet", model_file, part_shards)) == "random weights"


def test_data_of_the_run_that_first_weights_came_from_count(part_shards, triples, model_file, tmp_path):
    (tmp_path / "parsing").mkdir()
    write_run_file(tmp_path / "parsing", tiny_recipe("parsing", model_file, part_shards), processes=1)
    config = tiny_recipe("mobile_frnet", model_file, triples, start=tmp_path / "parsing")
    found = terms(tmp_path / "run", config, licence="", training_data="")
    assert found == ("CC0-1.0", "stand-in (4 faces, CC0-1.0); stand-in (6 faces, CC0-1.0)")
