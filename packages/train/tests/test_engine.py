import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from tiny_run import tiny_config, write_shards

from morphable.records import plain
from morphable_train.configs.stages import LossConfig
from morphable_train.data.scenes import SceneStream
from morphable_train.data.shards import ShardReader
from morphable_train.data.streams import Shard
from morphable_train.runs.checkpoint import checkpoint_paths, latest_checkpoint
from morphable_train.runs.logs import RunLog
from morphable_train.runs.loop import DivergedError, make_fabric
from morphable_train.runs.optimizer import EMA_HORIZON, AveragedWeights
from morphable_train.stages.parts import build_parts
from morphable_train.stages.training import make_trainer, train

COMMAND = (sys.executable, "-m", "morphable_train")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("data") / "shards", 12)


def rows(run: Path) -> list[dict[str, str]]:
    """The loss table without what depends on the clock."""
    with (run / "losses.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if "second" not in k} for row in csv.DictReader(file)]


def tensors(path: Path) -> dict[str, torch.Tensor]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)


def make(config, run):
    run.mkdir(parents=True, exist_ok=True)
    parts = build_parts(config)
    return make_trainer(config, run, make_fabric(config, 1), parts, RunLog(run, enabled=False), None)


def test_a_resumed_run_is_the_run_that_was_not_stopped(model_file, shards, tmp_path):
    config = tiny_config(model_file, (shards,))
    train(config, tmp_path / "whole")
    train(replace(config, run=replace(config.run, minutes=1e-9)), tmp_path / "parts")  # stops after one step
    assert len(rows(tmp_path / "parts")) == 1
    train(config, tmp_path / "parts", resume=True)
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")
    whole, parts = (tensors(latest_checkpoint(tmp_path / name)) for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole if not name.startswith("random"))


def test_a_frozen_start_of_the_backbone_stays_as_it_is(model_file, shards, tmp_path):
    config = tiny_config(model_file, (shards,))
    config = replace(config, optimizer=replace(config.optimizer, freeze_start=True))
    before = build_parts(config).network
    train(config, tmp_path)
    after = {
        name[8:]: value for name, value in tensors(latest_checkpoint(tmp_path)).items() if name.startswith("network/")
    }
    start = before.backbone.start()
    frozen = {id(p) for layer in start for p in (*layer.parameters(), *layer.buffers())}
    assert frozen
    for name, value in (*before.named_parameters(), *before.named_buffers()):
        if name.startswith("backbone.") and not name.endswith("num_batches_tracked"):
            assert torch.equal(after[name], value) == (id(value) in frozen), name


def test_colours_are_trained_alone(model_file, shards, tmp_path):
    config = tiny_config(model_file, (shards,))
    config = replace(config, optimizer=replace(config.optimizer, only_colors=True))
    with pytest.raises(ValueError, match="network without color head"):
        train(config, tmp_path / "without")
    config = replace(config, detector=replace(config.detector, color_width=4))
    before = build_parts(config).network.state_dict()
    train(config, tmp_path / "with")
    after = tensors(latest_checkpoint(tmp_path / "with"))
    changed = {name for name, value in before.items() if not torch.equal(after[f"network/{name}"], value)}
    assert {"color_head.output.weight", "color_head.output.bias"} <= changed
    assert {name.split(".")[0] for name in changed - {"parameter_head.output.bias"}} == {"color_head"}  # the mean face


def test_a_new_run_does_not_overwrite_an_old_one(model_file, shards, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step_00000001.safetensors").touch()
    with pytest.raises(FileExistsError, match="--resume"):
        train(tiny_config(model_file, (shards,)), tmp_path)


@pytest.mark.parametrize("stage", [1, 2])
def test_accumulated_gradients_are_those_of_the_whole_batch(model_file, shards, tmp_path, stage):
    gradients = []
    for accumulate in (1, 2):
        config = tiny_config(model_file, (shards,), stage=stage, accumulate=accumulate)
        config = replace(config, data=replace(config.data, paste_fraction=0.5))  # unlike numbers of faces in the parts
        trainer = make(config, tmp_path / str(accumulate))
        trainer.network.eval()  # batch statistics would differ by part
        batch, spread = prepared(trainer)
        trainer.backward(batch, spread, 0)
        gradients.append([p.grad.clone() for p in trainer.network.parameters() if p.grad is not None])
    for whole, parts in zip(*gradients, strict=True):
        assert_same_gradient(whole, parts)


def assert_same_gradient(a: torch.Tensor, b: torch.Tensor) -> None:
    """Equal but for the order of float32 sums: 1e-5 of the tensor's length measured."""
    assert float((a - b).norm()) <= 1e-4 * float(a.norm()) + 1e-6


def prepared(trainer):
    from morphable_train.data.streams import finish_batch

    with torch.no_grad():
        return finish_batch(trainer.stream.load(0), trainer.config, trainer.model, trainer.objective.surface)


def test_a_step_is_the_same_in_any_number_of_processes(model_file, shards, tmp_path):
    config = tiny_config(model_file, (shards,), stage=2)
    model = build_parts(config).model
    readers = [ShardReader(shards)]
    whole = SceneStream(readers, [], None, config, model, Shard()).load(3)
    parts = [SceneStream(readers, [], None, config, model, Shard(rank, 2)).load(3) for rank in range(2)]
    for name in ("pictures", "spread", "complete"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(part, name) for part in parts]))


