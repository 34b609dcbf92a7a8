"""`evalkit crops`: the crops of the ground-truth-crop form, for systems that see one face at a time."""

import sys
from dataclasses import dataclass
from pathlib import Path

from morphable_evalkit.datasets.aflw2000 import true_crops
from morphable_evalkit.datasets.catalog import DatasetConfig, open_dataset
from morphable_evalkit.files import write_text
from morphable_evalkit.reports.results import face_numbers
from morphable_evalkit.reports.tables import Table, to_csv


@dataclass(frozen=True, kw_only=True)
class CropsConfig:
    """Write the crops around the true faces that `--form gt-crop` stands for (3DDFA's rule), as CSV."""

    data: DatasetConfig
    to: Path
    """CSV file: image, face, x0, y0, x1, y1 (edges of pixels)."""


def run_crops(config: CropsConfig) -> None:
    """Write the file and print how many crops it holds.

    Raises:
        ValueError: The data set's points are not the 68.
    """
    truth = open_dataset(config.data)
    if truth.points_px.shape[1] != 68:
        raise ValueError(f"dataset must have 68 points, got {truth.points_px.shape[1]} in {truth.name}")
    boxes = true_crops(truth.points_px)
    rows = tuple(
        (image, str(face), *(f"{value:.0f}" for value in box))
        for image, face, box in zip(truth.image, face_numbers(truth.image), boxes, strict=True)
    )
    write_text(config.to, to_csv(Table(truth.name, ("image", "face", "x0", "y0", "x1", "y1"), rows)))
    sys.stdout.write(f"{config.to}: {len(rows)} crops of {truth.name}\n")
