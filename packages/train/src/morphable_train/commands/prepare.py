"""The command `morphable-train prepare`."""

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from morphable_train.preparation.photographs import prepare
from morphable_train.preparation.records import PrepareConfig


@dataclass(frozen=True, kw_only=True)
class PrepareCommand:
    """Photographs to shards."""

    source: Annotated[Path, tyro.conf.Positional]
    """Folder of the data set."""
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",))]
    """Folder of the shards."""
    config: Annotated[PrepareConfig, tyro.conf.arg(name="")] = field(default_factory=PrepareConfig)
    """Everything else."""


def prepare_command(arguments: list[str]) -> int:
    """Parse `prepare ...`, make the shards, and print what they hold and what was refused."""
    command = tyro.cli(PrepareCommand, args=arguments, prog="morphable-train prepare")
    result = prepare(command.source, command.output, command.config)
    sys.stdout.write(json.dumps(asdict(result), indent=2) + "\n")
    return 0
