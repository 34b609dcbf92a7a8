"""Scores as records: result files, notes under tables, matched points, groups of faces."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from morphable_evalkit.alignment.point_sets import Points, predicted_points
from morphable_evalkit.alignment.scores import Scores
from morphable_evalkit.datasets.ground_truth import GroundTruth
from morphable_evalkit.files import refusing
from morphable_evalkit.measures.summaries import BIN_NAMES, YawRule, yaw_bins
from morphable_evalkit.predictions.file import Predictions
from morphable_evalkit.reports.results import ItemResult, Result, face_numbers


def make_result(
    command: str, system: str, scores: Scores, summary: dict[str, object], rule: YawRule = "3ddfa"
) -> Result:
    """Build the record of one system."""
    groups = [""] * len(scores.error)
    if scores.yaw_deg is not None:
        names = (*BIN_NAMES, "outside")
        groups = [names[index] for index in yaw_bins(scores.yaw_deg, rule)]
    items = tuple(
        ItemResult(image=image, face=face, error=float(error), group=group)
        for image, face, error, group in zip(
            scores.image, face_numbers(scores.image), scores.error, groups, strict=True
        )
    )
    return Result(
        command=command, system=system, protocol=scores.protocol, unit="fraction", summary=summary, items=items
    )


def protocol_notes(results: Sequence[Result]) -> tuple[str, ...]:
    """Put the protocol under the table, once if all systems share it."""
    texts = ["; ".join(f"{key}: {value}" for key, value in result.protocol.items()) for result in results]
    if len(set(texts)) == 1:
        return (texts[0],)
    return tuple(f"{result.system}: {text}" for result, text in zip(results, texts, strict=True))


def matched_points(
    predictions: Predictions, truth: GroundTruth, scores: Scores, points: Points
) -> Float[np.ndarray, "faces 68 2"]:
    """Return the 68 predicted points of every annotated face, NaN where missed."""
    out = np.full((len(scores.found), 68, 2), np.nan)
    out[scores.found] = predicted_points(predictions, truth, points)[scores.prediction[scores.found]]
    return out


def read_groups(path: Path) -> Mapping[tuple[str, int], str]:
    """Read a CSV with columns `image`, `face` (from 0) and `group`: skin tone, expression, occlusion, ...

    Raises:
        FileNotFoundError: No such file.
        ValueError: A column is missing.
    """
    if not path.is_file():
        raise FileNotFoundError(f"groups must be a CSV file, got {path} (no such file)")
    with refusing(path, "a CSV file"), path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if rows and not {"image", "face", "group"} <= rows[0].keys():
        raise ValueError(
            f"groups must have the columns image, face, group, got {', '.join(map(str, rows[0]))} in {path}"
        )
    with refusing(path, "a CSV file with numbers of faces in the column face"):
        return {(row["image"], int(row["face"])): row["group"] for row in rows}


def group_of_faces(images: Sequence[str], groups: Mapping[tuple[str, int], str]) -> list[str]:
    """Return the group of every annotated face.

    Raises:
        ValueError: A face has none.
    """
    keys = list(zip(images, face_numbers(images), strict=True))
    absent = [key for key in keys if key not in groups]
    if absent:
        raise ValueError(f"groups must name every annotated face, got none for {absent[0][0]} face {absent[0][1]}")
    return [groups[key] for key in keys]
