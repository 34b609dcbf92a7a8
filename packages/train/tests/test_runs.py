"""Checkpoints, packaging, settings and the command line."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError, safe_open
from test_engine import make
from tiny_run import tiny_config, write_shards

import morphable_train.runs.checkpoint
from morphable import load_model, model_sha256, read_weights_info
from morphable.files import atomic_path
from morphable.records import plain
from morphable_train.cli import main
from morphable_train.configs.stage_presets import PRESETS, preset
from morphable_train.configs.stages import DataConfig, TrainConfig
from morphable_train.data.shards import DatasetInfo, write_info
from morphable_train.packaging.provenance import describe_data, started_from, terms
from morphable_train.packaging.stages import PackageOptions, mean_weights, package
from morphable_train.runs.checkpoint import checkpoint_paths, latest_checkpoint, read_checkpoint
from morphable_train.runs.logs import read_run_file, write_run_file
from morphable_train.runs.optimizer import rate_factor
from morphable_train.runs.settings import config_from_json, read_run_config
from morphable_train.stages.observer import open_validation
from morphable_train.stages.parts import architecture, build_parts, read_network
from morphable_train.stages.training import RunResults, train


@pytest.fixture(scope="module")
def run(model_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    shards = write_shards(folder / "shards", 6)
    train(tiny_config(model_file, (shards,), steps=2), folder / "run")
    return folder / "run"


def test_packaged_weights_are_the_documented_file(run, tmp_path):
    card = package(run, tmp_path / "w.safetensors", PackageOptions(name="tiny"))
    with safe_open(tmp_path / "w.safetensors", framework="pt") as file:
        metadata = file.metadata()
    required = {"format", "format_version", "name", "architecture", "model", "license", "training_data"}
    assert set(metadata) == required | {"inference", "results"}
    assert metadata["license"] == "CC0-1.0"
    assert json.loads(metadata["model"])["num_identity"] == 6
    assert "stand-in (6 faces, CC0-1.0)" in card.read_text()
    config = config_from_json(json.loads((run / "run.json").read_text())["config"])
    average = read_checkpoint(latest_checkpoint(run), None)[0]["average"]
    packaged = read_network(tmp_path / "w.safetensors", config.detector)
    assert set(packaged) == set(average)


def test_runs_of_one_line_are_packaged_as_their_mean(run, tmp_path):
    config = read_run_config(run)
    train(replace(config, initial=run), tmp_path / "further")
    options = PackageOptions(averaged_with=(run,))
    card = package(tmp_path / "further", tmp_path / "mean.safetensors", options)
    first, further = (read_network(path, config.detector) for path in (run, tmp_path / "further"))
    mean = read_network(tmp_path / "mean.safetensors", config.detector)
    name = "parameter_head.output.weight"
    assert float((first[name] - further[name]).abs().max()) > 1e-4
    torch.testing.assert_close(mean[name].float(), (first[name] + further[name]) / 2, atol=1e-3, rtol=1e-3)
    assert "Mean of 2 runs" in card.read_text()
    assert read_weights_info(tmp_path / "mean.safetensors").results == {}


def test_a_mean_of_different_networks_is_refused(run):
    state = read_checkpoint(latest_checkpoint(run), None)[0]["average"]
    other = {f"{name}.more": value for name, value in state.items()}
    with pytest.raises(ValueError, match="averaged_with must be runs of the same network"):
        mean_weights([state, other])


def test_another_architecture_is_refused_by_name(run):
    config = config_from_json(json.loads((run / "run.json").read_text())["config"])
    other = replace(config.detector, width=16)
    with pytest.raises(ValueError, match=r"different: width"):
        read_checkpoint(latest_checkpoint(run), architecture(other))


def test_a_network_starts_from_one_without_refinement(run):
    config = config_from_json(json.loads((run / "run.json").read_text())["config"])
    refining = replace(config, initial=run, detector=replace(config.detector, refinement_width=8))
    average = read_checkpoint(latest_checkpoint(run), None)[0]["average"]
    started = build_parts(refining).network.state_dict()
    torch.testing.assert_close({name: started[name] for name in average}, average)
    assert float(started["refinement.output.weight"].abs().max()) == 0.0
    with pytest.raises(ValueError, match=r"different: refinement_width"):
        read_checkpoint(latest_checkpoint(run), architecture(refining.detector))


def test_weights_of_another_architecture_are_refused(run, tmp_path):
    config = config_from_json(json.loads((run / "run.json").read_text())["config"])
    package(run, tmp_path / "w.safetensors", PackageOptions())
    with pytest.raises(ValueError, match="initial must be of this run's architecture, got another"):
        read_network(tmp_path / "w.safetensors", replace(config.detector, width=16))


def test_a_run_of_a_newer_version_is_refused(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"format_version": 2}))
    with pytest.raises(ValueError, match=r"run must be of version 1, got 2 .*install the version"):
        read_run_file(tmp_path)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(ValueError, match=r"run\.json must be a JSON object, got .*run\.json: a list"):
        read_run_file(tmp_path)


def test_a_newer_checkpoint_is_refused(run, monkeypatch):
    monkeypatch.setattr(morphable_train.runs.checkpoint, "FORMAT_VERSION", 0)
    with pytest.raises(ValueError, match=r"version 0, got 1 .*install the version"):
        read_checkpoint(latest_checkpoint(run), None)


def test_a_torn_checkpoint_is_refused(run, tmp_path):
    torn = tmp_path / "step_00000001.safetensors"
    torn.write_bytes(latest_checkpoint(run).read_bytes()[:1000])
    with pytest.raises(ValueError, match="whole safetensors file"):
        read_checkpoint(torn, None)


def test_a_torn_first_network_is_refused(run, tmp_path):
    torn = tmp_path / "weights.safetensors"
    torn.write_bytes(latest_checkpoint(run).read_bytes()[:1000])
    config = read_run_config(run)
    with pytest.raises(ValueError, match=r"initial must be a whole safetensors file, got .*weights\.safetensors"):
        read_network(torn, config.detector)


def test_resuming_with_another_network_leaves_the_run_as_it_was(run):
    config, before = read_run_config(run), (run / "run.json").read_text()
    assert json.loads(before)["processes"] == 1
    with pytest.raises(ValueError, match=r"different: width"):
        train(replace(config, detector=replace(config.detector, width=16)), run, resume=True)
    assert (run / "run.json").read_text() == before


def test_a_configuration_of_the_other_stage_is_refused(run, tmp_path, capsys):
    assert main(["stage2", "--config", str(run / "run.json"), "--out", str(tmp_path / "two")]) == 1
    assert "config must be of stage 2, got stage 1" in capsys.readouterr().err
    assert not (tmp_path / "two").exists()


def test_validation_folders_of_one_name_are_refused(run):
    config = read_run_config(run)
    twice = (Path("a") / "testset", Path("b") / "testset")
    with pytest.raises(ValueError, match="must differ in their names, got several testset"):
        open_validation(replace(config, validation=replace(config.validation, exact=twice)), build_parts(config))


def test_safetensors_that_cannot_be_written_are_named(tmp_path):
    target = tmp_path / "file.safetensors"
    with pytest.raises(OSError, match=r"file\.safetensors could not be written \(I/O error\)"), atomic_path(target):
        raise SafetensorError("I/O error")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_last_checkpoint(model_file, tmp_path, monkeypatch):
    shards = write_shards(tmp_path / "shards", 4)
    trainer = make(tiny_config(model_file, (shards,), steps=2), tmp_path / "run")
    trainer.save()
    before = latest_checkpoint(tmp_path / "run").read_bytes()

    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(morphable_train.runs.checkpoint, "save_file", full)
    with pytest.raises(OSError, match=r"could not be written .*free some space"):
        trainer.save()
    assert [p.read_bytes() for p in checkpoint_paths(tmp_path / "run")] == [before]
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 1


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("stage", [1, 2])
def test_configurations_survive_json(name, stage):
    config = preset(name, stage)
    assert config_from_json(json.loads(json.dumps(plain(asdict(config))))) == config
    assert (config.loss.center > 0) == (stage == 2)


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match=r"config\.run must have no unknown keys, got stepps"):
        config_from_json({"run": {"stepps": 3}})
    with pytest.raises(ValueError, match=r"config\.run\.steps must be of type int, got 'many'"):
        config_from_json({"run": {"steps": "many"}})


def test_the_paper_divides_its_rate_by_ten():
    config = preset("paper_resnet50", 1).optimizer
    assert rate_factor(0.74, 10_000, config) == 1.0
    assert rate_factor(0.75, 10_000, config) == pytest.approx(0.1)
    assert rate_factor(0.0, 0, config) == 1.0  # the paper tells of no warm-up
    assert rate_factor(0.0, 0, preset("mobile", 1).optimizer) == pytest.approx(1 / 201)


def test_the_command_line_says_what_is_wrong(tmp_path, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "stage1" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main(["dance"])
    assert main(["stage1", "--preset", "smoke", "--out", str(tmp_path / "run")]) == 1
    assert "data must name at least one folder of shards" in capsys.readouterr().err
    assert main(["resume", str(tmp_path / "nowhere")]) == 1
    assert main(["package", str(tmp_path / "nowhere"), "-o", str(tmp_path / "w.safetensors")]) == 1
    assert "run must be a folder with run.json" in capsys.readouterr().err
    assert main(["prepare", str(tmp_path / "nowhere"), "-o", str(tmp_path / "s")]) == 1
    assert "source must be an existing folder" in capsys.readouterr().err


def described(folder, **info):
    """A folder that says what its shards are."""
    folder.mkdir(parents=True)
    write_info(folder, DatasetInfo(**{"name": folder.name, "license": "CC0-1.0"} | info))
    return folder


def run_file(folder, *exact, **settings):
    """A folder with nothing but the `run.json` of a run on some shards, and its configuration."""
    folder.mkdir()
    config = TrainConfig(data=DataConfig(exact=exact), **settings)
    write_run_file(folder, config, processes=1)
    return config


def test_a_packaged_file_holds_half_floats_and_says_model_licence_and_data(run, model_file, tmp_path):
    card = package(run, tmp_path / "w.safetensors", PackageOptions(name="tiny")).read_text()
    with safe_open(tmp_path / "w.safetensors", framework="pt") as file:
        dtypes = {name: file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118  (not a mapping)
    counters = {name for name in dtypes if name.endswith("num_batches_tracked")}
    assert {dtypes[name] for name in counters} == {torch.int64}
    assert {dtypes[name] for name in dtypes.keys() - counters} == {torch.float16}
    info = read_weights_info(tmp_path / "w.safetensors")
    assert info.model.sha256 == model_sha256(load_model(str(model_file)))
    assert (info.license, info.training_data) == ("CC0-1.0", "stand-in (6 faces, CC0-1.0)")
    assert "- Started from: random weights\n" in card


def test_given_terms_need_no_description(run, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(run / "checkpoints", moved / "checkpoints")
    config = read_run_config(run)
    config = replace(config, initial=tmp_path / "gone", data=replace(config.data, exact=(tmp_path,)))
    write_run_file(moved, config, processes=1)
    with pytest.raises(ValueError, match=r"dataset\.json, got none in .*; give both --license and --training-data"):
        package(moved, tmp_path / "w.safetensors", PackageOptions(license="MIT"))
    assert not (tmp_path / "w.safetensors").exists()
    card = package(moved, tmp_path / "w.safetensors", PackageOptions(license="MIT", training_data="my pictures"))
    info = read_weights_info(tmp_path / "w.safetensors")
    assert (info.license, info.training_data) == ("MIT", "my pictures")
    assert "- Started from: the network of `gone`\n" in card.read_text()


def test_licences_and_data_of_first_weights_count(run, tmp_path):
    package(run, tmp_path / "w.safetensors", PackageOptions(name="one", license="CC-BY-4.0; CC0-1.0"))
    own = described(tmp_path / "own", license="research only")
    before = "stand-in (6 faces, CC0-1.0)"
    expected = {
        run: ("research only; CC0-1.0", before),
        latest_checkpoint(run): ("research only; CC0-1.0", before),
        tmp_path / "w.safetensors": (
            "research only; CC-BY-4.0; CC0-1.0",
            f'weights "one" of {before} (CC-BY-4.0; CC0-1.0)',
        ),
    }
    for number, (source, (licence, text)) in enumerate(expected.items()):
        folder = tmp_path / f"run{number}"
        config = run_file(folder, own, initial=source)
        assert started_from(config) == f"the network of `{source.name}`"
        found = terms(folder, config, licence="", training_data="")
        assert found == (licence, f"own (research only); {text}")


def test_a_mean_is_under_the_terms_of_all_its_runs(run, tmp_path):
    own = described(tmp_path / "own", license="research only")
    config = run_file(tmp_path / "other", own)
    found = terms(tmp_path / "other", config, licence="", training_data="", also=(run,))
    assert found == ("research only; CC0-1.0", "own (research only); stand-in (6 faces, CC0-1.0)")


def test_what_states_no_terms_is_refused(run, tmp_path):
    good = described(tmp_path / "good")
    (tmp_path / "bare").mkdir()
    config = run_file(tmp_path / "run", good, tmp_path / "bare")
    with pytest.raises(ValueError, match=r"shards must have a dataset\.json, got none in .*bare; give both --license"):
        describe_data(tmp_path / "run", config)
    for number, terms_of_one in enumerate(("", "unknown", "CC0-1.0; not stated")):
        shards = described(tmp_path / f"shards{number}", license=terms_of_one)
        config = run_file(tmp_path / f"run{number}", good, shards)
        with pytest.raises(ValueError, match=rf"license of .*shards{number} must be stated, got .*; give --license"):
            describe_data(tmp_path / f"run{number}", config)
        assert terms(tmp_path / f"run{number}", config, licence="MIT", training_data="")[0] == "MIT"


def test_first_weights_of_unknown_origin_are_refused(run, tmp_path):
    good, lone = described(tmp_path / "good"), tmp_path / "lone.safetensors"
    shutil.copy(latest_checkpoint(run), lone)
    for number, settings in enumerate(
        ({"initial": tmp_path / "moved"}, {"initial": lone}, {"backbone_weights": lone}, {"initial": tmp_path / "run3"})
    ):
        folder = tmp_path / f"run{number}"
        config = run_file(folder, good, **settings)
        with pytest.raises(ValueError, match=r"first weights must say .*; give both --license and --training-data"):
            describe_data(folder, config)
    config = run_file(tmp_path / "later", good, initial=tmp_path / "run0")
    with pytest.raises(ValueError, match=r"first weights must say what they were trained on, got .*moved"):
        describe_data(tmp_path / "later", config)


def test_the_encoder_starts_from_torchvisions_imagenet_weights(model_file, tmp_path, monkeypatch, capsys):
    """`--backbone-weights imagenet` is a name, not a path; nothing is downloaded here."""
    import torchvision

    config = tiny_config(model_file, ())
    state = torchvision.models.mobilenet_v3_small(weights=None).state_dict()
    entry = torchvision.models.MobileNet_V3_Small_Weights.DEFAULT
    monkeypatch.setattr(type(entry), "get_state_dict", lambda *_, **__: state)
    asked = replace(config, backbone_weights="imagenet")
    first = build_parts(asked).network.backbone.stages[0][0][0].weight
    torch.testing.assert_close(first, state["features.0.0.weight"])
    assert config_from_json(json.loads(json.dumps(plain(asdict(asked))))) == asked
    local = replace(config, backbone_weights=Path("own.pth"))
    assert config_from_json(plain(asdict(local))) == local
    assert started_from(asked) == "the encoder of torchvision's ImageNet weights"
    folder = tmp_path / "run"
    described_run = run_file(folder, described(tmp_path / "own"), backbone_weights="imagenet")
    assert [info.name for info in describe_data(folder, described_run)] == ["own", "torchvision's ImageNet weights"]


def test_imagenet_can_be_asked_for_on_the_command_line(monkeypatch, tmp_path):
    seen = {}
    monkeypatch.setattr(
        "morphable_train.stages.training.train",
        lambda config, *_, **__: seen.update(config=config) or RunResults({}, {}),
    )
    for given, expected in (("imagenet", "imagenet"), ("w.safetensors", Path("w.safetensors"))):
        assert main(["stage1", "--out", str(tmp_path), "--backbone-weights", given]) == 0
        assert seen["config"].backbone_weights == expected
