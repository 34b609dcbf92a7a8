"""First weights of a per-face network: those of an earlier run of its recipe, or of a file."""

from pathlib import Path

from torch import Tensor, nn

from morphable_regressors import SystemSpec
from morphable_regressors.systems import ParameterConfig
from morphable_train.packaging.recipes import read_system


def go_on_from(system: nn.Module, spec: SystemSpec, source: Path) -> bool:
    """Take all weights of another network of the same recipe and options; its crops may have another size.

    The crops of a network that regresses parameters may not: its whitening is of their pixels.

    Args:
        system: Changed in place.
        spec: What it is.
        source: A run of a recipe, or a weights file.

    Returns:
        False if the source is no network of this recipe; nothing is changed then.

    Raises:
        FileNotFoundError: Nothing is there.
        ValueError: It is one with other options.
    """
    state = _state_of_same(spec, source)
    if state is None:
        return False
    system.load_state_dict(state)
    return True


def require_own(system: nn.Module, spec: SystemSpec, source: Path) -> None:
    """Do the same where nothing else could be taken.

    Raises:
        FileNotFoundError: Nothing is there.
        ValueError: It is not a network of this recipe with these options.
    """
    if not go_on_from(system, spec, source):
        raise ValueError(f"start must be a run or weights of {spec.network}, got something else in {source}")


def _state_of_same(spec: SystemSpec, source: Path) -> dict[str, Tensor] | None:
    """Read the tensors of a network of the same recipe; None if the source is something else."""
    try:
        found, state = read_system(source)
    except ValueError:  # no per-face network
        return None
    if found.network != spec.network:
        return None
    if found.config != spec.config:
        raise ValueError(
            f"start must be {spec.network} with options {spec.config}, got {found.config} in {source}; "
            "set the same options"
        )
    if isinstance(spec.config, ParameterConfig) and found.crop != spec.crop:
        raise ValueError(f"start must have the crops {spec.crop}, got {found.crop} in {source}; set the same crop")
    return state
