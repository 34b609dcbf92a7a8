"""Weakly-supervised training in two stages, from any folder of photographs."""

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
from morphable_train.prepare import PrepareConfig, PrepareResult, prepare
from morphable_train.presets import PRESETS, preset
from morphable_train.readers import open_source
from morphable_train.settings import read_config
from morphable_train.shards import DatasetInfo, DatasetSource, Record, ShardReader, ShardWriter, read_info, write_info
from morphable_train.synthesis import record_from_sample
from morphable_train.training import RunResults, train

__version__ = "0.1.0"

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
