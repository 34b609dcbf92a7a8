"""The commands `morphable-train run` and `morphable-train triples`."""

import json
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from morphable_synth import SceneConfig
from morphable_train.options import RunOptions, take_options
from morphable_train.recipes.config import CONFIGS, RECIPES, AnyRecipe, MobileFrnetConfig
from morphable_train.recipes.presets import ABLATIONS, PRESETS, recipe_preset
from morphable_train.recipes.triples import TriplesConfig, write_triples
from morphable_train.settings import dataclass_from_json

_USAGE = f"""usage: morphable-train run RECIPE [--preset NAME] [--ablation NAME] [--config FILE] [OPTIONS]

presets: {", ".join(PRESETS)}
recipes: {", ".join(RECIPES)}
ablations: {"; ".join(f"{recipe}: {', '.join(names)}" for recipe, names in ABLATIONS.items() if names)}

`morphable-train run RECIPE --help` lists the options."""


@dataclass(frozen=True, kw_only=True)
class _Command(RunOptions):
    """Train a per-face network. Defaults come from `--preset` and `--ablation`, or from `--config FILE`."""

    synth: int = 0
    """Make this many procedural faces (dfmvr: people) first, in `synth` beside the run, and train and validate on
    them too."""


def run_command(arguments: list[str]) -> int:
    """Parse `run RECIPE ...`, train, and print the errors before and after."""
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_USAGE + "\n")
        return 0 if arguments else 2
    recipe, rest = arguments[0], arguments[1:]
    if recipe not in RECIPES:
        raise ValueError(f"recipe must be one of {', '.join(RECIPES)}, got {recipe!r}")
    options, rest = take_options(rest, ("--preset", "--ablation", "--config"))
    if "--config" in options:
        default = _read(recipe, Path(options["--config"]))
    else:
        default = recipe_preset(recipe, options.get("--preset", "full"), ablation=options.get("--ablation"))  # type: ignore[assignment]
    return _train(recipe, default, rest)


def _train(recipe: str, default: AnyRecipe, arguments: list[str]) -> int:
    """Parse the options of one recipe and train."""
    from morphable_train.loop import has_checkpoint
    from morphable_train.recipes.running import run_recipe, with_procedural_faces

    kind = CONFIGS[recipe]

    @dataclass(frozen=True, kw_only=True)
    class Command(_Command):
        config: Annotated[kind, tyro.conf.arg(name="")] = field(default_factory=MobileFrnetConfig)  # type: ignore[valid-type]

    command = tyro.cli(
        Command,
        args=arguments,
        prog=f"morphable-train run {recipe}",
        description=_Command.__doc__,
        default=Command(out=Path("runs") / recipe, config=default),
    )
    config: AnyRecipe = command.config
    config = replace(config, run=config.run.with_length(command.minutes, command.steps))
    if command.synth:
        config = with_procedural_faces(config, command.out.parent / "synth", command.synth)  # type: ignore[assignment]
    resume = command.resume and has_checkpoint(command.out)
    results = run_recipe(config, command.out, resume=resume, devices=command.devices)
    sys.stdout.write(json.dumps(asdict(results), indent=2) + "\n")
    return 0


def triples_command(arguments: list[str]) -> int:
    """Parse `triples ...` and render people in three views."""
    config = tyro.cli(
        TriplesConfig,
        args=arguments,
        prog="morphable-train triples",
        default=TriplesConfig(out=Path("triples"), scenes=SceneConfig(layout="single", size_px=320)),
    )
    paths = write_triples(config)
    sys.stdout.write(f"{config.out}: {config.people} people in {len(paths)} shards\n")
    return 0


def _read(recipe: str, path: Path) -> AnyRecipe:
    """Read a recipe's configuration: bare JSON, or the `config` of a `run.json`."""
    if not path.is_file():
        raise FileNotFoundError(f"config must be an existing JSON file, got {path}; check the path")
    content = json.loads(path.read_text())
    values = content.get("config", content)
    if values.get("recipe", recipe) != recipe:
        raise ValueError(f"config must be of {recipe}, got one of {values['recipe']} in {path}")
    return dataclass_from_json(CONFIGS[recipe], values)
