"""Optimizer, learning-rate schedule and averaged weights."""

import math

import torch
from torch import Tensor, nn

from morphable_train.configs.stages import OptimizerConfig

FINAL_COSINE = 0.01
"""Rate at the end of the cosine, relative to the peak."""
STEP_FACTOR = 0.1
"""What the step schedule multiplies by (the paper's division by ten)."""
EMA_HORIZON = 10.0
"""The average's decay grows as (1 + step) / (10 + step), so that it forgets the random start."""


def build_optimizer(network: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """Return AdamW over four groups: backbone or new layer, decayed (matrices, kernels) or not (vectors)."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((name.startswith("backbone."), parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "weight_decay": config.weight_decay if decayed else 0.0,
                "rate_factor": config.backbone_factor if pretrained else 1.0,
            }
            for (pretrained, decayed), parameters in groups.items()
        ],
        lr=config.learning_rate,
    )


def rate_factor(progress: float, step: int, config: OptimizerConfig) -> float:
    """Return the learning rate relative to its peak.

    Args:
        progress: Part of the run that is done, 0 to 1.
        step: Steps done, for the warm-up.
        config: The schedule.
    """
    warmup = min(1.0, (step + 1) / (config.warmup_steps + 1))
    if config.schedule == "step":
        return warmup * (STEP_FACTOR if progress >= config.step_at else 1.0)
    return warmup * (FINAL_COSINE + (1 - FINAL_COSINE) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


def set_rate(optimizer: torch.optim.Optimizer, factor: float, config: OptimizerConfig) -> float:
    """Set the rate of every group and return that of the new layers."""
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * factor * group["rate_factor"]
    return config.learning_rate * factor


def clip_gradients(network: nn.Module, config: OptimizerConfig) -> Tensor:
    """Shorten the gradient to `clip_norm`, unless that is 0, and return its length before."""
    return nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm or math.inf)


class AveragedWeights:
    """Exponential moving average of a network's floating-point state; integers are copied."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state: dict[str, Tensor] = {k: v.detach().clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the network's weights after a step."""
        decay = min(self.decay, (1 + step) / (EMA_HORIZON + step))
        current = network.state_dict()
        floating = [name for name, value in current.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.state[n] for n in floating], [current[n] for n in floating], 1.0 - decay)
        for name, value in current.items():
            if not value.is_floating_point():
                self.state[name].copy_(value)
