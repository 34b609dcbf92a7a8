"""What the commands that train share: their options, how these are read, and how results are printed."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Where a run goes, how long it takes, and on how many processes."""

    out: Path
    """Folder of the run."""
    minutes: float | None = None
    """Stop after this time with a final checkpoint."""
    steps: int | None = None
    """Steps of the whole run."""
    resume: bool = False
    """Go on from the newest checkpoint of this run, if there is one."""
    devices: int = 1
    """Processes on this machine; `torchrun` sets its own."""


def print_results(results: "DataclassInstance") -> None:
    """Print what a run measured as JSON, once: every process of a run comes here."""
    from lightning_fabric.utilities import rank_zero_only

    rank_zero_only(sys.stdout.write)(json.dumps(asdict(results), indent=2) + "\n")


def take_options(arguments: Sequence[str], names: tuple[str, ...]) -> tuple[dict[str, str], list[str]]:
    """Take options with their values out of a list of arguments; given twice, the last one counts.

    Returns:
        The values by option, and the other arguments.

    Raises:
        ValueError: An option is last and has no value.
    """
    found: dict[str, str] = {}
    rest, waiting = [], iter(arguments)
    for argument in waiting:
        name, equals, value = argument.partition("=")
        if name not in names:
            rest.append(argument)
            continue
        taken = value if equals else next(waiting, None)
        if taken is None:
            raise ValueError(f"{name} must be followed by a value, got none")
        found[name] = taken
    return found, rest
