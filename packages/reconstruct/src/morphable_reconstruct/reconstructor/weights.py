"""Where weights are: bundled ones by name, any others by path. The file itself: docs/weights_file.md."""

import hashlib
import os
from pathlib import Path

BUNDLED_FOLDER = Path(__file__).parents[1] / "weights"
DEFAULT_NAME = "mobile"


def bundled_names() -> tuple[str, ...]:
    """Return the names of the weights in this installation, the default's first even where it is missing."""
    found = {path.stem for path in BUNDLED_FOLDER.glob("[!.]*.safetensors")}
    return (DEFAULT_NAME, *sorted(found - {DEFAULT_NAME}))


def find_weights(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the file of bundled weights by name, or of any weights by path.

    Raises:
        FileNotFoundError: Nothing is there; the message names the next step.
    """
    text = os.fspath(name_or_path)
    names = bundled_names()
    path = BUNDLED_FOLDER / f"{text}.safetensors" if text in names else Path(text)
    if path.is_file():
        return path
    if text == DEFAULT_NAME:
        raise FileNotFoundError(
            f'the bundled weights "{text}" are missing from this installation ({path}); '
            "reinstall morphable-reconstruct, or pass the path of a weights file"
        )
    raise FileNotFoundError(f"weights must be {' or '.join(names)} or an existing file, got {text}; check the path")


def file_sha256(path: Path) -> str:
    """Hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
