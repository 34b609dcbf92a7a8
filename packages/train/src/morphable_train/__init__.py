"""Weakly-supervised training in two stages, from any folder of photographs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from morphable_train.configs.recipe_presets import recipe_preset
    from morphable_train.configs.stage_presets import preset
    from morphable_train.configs.stages import TrainConfig
    from morphable_train.data.shards import ShardReader, ShardWriter
    from morphable_train.packaging.recipes import package_recipe
    from morphable_train.packaging.stages import package
    from morphable_train.preparation.photographs import prepare
    from morphable_train.recipes.running import run_recipe
    from morphable_train.stages.training import evaluate, train

__version__ = "0.1.0"

_MODULES = {
    "configs.recipe_presets": ("recipe_preset",),
    "configs.stage_presets": ("preset",),
    "configs.stages": ("TrainConfig",),
    "data.shards": (
        "ShardReader",
        "ShardWriter",
    ),
    "packaging.recipes": ("package_recipe",),
    "packaging.stages": ("package",),
    "preparation.photographs": ("prepare",),
    "recipes.running": ("run_recipe",),
    "stages.training": (
        "evaluate",
        "train",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "ShardReader",
    "ShardWriter",
    "TrainConfig",
    "evaluate",
    "package",
    "package_recipe",
    "prepare",
    "preset",
    "recipe_preset",
    "run_recipe",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `morphable-train --help` must not wait for PyTorch."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
