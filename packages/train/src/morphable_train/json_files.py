"""JSON files that hold one object."""

import json
from pathlib import Path
from typing import Any


def read_object(path: Path, name: str) -> dict[str, Any]:
    """Read the object in a JSON file.

    Args:
        path: The file, which must exist.
        name: What it is to the user, for the error.

    Raises:
        ValueError: It is not JSON, or not an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # UnicodeDecodeError is one too
        raise ValueError(f"{name} must be JSON, got {path}: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{name} must be a JSON object, got a {type(content).__name__} in {path}")
    return content
