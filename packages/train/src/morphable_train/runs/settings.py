"""Configurations as JSON: what `run.json` holds and `--config` reads."""

from pathlib import Path
from typing import Any

from morphable.records import build_record, read_object
from morphable_train.configs.stages import TrainConfig
from morphable_train.runs.logs import read_run_file


def config_from_json(values: dict[str, Any]) -> TrainConfig:
    """Build a configuration; absent fields take their defaults.

    Raises:
        ValueError: A key is unknown or a value has the wrong type.
    """
    return build_record(TrainConfig, values, "config")


def read_config(path: Path) -> TrainConfig:
    """Read a stage's configuration from a JSON file, as `read_values` does.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not such a file.
    """
    return config_from_json(read_values(path))


def read_run_config(run: Path) -> TrainConfig:
    """Read a stage's configuration from the `run.json` of its run.

    Raises:
        FileNotFoundError: The folder is not a run.
        ValueError: It is damaged, of another kind of run, or was written by a newer version.
    """
    return config_from_json(read_run_file(run)["config"])


def read_values(path: Path) -> dict[str, Any]:
    """Read the values of a configuration of any kind from a JSON file: bare, or the `config` of a `run.json`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not JSON, or not an object.
    """
    if not path.is_file():
        raise FileNotFoundError(f"config must be an existing JSON file, got {path}; check the path")
    content = read_object(path, "config")
    values: dict[str, Any] = content.get("config", content)
    return values
