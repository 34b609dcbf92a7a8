"""`evalkit check`: list what is wrong with a prediction file, and where."""

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import tyro

from morphable_evalkit.predictions.checks import check_predictions
from morphable_evalkit.predictions.file import read_predictions


@dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """Check a prediction file: what is wrong, and where."""

    preds: tyro.conf.Positional[Path]
    """The prediction file."""


def run_check(config: CheckConfig) -> None:
    """Print problems and, if the file is readable, what it holds.

    Raises:
        ValueError: The file has errors.
    """
    problems = check_predictions(config.preds)
    for problem in problems:
        sys.stdout.write(f"{problem.severity}: {problem.where}: {problem.message}\n")
    counts = Counter(problem.severity for problem in problems)
    if counts["error"]:
        raise ValueError(f"{config.preds} must follow the prediction format, got {counts['error']} error(s)")
    predictions = read_predictions(config.preds)
    empty = sum(not faces for faces in predictions.faces_by_image().values())
    sys.stdout.write(
        f"{config.preds}: valid, {counts['warning']} warning(s); {len(predictions.processed_image)} images, "
        f"{len(predictions.image)} faces, {empty} images without a face\n"
    )
