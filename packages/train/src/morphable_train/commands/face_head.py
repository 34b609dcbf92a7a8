"""The command `morphable-train face-head`."""

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from morphable_train.commands.options import RunOptions
from morphable_train.face_head.config import FaceHeadTraining


@dataclass(frozen=True, kw_only=True)
class FaceHeadCommand(RunOptions):
    """Train the face head on crops of synthetic faces; `package RUN --detector FILE` joins it to a detector."""

    config: Annotated[FaceHeadTraining, tyro.conf.arg(name="")] = field(default_factory=FaceHeadTraining)


def face_head_command(arguments: list[str]) -> int:
    """Parse the options, train, and print the measures on held-out faces."""
    command = tyro.cli(
        FaceHeadCommand,
        args=arguments,
        prog="morphable-train face-head",
        default=FaceHeadCommand(out=Path("runs") / "face_head"),
    )
    if not command.config.data:
        raise ValueError("data must name folders of shards, got none; make them with `morphable-synth generate`")
    from morphable_train.face_head.training import train_face_head
    from morphable_train.runs.loop import has_checkpoint

    config = replace(command.config, run=command.config.run.with_length(command.minutes, command.steps))
    values = train_face_head(config, command.out, resume=command.resume and has_checkpoint(command.out))
    sys.stdout.write(json.dumps(values, indent=2) + "\n")
    return 0
