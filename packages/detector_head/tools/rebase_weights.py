"""Carry weights files over to a newer version of the face model whose albedo has another basis.

`python packages/detector_head/tools/rebase_weights.py --old OLD_MODEL --new NEW_MODEL --weights FILE ...`

A detector's last estimate of albedo goes through its color head. That head gets one more linear step: the old
coefficients are taken to those of the new basis that draw the nearest colors, by weighted least squares over the front
of the face. Files of other networks hold no albedo; they only get the new hash. Shape must be the same but for
fractions of a millimeter, which is checked.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro
from torch import Tensor

from morphable import MorphableModel, load_model, read_weights, reference_to, write_weights
from morphable.commands import run_command
from morphable_detector_head.layout import ParameterLayout

MAX_SHAPE_CHANGE_M = 1e-3
BEHIND = 0.05
"""Weight of scalp, neck and ears, which photographs hardly show, relative to the face."""
RIDGE = 1e-5
"""Variance of a color value below which a mode is not worth a large coefficient."""
CHECKED = 256


@dataclass(frozen=True, kw_only=True)
class RebaseConfig:
    """Carry weights files over to a newer face model."""

    old: Path
    """Model file that the weights were trained with."""
    new: str = "open"
    """Name or file of the model to carry them to."""
    weights: tuple[Path, ...]
    """Files to change in place."""


def run(config: RebaseConfig) -> None:
    """Change the files."""
    old, new = load_model(str(config.old)), load_model(config.new)
    moved = (old.mean - new.mean).norm(dim=-1).max().item()
    if moved > MAX_SHAPE_CHANGE_M or not torch.allclose(old.identity_basis, new.identity_basis, atol=1e-4):
        raise ValueError(f"new must have the shape of old, got vertices {1e3 * moved:.2f} mm away; train anew")
    matrix, offset = albedo_map(old, new)
    report(old, new, matrix, offset)
    for path in config.weights:
        info, state = read_weights(path)
        if info.model.sha256 != reference_to(old).sha256:
            raise ValueError(f"weights must have been made for {config.old}, got {path} of another model")
        architecture = info.architecture
        if "network" not in architecture:
            width = architecture["color_width"]
            layout = ParameterLayout(**architecture["layout"])
            state = with_albedo_step(state, layout, matrix, offset)
            architecture = {**architecture, "color_width": width + 2 * layout.num_albedo}
        write_weights(path, replace(info, architecture=architecture, model=reference_to(new)), state)
        print(path)


def albedo_map(old: MorphableModel, new: MorphableModel) -> tuple[Tensor, Tensor]:
    """Return matrix and offset that take albedo coefficients of one model to those of the other."""
    weight = torch.where(new.region("face"), 1.0, BEHIND).double()
    weight = (weight / weight.sum()).repeat_interleave(3)
    basis_old, mean_old = _colors(old)
    basis_new, mean_new = _colors(new)
    weighted = basis_new * weight
    gram = weighted @ basis_new.T + RIDGE * torch.eye(len(basis_new)).double()
    return torch.linalg.solve(gram, weighted @ basis_old.T), torch.linalg.solve(gram, weighted @ (mean_old - mean_new))


def _colors(model: MorphableModel) -> tuple[Tensor, Tensor]:
    """Basis (albedo, values) and mean (values) at full resolution."""
    mean = model.decode_albedo(torch.zeros(model.num_albedo)).double()
    basis = model.decode_albedo(torch.eye(model.num_albedo)).double() - mean
    return basis.flatten(1), mean.flatten()


def with_albedo_step(
    state: dict[str, Tensor], layout: ParameterLayout, matrix: Tensor, offset: Tensor
) -> dict[str, Tensor]:
    """Return a detector's tensors with its color head widened by a linear step on the albedo.

    The head adds a correction `d` to the estimate `x`. The new one adds `M (x + d) + c - x` to the albedo: units in
    pairs `relu(x)`, `relu(-x)` carry `x` through both hidden layers.
    """
    names = [f"color_head.{part}.{kind}" for part in ("hidden.0", "hidden.2", "output") for kind in ("weight", "bias")]
    first, first_bias, second, second_bias, last, last_bias = (state[name].double() for name in names)
    count, before = layout.num_albedo, layout.num_identity + layout.num_expression
    at = first.shape[1] - layout.num_channels + before  # the channels come last among the inputs, albedo within them
    carry = torch.zeros(2 * count, first.shape[1]).double()
    carry[:count, at : at + count] = torch.eye(count).double()
    carry[count:, at : at + count] = -torch.eye(count).double()
    linear = matrix - torch.eye(count).double()
    last = torch.cat([last, torch.zeros(len(last), 2 * count).double()], 1)
    last[:count, : -2 * count] = matrix @ last[:count, : -2 * count]
    last[:count, -2 * count :] = torch.cat([linear, -linear], 1)
    last_bias = last_bias.clone()
    last_bias[:count] = matrix @ last_bias[:count] + offset
    widened = (
        torch.cat([first, carry]),
        torch.cat([first_bias, torch.zeros(2 * count).double()]),
        torch.block_diag(second, torch.eye(2 * count).double()),
        torch.cat([second_bias, torch.zeros(2 * count).double()]),
        last,
        last_bias,
    )
    return {**state, **{name: tensor.float() for name, tensor in zip(names, widened, strict=True)}}


def report(old: MorphableModel, new: MorphableModel, matrix: Tensor, offset: Tensor) -> None:
    """Print how near the colors of the new coefficients come to those of the old ones, for people of the old model."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(CHECKED, old.num_albedo, generator=generator, dtype=torch.float64)
    basis_old, mean_old = _colors(old)
    basis_new, mean_new = _colors(new)
    taken = drawn @ matrix.T + offset
    left = (taken @ basis_new + mean_new - drawn @ basis_old - mean_old).abs().unflatten(1, (-1, 3))
    for region in ("skin", "brows", "eyes", "lips"):
        print(f"{region}: mean absolute difference {left[:, new.region(region)].mean():.4f}")
    print(f"standard deviation of the new coefficients {taken.std():.2f}")


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    return run_command(
        "rebase_weights",
        "morphable-detector-head",
        argv,
        parse=lambda arguments: tyro.cli(RebaseConfig, args=arguments),
        act=run,
    )


if __name__ == "__main__":
    raise SystemExit(main())
