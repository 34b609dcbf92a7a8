"""Data sets of pictures with 68 points: iBUG's `.pts` files (Helen, LFPW, AFW, iBUG, 300-W) and `landmarks68.json`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from morphable.records import read_object
from morphable_train.data.labels import NUM_LANDMARKS
from morphable_train.data.pictures import PICTURE_SUFFIXES, pictures_in
from morphable_train.readers.item import SourceItem, known_points, layout_error, record_key

MATLAB_TO_CORNER_PX = -0.5
"""Files made in MATLAB put the first pixel's center at (1, 1); ours is at (0.5, 0.5)."""
JSON_FILE = "landmarks68.json"


def parse_pts(text: str) -> tuple[Float[np.ndarray, "68 2"], Bool[np.ndarray, " 68"]]:
    """Read the text of a `.pts` file, and move it to the pixel-corner convention.

    Returns:
        The points, and which of them are annotated (`known_points`).

    Raises:
        ValueError: It does not hold 68 points.
    """
    body = text[text.find("{") + 1 : text.rfind("}")] if "{" in text else ""
    try:
        numbers = np.array(body.split(), dtype=np.float64)
    except ValueError as error:
        raise ValueError(f"points file must hold numbers between braces: {error}") from error
    if numbers.size != 2 * NUM_LANDMARKS:
        raise ValueError(f"points file must hold {NUM_LANDMARKS} points, got {numbers.size / 2:g}")
    raw = numbers.reshape(NUM_LANDMARKS, 2)
    return (raw + MATLAB_TO_CORNER_PX).astype(np.float32), known_points(raw)


def read_pts_folder(folder: Path) -> Iterator[SourceItem]:
    """Yield pictures with their `.pts` files; several files `NAME.pts`, `NAME_1.pts` are one picture each.

    Raises:
        FileNotFoundError: There is no `.pts` file.
    """
    points = sorted(folder.rglob("*.pts"))
    if not points:
        raise layout_error(folder, "a folder of photographs", "a NAME.pts beside each NAME.jpg or NAME.png")
    with_points = {path.with_suffix("") for path in points}
    for picture in pictures_in(folder):
        if picture.with_suffix("") not in with_points:
            problem = "missing landmark file: no .pts beside it"
            yield SourceItem(record_key(picture.relative_to(folder)), picture, problem=problem)
    for path in points:
        yield _pts_item(folder, path)


def _pts_item(folder: Path, path: Path) -> SourceItem:
    """One picture with its points, or what is wrong with them."""
    candidates = [path.with_suffix(s) for s in (*PICTURE_SUFFIXES, *(s.upper() for s in PICTURE_SUFFIXES))]
    picture = next((p for p in candidates if p.is_file()), None)
    key = record_key(path.relative_to(folder))
    if picture is None:
        return SourceItem(key, path, problem="missing picture: no photograph beside the .pts file")
    return pts_item(key, picture, path)


def pts_item(key: str, picture: Path, points: Path) -> SourceItem:
    """Return a picture with the points of a `.pts` file, or with what is wrong with them."""
    try:
        landmarks, known = parse_pts(points.read_text(errors="replace"))
    except ValueError as error:
        return SourceItem(key, picture, problem=str(error))
    return SourceItem(key, picture, landmarks[None], known[None])


def read_json_folder(folder: Path) -> Iterator[SourceItem]:
    """Yield the pictures that a folder's `landmarks68.json` names.

    The file maps a file name to `{"landmarks68_px": ...}` with one face (68 x 2) or several (n x 68 x 2), pixel
    corner at (0,0). A point that is not annotated is null or marked as `known_points` describes.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not such a mapping.
    """
    path = folder / JSON_FILE
    if not path.is_file():
        raise layout_error(folder, "a folder of photographs", JSON_FILE)
    entries = read_entries(path)
    for name in sorted(entries):
        picture = folder / name
        key = record_key(Path(name))
        if not picture.is_file():
            yield SourceItem(key, picture, problem=f"missing picture: {name} is named in {JSON_FILE} only")
            continue
        yield json_item(key, picture, entries[name])


def read_entries(path: Path) -> dict[str, Any]:
    """Read a `landmarks68.json`.

    Raises:
        ValueError: It is not a mapping.
    """
    return read_object(path, JSON_FILE)


def json_item(key: str, picture: Path, entry: object) -> SourceItem:
    """Return a picture with an entry of a `landmarks68.json`, or with what is wrong with it."""
    try:
        landmarks = _faces(entry)
    except ValueError as error:
        return SourceItem(key, picture, problem=str(error))
    return SourceItem(key, picture, landmarks, known_points(landmarks))


def _faces(entry: object) -> Float[np.ndarray, "faces 68 2"]:
    """The landmarks of an entry: one face, or several.

    Raises:
        ValueError: It holds anything else.
    """
    try:
        if isinstance(entry, dict) and "landmarks68_px" not in entry and "faces" in entry:
            entry = {"landmarks68_px": [face["landmarks68_px"] for face in entry["faces"]]}
        listed = entry["landmarks68_px"]  # type: ignore[index]
        landmarks = np.asarray(_without_null(listed), np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"landmarks must be lists of {NUM_LANDMARKS} points of two numbers: {error}") from error
    if landmarks.shape[-2:] != (NUM_LANDMARKS, 2) or landmarks.ndim not in (2, 3):
        raise ValueError(f"landmarks must be {NUM_LANDMARKS} points, got shape {landmarks.shape}")
    return landmarks.reshape(-1, NUM_LANDMARKS, 2)


def _without_null(entry: object) -> object:
    """Replace null in nested lists by what is no number; a null point is two of them."""
    if not isinstance(entry, list):
        return np.nan if entry is None else entry
    hidden: object = [np.nan, np.nan] if any(isinstance(item, list) for item in entry) else np.nan
    return [hidden if item is None else _without_null(item) for item in entry]
