"""Configurations as JSON: what `run.json` holds and `--config` reads."""

import dataclasses
import types
import typing
from contextlib import suppress
from pathlib import Path
from typing import Any

from morphable_train.configs.stages import TrainConfig
from morphable_train.json_files import read_object
from morphable_train.runs.logs import read_run_file

_Config = typing.TypeVar("_Config")


def config_from_json(values: dict[str, Any]) -> TrainConfig:
    """Build a configuration; absent fields take their defaults.

    Raises:
        ValueError: A key is unknown or a value has the wrong type.
    """
    return dataclass_from_json(TrainConfig, values)


def dataclass_from_json(kind: type[_Config], values: dict[str, Any]) -> _Config:
    """Build a configuration of any kind, as `config_from_json` does."""
    return typing.cast("_Config", _build(kind, values, "config"))


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


def _build(kind: Any, value: Any, where: str) -> Any:
    """Turn plain JSON into a field's type."""
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(typing.cast("type[Any]", kind), value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _build_any(arguments, value, where)
    if origin is tuple and isinstance(value, list):
        inner = arguments[0] if arguments[-1] is Ellipsis else None
        kinds = [inner] * len(value) if inner is not None else list(arguments)
        return tuple(_build(k, v, where) for k, v in zip(kinds, value, strict=True))
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if origin is typing.Literal and value in arguments:
        return value
    if isinstance(kind, type) and isinstance(value, kind):
        return value
    raise ValueError(f"{where} must be of type {getattr(kind, '__name__', kind)}, got {value!r}")


def _build_any(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """Turn plain JSON into the first type of a union that takes it."""
    if value is None and type(None) in kinds:
        return None
    *others, last = (kind for kind in kinds if kind is not type(None))
    for kind in others:
        with suppress(ValueError):
            return _build(kind, value, where)
    return _build(last, value, where)


def _build_dataclass(kind: type[Any], value: Any, where: str) -> Any:
    """Fill a dataclass, refusing unknown keys by name."""
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be a JSON object, got {value!r}")
    hints = typing.get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind)}
    if unknown := sorted(set(value) - known):
        raise ValueError(
            f"{where} must have no unknown keys, got {', '.join(unknown)}; known are {', '.join(sorted(known))}"
        )
    return kind(**{name: _build(hints[name], item, f"{where}.{name}") for name, item in value.items()})
