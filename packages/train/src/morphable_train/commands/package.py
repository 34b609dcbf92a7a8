"""The command `morphable-train package`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from morphable.files import write_text
from morphable_train.packaging.card import with_photographs


@dataclass(frozen=True, kw_only=True)
class PackageCommand:
    """Package a run's averaged weights."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the run."""
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",))]
    """Weights file to write (.safetensors); the card goes beside it as .md."""
    name: str = "custom"
    """Name shown to the user."""
    license: str = ""
    """License of the weights; by default those of the data and of first weights. Needed where one is not stated."""
    training_data: str = ""
    """One line on the data; by default what data and first weights say of themselves. Needed where they say nothing."""
    size_px: int = 512
    """Long side of the input."""
    min_score: float = 0.5
    """Detections below this probability are dropped."""
    averaged_with: tuple[Path, ...] = ()
    """Other runs of the same single-shot network whose weights are averaged with this run's."""
    detector: Path | None = None
    """For a run of the face head: weights file of the network that finds the faces."""
    photographs: Path | None = None
    """Markdown file with what these weights measured on photographs, for the card. Package once, measure
    (`benchmarks/photograph_summary.py`), then package again: the weights are the same."""


def package_command(arguments: list[str]) -> int:
    """Parse `package ...`, write weights and card, and print their paths."""
    command = tyro.cli(PackageCommand, args=arguments, prog="morphable-train package")
    measured = None if command.photographs is None else command.photographs.read_text(encoding="utf-8")
    from morphable_train.packaging.face_head import FaceHeadPackage, is_face_head_run, package_face_head
    from morphable_train.packaging.recipes import RecipePackage, package_recipe, read_recipe_config
    from morphable_train.packaging.stages import PackageOptions, package

    described = {"name": command.name, "license": command.license, "training_data": command.training_data}
    if is_face_head_run(command.run):
        if command.detector is None:
            raise ValueError("detector must be given with a run of the face head, got none; pass --detector FILE")
        described["name"] = "" if command.name == "custom" else command.name
        card = package_face_head(command.run, command.detector, command.output, FaceHeadPackage(**described))
    elif read_recipe_config(command.run) is not None:
        if command.averaged_with:
            raise ValueError(f"averaged_with must go with a run of the stages, got a recipe's: {command.run}")
        card = package_recipe(command.run, command.output, RecipePackage(**described))
    else:
        options = PackageOptions(
            **described, size_px=command.size_px, min_score=command.min_score, averaged_with=command.averaged_with
        )
        card = package(command.run, command.output, options)
    if measured is not None:
        write_text(card, with_photographs(card.read_text(encoding="utf-8"), measured))
    sys.stdout.write(f"{command.output}\n{card}\n")
    return 0
