"""Where weights are: by name bundled or in a folder of the user's, any others by path; docs/weights_file.md."""

import hashlib
import os
from pathlib import Path

BUNDLED_FOLDER = Path(__file__).parents[1] / "weights"
DEFAULT_NAME = "mobile"
SUMS_FILE = "SHA256SUMS"
"""Sums of the files of its folder, as the command sha256sum writes and checks them."""


def bundled_names() -> tuple[str, ...]:
    """Return the names of the weights in this installation, the default's first even where it is missing."""
    found = {path.stem for path in BUNDLED_FOLDER.glob("[!.]*.safetensors")}
    return (DEFAULT_NAME, *sorted(found - {DEFAULT_NAME}))


def find_weights(name_or_path: str | os.PathLike[str], folder: Path | None = None) -> Path:
    """Return the file of weights by name, from a folder or else bundled, or of any weights by path.

    Args:
        name_or_path: A name, or a path.
        folder: Whose `NAME.safetensors` come before the bundled ones; by default none.

    Raises:
        FileNotFoundError: Nothing is there; the message names the next step.
        ValueError: The file is not the one that the `SHA256SUMS` beside it lists.
    """
    text = os.fspath(name_or_path)
    names = bundled_names()
    path = named_file(text, folder)
    if path is None:
        path = BUNDLED_FOLDER / f"{text}.safetensors" if text in names else Path(text)
    if path.is_file():
        return whole(path)
    if text == DEFAULT_NAME:
        raise FileNotFoundError(
            f'the bundled weights "{text}" are missing from this installation ({path}); '
            "reinstall morphable-reconstruct, or pass the path of a weights file"
        )
    known = " or ".join(known_names(names, folder))
    raise FileNotFoundError(f"weights must be {known} or an existing file, got {text}; check the path")


def named_file(name: str, folder: Path | None) -> Path | None:
    """Return `NAME.safetensors` of a folder of weights; None if there is none of that name, or no folder.

    Raises:
        FileNotFoundError: The folder does not exist.
    """
    if folder is None:
        return None
    if not folder.is_dir():
        raise FileNotFoundError(f"weights_dir must be an existing folder, got {folder}; check the path")
    path = folder / f"{name}.safetensors"
    return path if Path(name).name == name and path.is_file() else None


def known_names(bundled: tuple[str, ...], folder: Path | None) -> tuple[str, ...]:
    """Return the names of bundled weights and of a folder's, each once."""
    own = () if folder is None else (path.stem for path in sorted(folder.glob("[!.]*.safetensors")))
    return tuple(dict.fromkeys((*bundled, *own)))


def whole(path: Path) -> Path:
    """Return a file after comparing it with the sum that the `SHA256SUMS` beside it lists, if it lists one.

    Raises:
        ValueError: It has another sum.
    """
    sums = path.with_name(SUMS_FILE)
    lines = sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []
    for line in lines:
        digest, _, name = line.partition(" ")
        if name.strip().removeprefix("*") == path.name and digest != file_sha256(path):
            raise ValueError(f"weights must be the file that {sums} lists, got another one in {path}; fetch it again")
    return path


def file_sha256(path: Path) -> str:
    """Hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
