"""The command `morphable-train triples`."""

import sys
from pathlib import Path

import tyro

from morphable_synth import SceneConfig
from morphable_train.recipes.dfmvr.triples import TriplesConfig, write_triples


def triples_command(arguments: list[str]) -> int:
    """Parse `triples ...` and render people in three views."""
    config = tyro.cli(
        TriplesConfig,
        args=arguments,
        prog="morphable-train triples",
        default=TriplesConfig(out=Path("triples"), scenes=SceneConfig(layout="single", size_px=320)),
    )
    paths = write_triples(config)
    sys.stdout.write(f"{config.out}: {config.people} people in {len(paths)} shards\n")
    return 0
