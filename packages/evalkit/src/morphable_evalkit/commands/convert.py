"""`evalkit convert`: make a prediction file from other systems' outputs."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from morphable_evalkit.datasets.conversion import PixelOrigin, from_3ddfa, from_json
from morphable_evalkit.files import read_npy
from morphable_evalkit.predictions.file import write_predictions


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """Make a prediction file from 3DDFA's (2000, 3, 68) array or from plain JSON."""

    source: Literal["3ddfa", "json"]
    """Kind of the input."""
    input: Path
    """The .npy array or the .json file."""
    to: Path
    """Prediction file to write (.npz)."""
    root: Path | None = None
    """3ddfa: folder of AFLW2000-3D's pictures or arrays, for the names."""
    origin: PixelOrigin | None = None
    """Coordinates of the first pixel's center; 3ddfa counts from 1 (center-1), json is ours (corner)."""
    system: str = ""
    """Name of the system, for tables (3ddfa)."""

    def __post_init__(self) -> None:
        if self.source == "3ddfa" and self.root is None:
            raise ValueError("root must be given to name the rows of 3ddfa arrays, got none")
        if self.to.suffix != ".npz":
            raise ValueError(f"to must end in .npz, got {self.to.name}")


def run_convert(config: ConvertConfig) -> None:
    """Convert, and print what was written."""
    if config.source == "3ddfa":
        assert config.root is not None
        if not config.input.is_file():
            raise FileNotFoundError(f"input must be an .npy file, got {config.input} (no such file)")
        array = read_npy(config.input)
        predictions = from_3ddfa(
            array, config.root, origin=config.origin or "center-1", system=config.system or config.input.stem
        )
    else:
        predictions = from_json(config.input, origin=config.origin or "corner")
    write_predictions(config.to, predictions)
    sys.stdout.write(f"{config.to}: {len(predictions.processed_image)} images, {len(predictions.image)} faces\n")
