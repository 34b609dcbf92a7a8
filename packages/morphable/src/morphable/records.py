"""JSON to dataclasses and back: weights files, runs and data sets are read through this module."""

import dataclasses
import json
import types
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin

from morphable.files import refusing

if TYPE_CHECKING:
    import cattrs

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""What `json.loads` returns."""
Record = TypeVar("Record")
_MAX_SHOWN_PROBLEMS = 3


def read_object(path: Path, name: str) -> dict[str, Any]:
    """Read a JSON file that holds one object.

    Args:
        path: An existing file.
        name: What the file is to the user, for the error.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is not JSON, or not an object.
    """
    with refusing(f"{name} must be JSON", path):
        content = json.loads(path.read_text(encoding="utf-8"))
    return _object(content, f"{name} must be a JSON object, got {path}:")


def parse_object(text: str, name: str) -> dict[str, Any]:
    """Parse a JSON text that holds one object.

    Args:
        text: The text.
        name: What the text is to the user, for the error.

    Raises:
        ValueError: The text is not JSON, or not an object.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} must be JSON, got an error: {error}") from error
    return _object(content, f"{name} must be a JSON object, got")


def build_record(kind: type[Record], values: Mapping[str, Any], name: str) -> Record:
    """Build a dataclass from the object that a JSON text holds; absent fields take their defaults.

    Numbers and texts are taken as they are, never converted: `"3"` is no number. An integer may stand for a number
    with a fraction, a list for a tuple, a text for a path.

    Args:
        kind: The dataclass; its fields may be dataclasses too.
        values: The object.
        name: What the object is to the user: the error for a field `steps` starts with `name.steps`.

    Raises:
        ValueError: A key is unknown, a field without default is missing, or a value has the wrong type or is refused
            by the dataclass. The message names every such field, up to three.

    >>> from morphable.weights import InferenceDefaults
    >>> build_record(InferenceDefaults, {"size_px": 640}, "inference").size_px
    640
    >>> build_record(InferenceDefaults, {"size_px": "640"}, "inference")
    Traceback (most recent call last):
    ...
    ValueError: inference.size_px must be of type int, got '640'
    """
    import cattrs

    try:
        return _converter().structure(dict(values), kind)
    except Exception as error:  # cattrs groups whatever the parts raised
        found = cattrs.transform_error(error, path=name, format_exception=_problem)
        problems = [where + what for what, _, where in (line.rpartition(" @ ") for line in found)]
        more = f"; and {len(problems) - _MAX_SHOWN_PROBLEMS} more" if len(problems) > _MAX_SHOWN_PROBLEMS else ""
        raise ValueError("; ".join(problems[:_MAX_SHOWN_PROBLEMS]) + more) from error


def plain(value: Any) -> Any:
    """Turn the paths and tuples in nested containers into what JSON holds."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _object(content: Any, refusal: str) -> dict[str, Any]:
    """Take a JSON object, or complain about another kind of value."""
    if not isinstance(content, dict):
        raise ValueError(f"{refusal} a {type(content).__name__}")
    return content


class _WrongTypeError(TypeError):
    """A value is not of the type of its field; the message starts with the rule."""


def _exactly(kind: type, *accepted: type) -> Callable[[Any, Any], Any]:
    """Return a hook that takes values of `accepted` types, and no others, as `kind`."""

    def take(value: Any, _: Any) -> Any:
        if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in accepted):
            raise _WrongTypeError(f"must be of type {kind.__name__}, got {value!r}")
        return kind(value)

    return take


def _literal(value: Any, kind: Any) -> Any:
    """Take one of the values that a `Literal` lists."""
    if not any(value == known and type(value) is type(known) for known in get_args(kind)):
        raise _WrongTypeError(f"must be one of {', '.join(map(repr, get_args(kind)))}, got {value!r}")
    return value


def _is_literal(kind: Any) -> bool:
    origin: Any = get_origin(kind)
    return origin is Literal


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


@cache
def _converter() -> "cattrs.Converter":
    """Make the converter: no value becomes another kind, unknown keys are refused."""
    import cattrs
    from cattrs.gen import make_dict_structure_fn

    converter = cattrs.Converter(forbid_extra_keys=True)

    def dataclass(kind: Any) -> Callable[[Any, Any], Any]:
        build = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True)

        def take(value: Any, _: Any) -> Any:
            if not isinstance(value, Mapping):
                raise _WrongTypeError(f"must be a JSON object, got {value!r}")
            return build(value, kind)

        return take

    def union(value: Any, kind: Any) -> Any:
        *others, last = (part for part in get_args(kind) if part is not type(None))
        if value is None and len(others) + 1 < len(get_args(kind)):
            return None
        for part in others:
            with suppress(Exception):  # cattrs raises groups of anything
                return converter.structure(value, part)
        return converter.structure(value, last)

    def sequence(value: Any, kind: Any) -> Any:
        parts = get_args(kind)
        if not isinstance(value, list | tuple):
            raise _WrongTypeError(f"must be a list, got {value!r}")
        kinds = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        if len(kinds) != len(value):
            raise _WrongTypeError(f"must have {len(kinds)} entries, got {len(value)}")
        return tuple(converter.structure(item, part) for item, part in zip(value, kinds, strict=True))

    for kind, accepted in {int: (int,), bool: (bool,), str: (str,), float: (int, float), Path: (str, Path)}.items():
        converter.register_structure_hook(kind, _exactly(kind, *accepted))
    converter.register_structure_hook_factory(dataclasses.is_dataclass, dataclass)
    converter.register_structure_hook_func(_is_literal, _literal)
    converter.register_structure_hook_func(_is_union, union)
    converter.register_structure_hook_func(_is_tuple, sequence)
    return converter


def _problem(error: BaseException, _: Any) -> str:
    """Put one error into words that follow the name of a field or of a whole dataclass."""
    from cattrs.errors import ForbiddenExtraKeysError

    if isinstance(error, ForbiddenExtraKeysError):
        known = ", ".join(sorted(field.name for field in dataclasses.fields(error.cl)))
        return f" must have no unknown keys, got {', '.join(sorted(error.extra_fields))}; known are {known}"
    if isinstance(error, KeyError):
        return " must be given, got nothing"
    return f" {error}" if isinstance(error, _WrongTypeError) else f": {error}"
