"""The command `morphable-train run`."""

import sys

from morphable_train.configs.recipe_names import ABLATIONS, PRESETS, RECIPES

_USAGE = f"""usage: morphable-train run RECIPE [--preset NAME] [--ablation NAME] [--config FILE] [OPTIONS]

presets: {", ".join(PRESETS)}
recipes: {", ".join(RECIPES)}
ablations: {"; ".join(f"{recipe}: {', '.join(names)}" for recipe, names in ABLATIONS.items() if names)}

`morphable-train run RECIPE --help` lists the options."""


def run_command(arguments: list[str]) -> int:
    """Read which recipe `run RECIPE ...` asks for, and train it."""
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_USAGE + "\n")
        return 0 if arguments else 2
    recipe, rest = arguments[0], arguments[1:]
    if recipe not in RECIPES:
        raise ValueError(f"recipe must be one of {', '.join(RECIPES)}, got {recipe!r}")
    from morphable_train.commands.recipe import train_recipe

    return train_recipe(recipe, rest)
