"""Where weights are: bundled ones by name, any others by path. The file itself: docs/weights_file.md."""

import os
from pathlib import Path

BUNDLED_FOLDER = Path(__file__).parent / "weights"
BUNDLED_NAMES = ("mobile", "mobile-research")


def find_weights(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the file of bundled weights by name, or of any weights by path.

    Raises:
        FileNotFoundError: Nothing is there; the message says what to do.
    """
    text = os.fspath(name_or_path)
    if text in BUNDLED_NAMES:
        path = BUNDLED_FOLDER / f"{text}.safetensors"
        if not path.is_file():
            raise FileNotFoundError(
                f'the bundled weights "{text}" are missing from this installation ({path}); '
                "reinstall morphable-reconstruct, or pass the path of a weights file"
            )
        return path
    path = Path(text)
    if not path.is_file():
        names = " or ".join(BUNDLED_NAMES)
        raise FileNotFoundError(f"weights must be {names} or an existing file, got {text}; check the path")
    return path
