"""Command line: `morphable-train COMMAND ...`."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from morphable_train.config import TrainConfig, ValidationConfig
from morphable_train.options import RunOptions, take_options
from morphable_train.prepare import PrepareConfig
from morphable_train.presets import PRESETS, preset

if TYPE_CHECKING:
    from morphable_train.training import RunResults

_USAGE = """usage: morphable-train COMMAND [OPTIONS]

commands:
  prepare   photographs to shards with weak labels
  stage1    train on single centred faces
  stage2    train on scenes of several faces, from a run of stage 1
  run       train a per-face network: mobile_frnet, prnet, dfmvr, parsing
  triples   render synthetic people in three views, for dfmvr
  resume    go on with a run of a stage that was stopped
  evaluate  measure a run on other data
  package   weights file and model card of a run

`morphable-train COMMAND --help` lists the options."""


@dataclass(frozen=True, kw_only=True)
class StageCommand(RunOptions):
    """Train one stage. Defaults come from `--preset mobile|paper_resnet50|smoke` or from `--config FILE`."""

    out: Path
    """Folder of the run; runs/stage1 or runs/stage2 if not given."""
    synth: int = 0
    """Make this many procedural scenes first, in `synth` beside the run, and train and validate on them too."""
    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)
    """Everything else."""


@dataclass(frozen=True, kw_only=True)
class ResumeCommand:
    """Go on with a run, as its `run.json` says."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the run."""
    minutes: float | None = None
    """New limit of the run's whole training time."""
    steps: int | None = None
    """New number of steps of the whole run."""
    devices: int = 1
    """Processes on this machine."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_USAGE + "\n")
        return 0 if arguments else 2
    command, rest = arguments[0], arguments[1:]
    if command not in COMMANDS:
        sys.stderr.write(f"morphable-train: command must be one of {', '.join(COMMANDS)}, got {command}\n")
        return 2
    try:
        return COMMANDS[command](rest)
    except (OSError, ValueError, ArithmeticError, ModuleNotFoundError) as error:
        sys.stderr.write(f"morphable-train: {error}\n")
        return 1


def _stage(stage: int, arguments: list[str]) -> int:
    """Parse and train a stage."""
    from morphable_train.loop import has_checkpoint
    from morphable_train.settings import read_config
    from morphable_train.training import train

    options, arguments = take_options(arguments, ("--config", "--preset"))
    if "--config" in options:
        default = read_config(Path(options["--config"]))
    else:
        default = preset(options.get("--preset", "mobile"), stage)
    command = tyro.cli(
        StageCommand,
        args=arguments,
        prog=f"morphable-train stage{stage}",
        description=f"Train stage {stage}. Presets: {', '.join(PRESETS)} (--preset), or a JSON file (--config).",
        default=StageCommand(out=Path("runs") / f"stage{stage}", config=default),
    )
    config = replace(command.config, run=command.config.run.with_length(command.minutes, command.steps))
    if command.synth:
        from morphable_train.procedural import with_procedural_data

        config = with_procedural_data(config, command.out.parent / "synth", command.synth)
    results = train(config, command.out, resume=command.resume and has_checkpoint(command.out), devices=command.devices)
    return _print(results)


def _resume(arguments: list[str]) -> int:
    """Parse and go on with a run."""
    from morphable_train.settings import read_config
    from morphable_train.training import train

    command = tyro.cli(ResumeCommand, args=arguments, prog="morphable-train resume")
    config = read_config(command.run / "run.json")
    config = replace(config, run=config.run.with_length(command.minutes, command.steps))
    return _print(train(config, command.run, resume=True, devices=command.devices))


def _print(results: "RunResults") -> int:
    """Write the validation before and after to standard output."""
    sys.stdout.write(json.dumps(asdict(results), indent=2) + "\n")
    return 0


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
    """Licence of the weights; by default that of the data."""
    training_data: str = ""
    """One line on the data; by default from the shards' descriptions."""
    size_px: int = 512
    """Long side of the input."""
    min_score: float = 0.5
    """Detections below this probability are dropped."""


def _package(arguments: list[str]) -> int:
    """Parse and package."""
    from morphable_train.packaging import PackageOptions, package

    command = tyro.cli(PackageCommand, args=arguments, prog="morphable-train package")
    if _is_recipe(command.run):
        from morphable_train.recipes.packaging import RecipePackage, package_recipe

        described = RecipePackage(name=command.name, license=command.license, training_data=command.training_data)
        sys.stdout.write(f"{command.output}\n{package_recipe(command.run, command.output, described)}\n")
        return 0
    options = PackageOptions(
        name=command.name,
        license=command.license,
        training_data=command.training_data,
        size_px=command.size_px,
        min_score=command.min_score,
    )
    card = package(command.run, command.output, options)
    sys.stdout.write(f"{command.output}\n{card}\n")
    return 0


def _is_recipe(run: Path) -> bool:
    """Whether a run is of a per-face network."""
    from morphable_train.recipes.packaging import read_recipe_config

    return read_recipe_config(run) is not None


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


def _evaluate(arguments: list[str]) -> int:
    """Parse and measure."""
    from morphable_train.training import evaluate

    command = tyro.cli(EvaluateCommand, args=arguments, prog="morphable-train evaluate")
    names = ("landmarks", "exact", "pictures", "max_faces", "max_pictures")
    validation = ValidationConfig(**{name: getattr(command, name) for name in names})
    sys.stdout.write(json.dumps(evaluate(command.run, validation), indent=2) + "\n")
    return 0


@dataclass(frozen=True, kw_only=True)
class PrepareCommand:
    """Photographs to shards."""

    source: Annotated[Path, tyro.conf.Positional]
    """Folder of the data set."""
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",))]
    """Folder of the shards."""
    config: Annotated[PrepareConfig, tyro.conf.arg(name="")] = field(default_factory=PrepareConfig)
    """Everything else."""


def _prepare(arguments: list[str]) -> int:
    """Parse and prepare."""
    from morphable_train.prepare import prepare

    command = tyro.cli(PrepareCommand, args=arguments, prog="morphable-train prepare")
    result = prepare(command.source, command.output, command.config)
    sys.stdout.write(json.dumps(asdict(result), indent=2) + "\n")
    return 0


def _run(arguments: list[str]) -> int:
    """Train a per-face network."""
    from morphable_train.recipes.commands import run_command

    return run_command(arguments)


def _triples(arguments: list[str]) -> int:
    """Render people in three views."""
    from morphable_train.recipes.commands import triples_command

    return triples_command(arguments)


COMMANDS = {
    "prepare": _prepare,
    "stage1": lambda rest: _stage(1, rest),
    "stage2": lambda rest: _stage(2, rest),
    "run": _run,
    "triples": _triples,
    "resume": _resume,
    "evaluate": _evaluate,
    "package": _package,
}
"""Handlers by command."""
