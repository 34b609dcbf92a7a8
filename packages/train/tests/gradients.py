"""Write the gradient of one step; run alone, or by torchrun in two processes."""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch
from safetensors.torch import save_file
from tiny_run import tiny_config

from morphable_train.data.streams import finish_batch
from morphable_train.runs.logs import RunLog
from morphable_train.runs.loop import make_fabric
from morphable_train.stages.parts import build_parts
from morphable_train.stages.training import make_trainer


def main() -> None:
    model, shards, out = map(Path, sys.argv[1:])
    torch.set_num_threads(1)
    config = tiny_config(model, (shards,))
    # pixel noise is drawn per process, everything else for the whole batch
    config = replace(config, augment=replace(config.augment, noise=0.0))
    out.mkdir(exist_ok=True)
    fabric = make_fabric(config, 1)
    trainer = make_trainer(config, out, fabric, build_parts(config), RunLog(out, enabled=False), None)
    trainer.network.eval()
    with torch.no_grad():
        batch, spread = finish_batch(trainer.stream.load(0), config, trainer.model, trainer.objective.surface)
    trainer.backward(batch, spread, 0)
    if fabric.is_global_zero:
        gradients = {n: p.grad.contiguous() for n, p in trainer.network.named_parameters() if p.grad is not None}
        save_file(gradients, out / "gradients.safetensors")


if __name__ == "__main__":
    main()
