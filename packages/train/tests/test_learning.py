"""Does it learn? Minutes of training, so these run with the slow tests."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from stand_in import draw_truth, stand_in_model
from tiny_run import SIZE, tiny_config, write_shards

from morphable_detector_head import DetectorConfig
from morphable_train.configs.stages import AugmentConfig, DataConfig, LossConfig, OptimizerConfig
from morphable_train.data.crop_cache import open_crops
from morphable_train.stages.network import CellPredictor
from morphable_train.stages.parts import build_parts, read_network
from morphable_train.stages.training import train
from morphable_train.validation.faces import predict

FACES = 200


def weak_config(model_file, shards):
    config = tiny_config(model_file, (), steps=2500, batch_size=16, log_every_steps=50)
    layout = config.detector.layout
    return replace(
        config,
        detector=DetectorConfig(backbone="mobilenet_v2", width=32, center_width=8, parameter_width=128, layout=layout),
        run=replace(config.run, checkpoint_every_steps=500),
        data=DataConfig(weak=(shards,), crop_px=96, crop_face_px=44.0, min_face_px=20.0),
        augment=AugmentConfig(
            face_px=(34.0, 36.0), angle_deg=0.0, shift=0.02, flip=False, erase=0.0, blur=0.0, noise=0.0, gray=0.0,
            saturation=0.0, brightness=0.0, contrast=0.0, tint=0.0,
        ),
        loss=LossConfig(center=0.0, prior_expression=5e-3),
        optimizer=OptimizerConfig(learning_rate=4e-3, backbone_factor=1.0, warmup_steps=30, ema_decay=0.99),
    )  # fmt: skip


@pytest.mark.slow
def test_weak_labels_alone_find_the_withheld_shape(model_file, tmp_path):
    """Landmarks, colors and priors only; the truth of the same 200 faces is looked at afterwards."""
    shards = write_shards(tmp_path / "weak", FACES, weak=True)
    config = weak_config(model_file, shards)
    train(config, tmp_path / "run")
    model = stand_in_model()
    truths = [draw_truth(model, 1, index, size_px=SIZE, face_px=(40, 60)) for index in range(FACES)]
    shape = torch.cat([model.decode_shape(t["identity"], t["expression"]) for t in truths])
    data = replace(config.data, crop_px=64, crop_face_px=35.0)
    crops = open_crops((shards,), tmp_path / "cache", data, model)
    network = build_parts(config).network
    network.load_state_dict(read_network(tmp_path / "run", config.detector))
    predictor = CellPredictor(network, with_center=False).eval()
    images = crops.pictures(torch.arange(FACES))[:, :3].contiguous()
    found = predict(predictor, images, config.detector.layout, torch.device("cpu"))
    error = (model.decode_shape(found.identity, found.expression) - shape).norm(dim=-1).mean()
    mean_face = (model.decode_shape(torch.zeros(1, 6), torch.zeros(1, 4)) - shape).norm(dim=-1).mean()
    sys.stdout.write(f"vertex error {mean_face * 1000:.2f} mm -> {error * 1000:.2f} mm\n")
    assert float(error) * 2 <= float(mean_face)


@pytest.mark.slow
def test_the_smoke_preset_learns_from_nothing(tmp_path):
    """Stage 1 then stage 2 on procedural scenes; validation on scenes of another series."""
    begun = time.monotonic()
    first = run_stage("stage1", "800", tmp_path / "one")
    second = run_stage("stage2", "150", tmp_path / "two", "--initial", str(tmp_path / "one"))
    before, after = first["before"]["validation"]["nme_box"], second["after"]["validation"]["nme_box"]
    middle, seconds = first["after"]["validation"]["nme_box"], time.monotonic() - begun
    sys.stdout.write(f"error of single faces {before:.4f} -> {middle:.4f} -> {after:.4f} in {seconds:.0f} s\n")
    assert after * 3 <= before
    assert seconds < 1800  # ten minutes on two quiet cores


def run_stage(stage: str, scenes: str, out: Path, *options: str) -> dict:
    """One command of a user with two cores; what it prints."""
    command = [sys.executable, "-m", "morphable_train", stage, "--preset", "smoke", "--synth", scenes]
    command += ["--devices", "2", "--run.threads", "1", "--out", str(out), *options]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
