"""Weakly-supervised training in two stages, from any folder of photographs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from morphable_train.configs.recipe_presets import recipe_preset
    from morphable_train.configs.stage_presets import PRESETS, preset
    from morphable_train.configs.stages import (
        AugmentConfig,
        DataConfig,
        LossConfig,
        OptimizerConfig,
        RunConfig,
        TrainConfig,
        ValidationConfig,
    )
    from morphable_train.data.labels import FaceLabels, weak_labels
    from morphable_train.data.shards import (
        DatasetInfo,
        DatasetSource,
        Record,
        ShardReader,
        ShardWriter,
        read_info,
        write_info,
    )
    from morphable_train.data.synthetic import record_from_sample, with_procedural_data
    from morphable_train.packaging.recipes import RecipePackage, package_recipe
    from morphable_train.packaging.stages import PackageOptions, package
    from morphable_train.preparation.photographs import PrepareResult, prepare
    from morphable_train.preparation.records import PrepareConfig
    from morphable_train.readers import open_source
    from morphable_train.recipes.dfmvr.triples import TriplesConfig, write_triples
    from morphable_train.recipes.running import RecipeResults, run_recipe, with_procedural_faces
    from morphable_train.runs.loop import DivergedError
    from morphable_train.runs.settings import read_config
    from morphable_train.stages.training import RunResults, evaluate, train

__version__ = "0.1.0"

_MODULES = {
    "configs.recipe_presets": ("recipe_preset",),
    "configs.stage_presets": ("PRESETS", "preset"),
    "configs.stages": (
        "AugmentConfig",
        "DataConfig",
        "LossConfig",
        "OptimizerConfig",
        "RunConfig",
        "TrainConfig",
        "ValidationConfig",
    ),
    "data.labels": ("FaceLabels", "weak_labels"),
    "data.shards": ("DatasetInfo", "DatasetSource", "Record", "ShardReader", "ShardWriter", "read_info", "write_info"),
    "data.synthetic": ("record_from_sample", "with_procedural_data"),
    "packaging.recipes": ("RecipePackage", "package_recipe"),
    "packaging.stages": ("PackageOptions", "package"),
    "preparation.photographs": ("PrepareResult", "prepare"),
    "preparation.records": ("PrepareConfig",),
    "readers": ("open_source",),
    "recipes.dfmvr.triples": ("TriplesConfig", "write_triples"),
    "recipes.running": ("RecipeResults", "run_recipe", "with_procedural_faces"),
    "runs.loop": ("DivergedError",),
    "runs.settings": ("read_config",),
    "stages.training": ("RunResults", "evaluate", "train"),
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
