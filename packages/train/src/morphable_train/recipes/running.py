"""A recipe's run from a configuration to its results."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from lightning_fabric import Fabric

from morphable import load_model
from morphable.files import write_text
from morphable_synth import SceneConfig
from morphable_train.configs.recipes import (
    DfmvrConfig,
    MobileFrnetConfig,
    ParsingConfig,
    PrnetConfig,
    RecipeConfig,
)
from morphable_train.data.mirroring import mirrored_if_possible
from morphable_train.data.streams import Shard
from morphable_train.data.synthetic import HELD_OUT_SEED, SINGLE_PX, held_out_count, procedural_shards
from morphable_train.recipes.base.crops import PartCrops, open_part_crops
from morphable_train.recipes.base.recipe import Recipe
from morphable_train.recipes.dfmvr.recipe import DfmvrRecipe
from morphable_train.recipes.dfmvr.triples import TriplesConfig, write_triples
from morphable_train.recipes.engine import RecipeTrainer
from morphable_train.recipes.mobile_frnet.recipe import FrnetRecipe
from morphable_train.recipes.parsing.recipe import ParsingRecipe
from morphable_train.recipes.prnet.recipe import PrnetRecipe
from morphable_train.runs.depthwise import speed_up_depthwise
from morphable_train.runs.logs import RESULTS_FILE, RunLog, write_run_file
from morphable_train.runs.loop import open_run

_MAKERS: dict[str, Callable[..., Recipe]] = {
    "mobile_frnet": FrnetRecipe,
    "prnet": PrnetRecipe,
    "dfmvr": DfmvrRecipe,
    "parsing": ParsingRecipe,
}


@dataclass(frozen=True)
class RecipeResults:
    """Errors on the held-out faces by name."""

    before: dict[str, float]
    """Validation at the first step of this run, or of its resumption."""
    after: dict[str, float]
    """Validation of the averaged weights at the end."""


def recipe_name(config: RecipeConfig) -> str:
    """Return the recipe that a configuration is of."""
    name: str = vars(config)["recipe"]
    return name


def run_recipe(config: RecipeConfig, run: Path, *, resume: bool = False, devices: int = 1) -> RecipeResults:
    """Train a per-face network and measure it before and after.

    Args:
        config: What to do.
        run: Folder of the run: checkpoints, logs, pictures, `run.json`, `results.json`.
        resume: Go on from the run's newest checkpoint.
        devices: Processes on this machine when it is not `torchrun` that starts them.

    Raises:
        FileExistsError: The run has checkpoints and `resume` is false.
        ValueError: Data or configuration are unusable.
        DivergedError: A loss is not finite.

    >>> from dataclasses import replace
    >>> from morphable_train import recipe_preset
    >>> config = recipe_preset("parsing", "smoke")
    >>> data, steps = replace(config.data, exact=(shards,)), replace(config.run, steps=1, batch_size=2)
    >>> results = run_recipe(replace(config, data=data, run=steps), folder / "parsing")
    >>> from morphable_train.packaging.recipes import RecipePackage, package_recipe
    >>> package_recipe(folder / "parsing", folder / "parsing.safetensors", RecipePackage(name="mine")).name
    'parsing.md'
    """
    with open_run(config, run, resume=resume, devices=devices) as fabric:
        recipe = make_recipe(config, run, fabric)
        log = RunLog(run, enabled=fabric.is_global_zero)
        trainer = RecipeTrainer(config, run, fabric, recipe, log)
        if resume:
            trainer.resume()  # refuses another network before anything of the run is overwritten
        if fabric.is_global_zero:
            write_run_file(run, config, processes=fabric.world_size)
        before = trainer.validate()
        trainer.train()
        after = trainer.validate()
        if fabric.is_global_zero:
            write_text(
                run / RESULTS_FILE, json.dumps({"step": trainer.progress.step} | after, indent=2) + "\n", parents=True
            )
        log.close()
        return RecipeResults(before, after)


def make_recipe(config: RecipeConfig, run: Path, fabric: Fabric) -> Recipe:
    """Open data and build network and losses; first weights are a function of the seed."""
    torch.manual_seed(config.run.seed)
    model = load_model(config.model).requires_grad_(False).to(fabric.device)
    config = replace(config, augment=mirrored_if_possible(config.augment, model, exact=True))
    cache = config.data.cache or run / "cache"
    with fabric.rank_zero_first():
        parts = needs_parts(config)
        crops = open_part_crops(config.data.exact, cache, config.crop, config.data, model, parts=parts)
        held_out: PartCrops | None = None
        if config.data.held_out:
            held_out = open_part_crops(config.data.held_out, cache, config.crop, config.data, model, parts=parts)
    for stored in (crops, held_out):
        if stored is not None and isinstance(config, MobileFrnetConfig | PrnetConfig):
            _require_coefficients(stored, recipe_name(config))
    shard = Shard(fabric.global_rank, fabric.world_size)
    recipe = _MAKERS[recipe_name(config)](config, model, crops, held_out, shard)
    if fabric.device.type == "cpu":
        speed_up_depthwise(recipe.network)
    return recipe


def needs_parts(config: RecipeConfig) -> bool:
    """Return whether a recipe learns from the part that each pixel shows: parsing, and DF-MVR without a parser."""
    if isinstance(config, DfmvrConfig):
        return config.parsing_channel and config.parser is None
    return isinstance(config, ParsingConfig)


def _require_coefficients(crops: PartCrops, recipe: str) -> None:
    """Raise a ValueError where faces are known by landmarks alone."""
    weak = int((~crops.faces.exact).sum())
    if weak:
        raise ValueError(
            f"faces must have coefficients for {recipe}, got {weak} of {len(crops)} with landmarks alone; "
            "prepare 300W-LP with --basel and --basel-model, or use synthetic faces"
        )


def with_procedural_faces(config: RecipeConfig, folder: Path, count: int, *, workers: int = 2) -> RecipeConfig:
    """Make procedural scenes (for DF-MVR: people in three views) to train and validate on; what is there is kept.

    Args:
        config: A run.
        folder: Where the shards go.
        count: Faces (people) to train on; a seventh as many others are held out.
        workers: Processes that render.
    """
    kind = "triples" if recipe_name(config) == "dfmvr" else "faces"
    make = _triples if kind == "triples" else _faces
    train = make(folder / f"{kind}_train", count, 0, workers)
    held_out = make(folder / f"{kind}_held_out", held_out_count(count), HELD_OUT_SEED, workers)
    data = config.data
    data = replace(data, exact=(*data.exact, train), held_out=(*data.held_out, held_out))
    return replace(config, data=data)


def _faces(folder: Path, count: int, seed: int, workers: int) -> Path:
    """Single faces."""
    return procedural_shards(folder, SceneConfig(layout="single", size_px=SINGLE_PX), count, seed=seed, workers=workers)


def _triples(folder: Path, count: int, seed: int, workers: int) -> Path:
    """People in three views."""
    scenes = SceneConfig(layout="single", size_px=SINGLE_PX)
    write_triples(
        TriplesConfig(out=folder, scenes=scenes, people=count, seed=seed, people_per_shard=25, workers=workers)
    )
    return folder