@pytest.mark.parametrize("stage", [1, 2])
def test_labels_of_another_version_are_refused(model_file, shards, tmp_path, monkeypatch, stage):
    config = tiny_config(model_file, (shards,), stage=stage)
    config = replace(config, data=replace(config.data, paste_fraction=0.0))
    monkeypatch.setattr("morphable_train.data.labels.LABELS_VERSION", 2)
    with pytest.raises(ValueError, match=r"record face0\d+ in .*: labels must be of version 2, got 1"):
        make(config, tmp_path / "run").load(0)


def test_pasted_faces_lie_where_their_labels_say_and_not_on_each_other(model_file, shards, tmp_path):
    config = tiny_config(model_file, (), stage=2, batch_size=12, input_px=160)
    config = replace(config, data=replace(config.data, exact=(), weak=(shards,), weak_fraction=0.0))
    batch, _ = prepared(make(config, tmp_path / "run"))
    points, picture = batch.faces.landmarks68_px, batch.faces.image_index
    low, high = points.amin(1), points.amax(1)
    beside = ((low[:, None] > high) | (high[:, None] < low)).any(-1)
    other = (picture[:, None] == picture) & ~torch.eye(len(picture), dtype=torch.bool)
    assert int(other.sum()) > 10
    assert bool(beside[other].all())
    col, row = points[:, 27:36].long().clamp(0, 159).unbind(-1)  # the nose
    assert float(batch.skin[picture[:, None], 0, row, col].mean()) > 0.9
    nothing = torch.ones(160, 160, dtype=torch.bool)
    left, top, right, bottom = torch.cat([low - 20, high + 20], 1)[picture == 0].clamp(0, 160).long().unbind(1)
    for a, b, c, d in zip(left, top, right, bottom, strict=True):
        nothing[b:d, a:c] = False
    assert float(batch.skin[0, 0][nothing].max()) == 0.0


def test_the_average_follows_the_weights():
    network = torch.nn.Linear(1, 1, bias=False)
    average, expected = AveragedWeights(network, 0.6), network.weight.item()
    for step in range(40):
        torch.nn.init.constant_(network.weight, float(step))
        average.update(network, step)
        decay = min(0.6, (1 + step) / (EMA_HORIZON + step))
        expected = decay * expected + (1 - decay) * step
    assert float(average.state["weight"]) == pytest.approx(expected, rel=1e-5)


def test_checkpoints_come_by_time_too(model_file, shards, tmp_path):
    config = tiny_config(model_file, (shards,), steps=3, keep_checkpoints=9)
    config = replace(config, run=replace(config.run, checkpoint_every_steps=1000, checkpoint_every_minutes=1e-9))
    train(config, tmp_path)
    assert [path.name for path in checkpoint_paths(tmp_path)] == [f"step_{n:08d}.safetensors" for n in (1, 2, 3)]


def test_bf16_has_nearly_the_losses_of_float32(model_file, shards, tmp_path):
    losses = []
    for precision in ("32-true", "bf16-mixed"):
        trainer = make(tiny_config(model_file, (shards,), precision=precision), tmp_path / precision)
        batch, spread = prepared(trainer)
        losses.append(float(trainer.backward(batch, spread, 0)["loss"]))
    assert losses[1] != losses[0]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


def test_the_end_of_a_run_is_measured_and_drawn_once(model_file, shards, tmp_path):
    config = tiny_config(model_file, (shards,), steps=50, minutes=1e-9)  # time is up after the first step
    config = replace(config, validation=replace(config.validation, exact=(shards,)))
    results = train(config, tmp_path)
    with (tmp_path / "validation_shards.csv").open(newline="") as file:
        assert [float(row["step"]) for row in csv.DictReader(file)] == [0, 1]
    assert results.before["shards"]["step"] == 0
    assert results.after["shards"]["step"] == 1
    assert [path.name for path in (tmp_path / "pictures").glob("input*")] == ["input_00000001.png"]


def test_the_nan_guard_stops_and_keeps_the_batch(model_file, shards, tmp_path):
    trainer = make(tiny_config(model_file, (shards,)), tmp_path)
    with torch.no_grad():
        trainer.network.parameter_head.output.weight.fill_(float("nan"))
    with pytest.raises(DivergedError, match=r"the batch is in .*diverged_step_00000000"):
        trainer.train()
    saved = tensors(next(tmp_path.glob("diverged_*.safetensors")))
    assert saved["image"].shape == (4, 3, 64, 64)
    assert not checkpoint_paths(tmp_path)


