"""JSON files that hold one object."""

import json
from pathlib import Path
from typing import Any

from morphable.files import refusing


def read_object(path: Path, name: str) -> dict[str, Any]:
    """Read the object in a JSON file.

    Args:
        path: The file, which must exist.
        name: What it is to the user, for the error.

    Raises:
        ValueError: It is not JSON, or not an object.
    """
    with refusing(f"{name} must be JSON", path):
        content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{name} must be a JSON object, got a {type(content).__name__} in {path}")
    return content
