"""The command `morphable-train run`."""

from collections.abc import Callable
from functools import partial

from morphable.commands import choose_command
from morphable_train.configs.recipe_names import ABLATIONS, PRESETS, RECIPES

_DESCRIPTION = f"""Train a per-face network.

--preset NAME sets defaults: {", ".join(PRESETS)}. --ablation NAME changes one thing of the published recipe:
{"; ".join(f"{recipe}: {', '.join(names)}" for recipe, names in ABLATIONS.items() if names)}.
--config FILE takes the defaults from a file. `morphable-train run RECIPE --help` lists the other options."""
_SUMMARIES = {
    "mobile_frnet": "Train Mobile-FRNet: parameters of one face from its crop.",
    "prnet": "Train PRNet: a UV position map of one face from its crop.",
    "dfmvr": "Train DF-MVR: one face from three views.",
    "parsing": "Train the network that names the part of a face that each pixel shows.",
}


def recipe_command(arguments: list[str]) -> int:
    """Read which recipe `run RECIPE ...` asks for, and train it."""
    train = choose_command(
        {recipe: _importer(recipe) for recipe in RECIPES},
        arguments,
        program="morphable-train run",
        description=_DESCRIPTION,
    )
    return train(arguments[1:])


def _importer(recipe: str) -> Callable[[], Callable[[list[str]], int]]:
    """Return a function that imports what trains a recipe."""

    def load() -> Callable[[list[str]], int]:
        from morphable_train.commands.recipe import train_recipe

        return partial(train_recipe, recipe)

    load.__doc__ = _SUMMARIES[recipe]
    return load
