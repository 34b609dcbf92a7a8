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
    from morphable_train.readers import open_source
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
    from morphable_train.training import RunResults, train

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
    "readers": ("open_source",),
    "settings": ("read_config",),
    "shards": ("DatasetInfo", "DatasetSource", "Record", "ShardReader", "ShardWriter", "read_info", "write_info"),
    "synthesis": ("record_from_sample",),
    "training": ("RunResults", "train"),
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
    "Record",
    "RunConfig",
    "RunResults",
    "ShardReader",
    "ShardWriter",
    "TrainConfig",
    "ValidationConfig",
    "open_source",
    "package",
    "prepare",
    "preset",
    "read_config",
    "read_info",
    "record_from_sample",
    "train",
    "weak_labels",
    "write_info",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `morphable-train --help` must not wait for PyTorch."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