def test_stage_two_trains_the_center_head_from_stage_one(model_file, tmp_path):
    scenes = write_shards(tmp_path / "scenes", 6, faces=2)
    train(tiny_config(model_file, (scenes,), steps=2), tmp_path / "one")
    config = replace(tiny_config(model_file, (scenes,), stage=2, steps=2), initial=tmp_path / "one")
    config = replace(config, data=replace(config.data, paste_fraction=0.5))
    before = tensors(latest_checkpoint(tmp_path / "one"))
    train(config, tmp_path / "two")
    after = tensors(latest_checkpoint(tmp_path / "two"))
    assert not torch.equal(before["network/center_head.hidden.weight"], after["network/center_head.hidden.weight"])
    assert float(rows(tmp_path / "two")[0]["center"]) > 0


def test_no_center_loss_leaves_the_center_head_alone(model_file, shards, tmp_path):
    config = tiny_config(model_file, (shards,), steps=1)
    trainer = make(replace(config, loss=LossConfig(center=0.0)), tmp_path)
    first = trainer.network.center_head.hidden.weight.clone()
    trainer.train()
    assert torch.equal(trainer.network.center_head.hidden.weight, first)


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_losses(model_file, shards, tmp_path):
    import json
    from dataclasses import asdict

    config = tiny_config(model_file, (shards,), steps=40)
    (tmp_path / "config.json").write_text(json.dumps(plain(asdict(config))))
    command = [*COMMAND, "stage1", "--config", str(tmp_path / "config.json"), "--out"]
    process = subprocess.Popen([*command, str(tmp_path / "killed")], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not checkpoint_paths(tmp_path / "killed") and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert checkpoint_paths(tmp_path / "killed"), "no checkpoint in time: nothing would be resumed"
    assert len(rows(tmp_path / "killed")) < 40
    subprocess.run([*command, str(tmp_path / "killed"), "--resume"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([*command, str(tmp_path / "whole")], check=True, stdout=subprocess.DEVNULL)
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")


@pytest.mark.slow
def test_two_processes_have_the_gradient_of_one(model_file, shards, tmp_path):
    script = Path(__file__).parent / "gradients.py"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    arguments = [str(script), str(model_file), str(shards)]
    subprocess.run([sys.executable, *arguments, str(tmp_path / "one")], check=True, env=environment)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run([*launcher, *arguments, str(tmp_path / "two")], check=True, env=environment)
    one, two = (tensors(tmp_path / name / "gradients.safetensors") for name in ("one", "two"))
    assert set(one) == set(two)
    for name in one:
        assert_same_gradient(one[name], two[name])


@pytest.mark.slow
def test_two_processes_agree_when_to_save(model_file, shards, tmp_path):
    import json
    from dataclasses import asdict

    config = tiny_config(model_file, (shards,), steps=60)
    config = replace(config, run=replace(config.run, checkpoint_every_steps=1000, checkpoint_every_minutes=0.002))
    (tmp_path / "config.json").write_text(json.dumps(plain(asdict(config))))
    command = [*COMMAND, "stage1", "--config", str(tmp_path / "config.json"), "--devices", "2", "--out"]
    done = subprocess.run([*command, str(tmp_path / "run")], check=True, stdout=subprocess.PIPE, timeout=400)
    assert set(json.loads(done.stdout)) == {"before", "after"}  # printed once
    assert len(rows(tmp_path / "run")) == 60


def test_stage_2_shows_whole_photographs_without_calling_the_rest_background(model_file, tmp_path):
    scenes = write_shards(tmp_path / "scenes", 4, faces=2)
    photographs = write_shards(tmp_path / "photographs", 4, seed=50, weak=True)
    config = tiny_config(model_file, (scenes,), stage=2, batch_size=16)
    data = replace(config.data, weak=(photographs,), weak_fraction=0.5, paste_fraction=0.0)
    loaded = make(replace(config, data=data), tmp_path / "run").load(0)
    weak = ~loaded.faces.exact
    assert 2 <= int((~loaded.complete).sum()) <= 14
    assert torch.equal(loaded.image_index[weak].unique(), (~loaded.complete).nonzero()[:, 0])


def test_stage_2_of_photographs_alone_pastes_faces_too(model_file, tmp_path):
    photographs = write_shards(tmp_path / "photographs", 4, seed=50, weak=True)
    config = tiny_config(model_file, (), stage=2, batch_size=16)
    config = replace(config, data=replace(config.data, exact=(), weak=(photographs,), weak_fraction=0.5))
    loaded = make(config, tmp_path / "run").load(0)
    whole = int((~loaded.complete).sum())
    assert 2 <= whole <= 14
    assert len(loaded.faces) > 16  # pasted ones bring several faces a picture
    assert bool(loaded.complete[loaded.image_index].any())
