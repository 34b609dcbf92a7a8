"""Several prediction files side by side, each under a name of its own."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from morphable_evalkit.predictions import Predictions, read_predictions


def read_systems(paths: Sequence[Path]) -> dict[str, Predictions]:
    """Read prediction files by the name of their system, or of the file where that is absent or not unique.

    Raises:
        ValueError: No file, or one file twice.
    """
    if not paths:
        raise ValueError("preds must name at least one prediction file, got none")
    if len(set(paths)) < len(paths):
        raise ValueError(f"preds must name each file once, got {', '.join(map(str, paths))}")
    files = [read_predictions(path) for path in paths]
    names = [file.system or path.stem for path, file in zip(paths, files, strict=True)]
    taken = Counter(names)
    unique = [
        name if taken[name] == 1 else f"{name} ({path.with_suffix('')})"
        for path, name in zip(paths, names, strict=True)
    ]
    return dict(zip(unique, files, strict=True))
