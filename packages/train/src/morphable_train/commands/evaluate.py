"""The command `morphable-train evaluate`."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True, kw_only=True)
class EvaluateCommand:
    """Measure a run's averaged weights."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the run."""
    landmarks: tuple[Path, ...] = ()
    """Folders of photographs with 68 contour points."""
    exact: tuple[Path, ...] = ()
    """Folders of shards with exact labels."""
    pictures: tuple[Path, ...] = ()
    """Whole pictures for detection: shards of scenes, or folders of photographs with 68 points (recall alone)."""
    max_faces: int = 1000
    """Faces measured per folder."""
    max_pictures: int = 500
    """Whole pictures measured per folder."""


def evaluate_command(arguments: list[str]) -> int:
    """Parse `evaluate ...`, measure, and print the errors by folder."""
    command = tyro.cli(EvaluateCommand, args=arguments, prog="morphable-train evaluate")
    from morphable_train.configs.stages import ValidationConfig
    from morphable_train.stages.training import evaluate

    validation = ValidationConfig(
        landmarks=command.landmarks,
        exact=command.exact,
        pictures=command.pictures,
        max_faces=command.max_faces,
        max_pictures=command.max_pictures,
    )
    sys.stdout.write(json.dumps(evaluate(command.run, validation), indent=2) + "\n")
    return 0
