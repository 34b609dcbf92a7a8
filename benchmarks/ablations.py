"""Train the variants of a recipe's ablation on the same procedural faces and print one table.

    python benchmarks/ablations.py --recipe prnet --out out/ablations [--steps 600] [--variants 16_4_3_0 1_1_1_1]
    python benchmarks/ablations.py --recipe dfmvr --out out/ablations --angles 15 30 45 60 75

Variants are the smoke preset with the changes of `ABLATIONS`, all with the same seed: the same faces in the same order.
A variant whose `results.json` is in the output folder is not trained again. With `--angles`, every variant of DF-MVR is
also measured on other people whose side views are turned by these angles (and 8 degrees more or less, as in training).
No variant has the mask term: the smoke preset has no parser, its fourth channel holds the exact labels.
"""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
import tyro
from lightning_fabric import Fabric

from morphable_evalkit.reports.tables import Table, to_markdown
from morphable_synth import SceneConfig
from morphable_train.configs.recipe_names import ABLATIONS
from morphable_train.configs.recipe_presets import recipe_preset
from morphable_train.configs.recipes import RecipeConfig
from morphable_train.data.synthetic import HELD_OUT_SEED, SINGLE_PX
from morphable_train.recipes.dfmvr.triples import TriplesConfig, write_triples
from morphable_train.recipes.running import make_recipe, run_recipe, with_procedural_faces
from morphable_train.runs.checkpoint import latest_checkpoint, read_checkpoint
from morphable_train.runs.logs import RESULTS_FILE
from morphable_train.runs.loop import has_checkpoint

ANGLE_PEOPLE = 50
"""People measured at each angle of the side views."""
PERCENT = ("nme", "dense_3d_nme")
"""Ends of the names of errors that are shares of the face's size."""


@dataclass(frozen=True, kw_only=True)
class AblationsConfig:
    """Variants of a recipe, side by side."""

    recipe: Literal["mobile_frnet", "prnet", "dfmvr"]
    """Which recipe."""
    out: Path
    """Folder of faces and runs."""
    variants: tuple[str, ...] = ()
    """Rows; all of the recipe's by default."""
    synth: int = 800
    """Procedural faces (dfmvr: people) to train on."""
    steps: int | None = None
    """Length of each run; the preset's by default."""
    angles: tuple[float, ...] = ()
    """Yaw of the side views in degrees, for dfmvr."""
    devices: int = 1
    """Processes that train one variant."""

    def __post_init__(self) -> None:
        for name in self.variants:
            if name not in ABLATIONS[self.recipe]:
                raise ValueError(f"variants must be of {', '.join(ABLATIONS[self.recipe])}, got {name!r}")
        if self.angles and self.recipe != "dfmvr":
            raise ValueError(f"angles must go with dfmvr, got {self.recipe}")


def variant_config(config: AblationsConfig, name: str) -> RecipeConfig:
    """Return a variant on the faces that all share."""
    variant = recipe_preset(config.recipe, "smoke", ablation=name)
    variant = replace(variant, run=variant.run.with_length(None, config.steps))
    variant = replace(variant, data=replace(variant.data, cache=config.out / "cache"))
    return with_procedural_faces(variant, config.out / "synth", config.synth)


def trained(config: AblationsConfig, name: str) -> dict[str, float]:
    """Train a variant, or finish it, and return its errors."""
    run = config.out / config.recipe / name
    if not (run / RESULTS_FILE).is_file():
        run_recipe(variant_config(config, name), run, resume=has_checkpoint(run), devices=config.devices)
    results: dict[str, float] = json.loads((run / RESULTS_FILE).read_text())
    return results


@torch.no_grad()
def at_angle(config: AblationsConfig, name: str, angle_deg: float) -> dict[str, float]:
    """Measure a trained variant of DF-MVR on people whose side views have one angle."""
    folder, run = config.out / f"triples_{angle_deg:g}", config.out / config.recipe / name
    scenes = SceneConfig(layout="single", size_px=SINGLE_PX)
    side = (angle_deg, angle_deg)
    write_triples(TriplesConfig(out=folder, scenes=scenes, people=ANGLE_PEOPLE, seed=HELD_OUT_SEED, side_deg=side))
    variant = variant_config(config, name)
    variant = replace(variant, data=replace(variant.data, held_out=(folder,)))
    recipe = make_recipe(variant, run, Fabric(accelerator="cpu", devices=1))
    groups, _ = read_checkpoint(latest_checkpoint(run), None)
    recipe.network.load_state_dict(groups["average"])
    return recipe.validate(recipe.network.eval())


def ablation_table(config: AblationsConfig) -> Table:
    """Train what is missing and return one row a variant."""
    variants = config.variants or tuple(ABLATIONS[config.recipe])
    results = {name: trained(config, name) for name in variants}
    errors = [key for key in results[variants[0]] if key not in ("step", "faces", "people")]
    rows = []
    for name, values in results.items():
        measured = [at_angle(config, name, angle)["shape_mm"] for angle in config.angles]
        cells = [f"{values[key] * 100:.2f} %" if key.endswith(PERCENT) else f"{values[key]:.2f}" for key in errors]
        rows.append((name, f"{values['step']:.0f}", *cells, *(f"{value:.2f}" for value in measured)))
    columns = ("variant", "steps", *errors, *(f"shape_mm at {angle:g} degrees" for angle in config.angles))
    return Table(title=f"Variants of {config.recipe} on held-out procedural faces", columns=columns, rows=tuple(rows))


def main() -> int:
    """Print the table."""
    config = tyro.cli(AblationsConfig, description=__doc__)
    print(to_markdown(ablation_table(config)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
