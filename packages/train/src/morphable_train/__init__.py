"""Weakly-supervised training in two stages, from any folder of photographs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from morphable_train.config import (
        AugmentConfig,
        DataConfig,
        LossConfig,
        OptimizerConfig,
        RunConfig,
        TrainConfig,
        ValidationConfig,
    )
    from morphable_train.labels import FaceLabels, weak_labels
    from morphable_train.loop import DivergedError
    from morphable_train.packaging import PackageOptions, package
    from morphable_train.preparation import PrepareConfig, PrepareResult, prepare
    from morphable_train.presets import PRESETS, preset
    from morphable_train.procedural import with_procedural_data
    from morphable_train.readers import open_source
    from morphable_train.recipes.packaging import RecipePackage, package_recipe
    from morphable_train.recipes.presets import recipe_preset
    from morphable_train.recipes.running import RecipeResults, run_recipe, with_procedural_faces
    from morphable_train.recipes.triples import TriplesConfig, write_triples
    from morphable_train.settings import read_config
    from morphable_train.shards import (
        DatasetInfo,
        DatasetSource,
        Record,
        ShardReader,
        ShardWriter,
        read_info,
        write_info,
    )
    from morphable_train.synthesis import record_from_sample
    from morphable_train.training import RunResults, evaluate, train

__version__ = "0.1.0"

_MODULES = {
    "config": (
        "AugmentConfig",
        "DataConfig",
        "LossConfig",
        "OptimizerConfig",
        "RunConfig",
        "TrainConfig",
        "ValidationConfig",
    ),
    "labels": ("FaceLabels", "weak_labels"),
    "loop": ("DivergedError",),
    "packaging": ("PackageOptions", "package"),
    "preparation": ("PrepareConfig", "PrepareResult", "prepare"),
    "presets": ("PRESETS", "preset"),
    "procedural": ("with_procedural_data",),
    "readers": ("open_source",),
    "recipes.packaging": ("RecipePackage", "package_recipe"),
    "recipes.presets": ("recipe_preset",),
    "recipes.running": ("RecipeResults", "run_recipe", "with_procedural_faces"),
    "recipes.triples": ("TriplesConfig", "write_triples"),
    "settings": ("read_config",),
    "shards": ("DatasetInfo", "DatasetSource", "Record", "ShardReader", "ShardWriter", "read_info", "write_info"),
    "synthesis": ("record_from_sample",),
    "training": ("RunResults", "evaluate", "train"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "PRESETS",
    "AugmentConfig",
    "DataConfig",
    "DatasetInfo",
    "DatasetSource",
    "DivergedError",
    "FaceLabels",
    "LossConfig",
    "OptimizerConfig",
    "PackageOptions",
    "PrepareConfig",
    "PrepareResult",
    "RecipePackage",
    "RecipeResults",
    "Record",
    "RunConfig",
    "RunResults",
    "ShardReader",
    "ShardWriter",
    "TrainConfig",
    "TriplesConfig",
    "ValidationConfig",
    "evaluate",
    "open_source",
    "package",
    "package_recipe",
    "prepare",
    "preset",
    "read_config",
    "read_info",
    "recipe_preset",
    "record_from_sample",
    "run_recipe",
    "train",
    "weak_labels",
    "with_procedural_data",
    "with_procedural_faces",
    "write_info",
    "write_triples",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `morphable-train --help` must not wait for PyTorch."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
