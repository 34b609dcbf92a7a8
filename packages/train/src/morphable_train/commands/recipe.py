"""What `morphable-train run RECIPE ...` does: the options of one recipe, and its run."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, cast

import tyro

from morphable.records import build_record
from morphable_train.commands.options import RunOptions, print_results, take_options
from morphable_train.configs.recipe_presets import recipe_preset
from morphable_train.configs.recipes import CONFIGS, AnyRecipe, MobileFrnetConfig, RecipeConfig
from morphable_train.runs.settings import read_values


@dataclass(frozen=True, kw_only=True)
class RecipeOptions(RunOptions):
    """Train a per-face network. Defaults come from `--preset` and `--ablation`, or from `--config FILE`."""

    synth: int = 0
    """Make this many procedural faces (dfmvr: people) first, in `synth` beside the run, and train and validate on
    them too."""


def train_recipe(recipe: str, arguments: list[str]) -> int:
    """Parse the options of one recipe, train, and print the errors before and after."""
    default, arguments = _recipe_defaults(recipe, arguments)
    command, config = _parse(recipe, default, arguments)
    from morphable_train.recipes.running import run_recipe, with_procedural_faces
    from morphable_train.runs.loop import has_checkpoint

    config = replace(config, run=config.run.with_length(command.minutes, command.steps))
    if command.synth:
        config = with_procedural_faces(config, command.out.parent / "synth", command.synth)
    resume = command.resume and has_checkpoint(command.out)
    results = run_recipe(config, command.out, resume=resume, devices=command.devices)
    print_results(results)
    return 0


def _recipe_defaults(recipe: str, arguments: list[str]) -> tuple[RecipeConfig, list[str]]:
    """Return the configuration that `--preset` and `--ablation`, or `--config`, name, and the other arguments."""
    options, rest = take_options(arguments, ("--preset", "--ablation", "--config"))
    if "--config" in options:
        return _read(recipe, Path(options["--config"])), rest
    return recipe_preset(recipe, options.get("--preset", "full"), ablation=options.get("--ablation")), rest


def _parse(recipe: str, default: RecipeConfig, arguments: list[str]) -> tuple[RecipeOptions, RecipeConfig]:
    """The options and the recipe's own configuration, every field of which is an option too."""
    kind = CONFIGS[recipe]

    @dataclass(frozen=True, kw_only=True)
    class Command(RecipeOptions):
        config: Annotated[kind, tyro.conf.arg(name="")] = field(default_factory=MobileFrnetConfig)  # type: ignore[valid-type]

    command = tyro.cli(
        Command,
        args=arguments,
        prog=f"morphable-train run {recipe}",
        description=RecipeOptions.__doc__,
        default=Command(out=Path("runs") / recipe, config=default),
    )
    return command, cast("RecipeConfig", command.config)


def _read(recipe: str, path: Path) -> AnyRecipe:
    """Read a recipe's configuration, and no other's."""
    values = read_values(path)
    if values.get("recipe", recipe) != recipe:
        raise ValueError(f"config must be of {recipe}, got one of {values['recipe']} in {path}")
    return build_record(CONFIGS[recipe], values, "config")
