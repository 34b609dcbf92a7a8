"""The commands `morphable-train stage1`, `stage2` and `resume`."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from morphable_train.commands.options import RunOptions, print_results, take_options
from morphable_train.configs.stage_presets import PRESETS, preset
from morphable_train.configs.stages import TrainConfig
from morphable_train.runs.logs import read_run_file
from morphable_train.runs.settings import config_from_json, read_config


@dataclass(frozen=True, kw_only=True)
class StageCommand(RunOptions):
    """Train one stage. Defaults come from `--preset mobile|resnet50_128|paper_resnet50|smoke` or `--config FILE`."""

    out: Path
    """Folder of the run; runs/stage1 or runs/stage2 if not given."""
    synth: int = 0
    """Make this many procedural scenes first, in `synth` beside the run, and train and validate on them too."""
    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)
    """Everything else."""


@dataclass(frozen=True, kw_only=True)
class ResumeCommand:
    """Go on with a run by its `run.json`."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the run."""
    minutes: float | None = None
    """New limit of the run's whole training time."""
    steps: int | None = None
    """New number of steps of the whole run."""
    devices: int | None = None
    """Processes on this machine; by default as many as before."""


def stage_command(stage: int, arguments: list[str]) -> int:
    """Parse `stage1 ...` or `stage2 ...`, train, and print the validation before and after."""
    default, arguments = _stage_defaults(stage, arguments)
    command = tyro.cli(
        StageCommand,
        args=arguments,
        prog=f"morphable-train stage{stage}",
        description=f"Train stage {stage}. Presets: {', '.join(PRESETS)} (--preset), or a JSON file (--config).",
        default=StageCommand(out=Path("runs") / f"stage{stage}", config=default),
    )
    from morphable_train.runs.loop import has_checkpoint
    from morphable_train.stages.training import train

    config = replace(command.config, run=command.config.run.with_length(command.minutes, command.steps))
    if command.synth:
        from morphable_train.data.synthetic import with_procedural_data

        config = with_procedural_data(config, command.out.parent / "synth", command.synth)
    resume = command.resume and has_checkpoint(command.out)
    results = train(config, command.out, resume=resume, devices=command.devices)
    print_results(results)
    return 0


def _stage_defaults(stage: int, arguments: list[str]) -> tuple[TrainConfig, list[str]]:
    """Return the configuration that `--preset` or `--config` names, and the other arguments."""
    options, rest = take_options(arguments, ("--config", "--preset"))
    if "--config" not in options:
        return preset(options.get("--preset", "mobile"), stage), rest
    default = read_config(Path(options["--config"]))
    if default.run.stage != stage:
        raise ValueError(f"config must be of stage {stage}, got stage {default.run.stage} in {options['--config']}")
    return default, rest


def resume_command(arguments: list[str]) -> int:
    """Parse `resume ...`, go on with the run, and print the validation before and after."""
    command = tyro.cli(ResumeCommand, args=arguments, prog="morphable-train resume")
    from morphable_train.stages.training import train

    content = read_run_file(command.run)
    config = config_from_json(content["config"])
    config = replace(config, run=config.run.with_length(command.minutes, command.steps))
    results = train(config, command.run, resume=True, devices=command.devices or content.get("processes", 1))
    print_results(results)
    return 0
