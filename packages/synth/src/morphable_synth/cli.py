"""Command line: ``morphable-synth preview | generate | check-assets``."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from morphable.commands import run_command
from morphable_synth.assets.checks import AssetReport, check_assets
from morphable_synth.datasets.preview import contact_sheet, save_picture
from morphable_synth.datasets.shards import GenerateConfig, generate
from morphable_synth.scene.description import SceneConfig

PROGRAM = "morphable-synth"


@dataclass(frozen=True, kw_only=True)
class Preview:
    """Render a contact sheet."""

    out: Path
    """PNG or JPEG to write."""
    scenes: SceneConfig = field(default_factory=SceneConfig)
    """What kind of pictures."""
    seed: int = 0
    """Number of the series."""
    count: int = 16
    """Number of scenes."""
    columns: int = 4
    """Scenes per row."""
    tile_px: int = 0
    """Size of each picture on the sheet; 0 keeps it."""
    labels: bool = False
    """Draw boxes, points and masks."""


@dataclass(frozen=True, kw_only=True)
class CheckAssets:
    """Say what an assets folder holds and what it lacks."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder with `makehuman/`, `hdri/`, `backgrounds/`."""
    cc0_only: bool = False
    """Look only at what `--scenes.cc0-only` draws from."""


Command = Preview | GenerateConfig | CheckAssets
_COMMANDS: dict[str, Callable[..., Command]] = {
    "preview": Preview,
    "generate": GenerateConfig,
    "check-assets": CheckAssets,
}


def run(command: Command) -> int:
    """Carry out a command."""
    if isinstance(command, Preview):
        sheet = contact_sheet(
            command.scenes,
            seed=command.seed,
            count=command.count,
            columns=command.columns,
            tile_px=command.tile_px or None,
            labels=command.labels,
        )
        save_picture(sheet, command.out)
        sys.stdout.write(f"{command.out}\n")
        return 0
    if isinstance(command, GenerateConfig):
        for path in generate(command):
            sys.stdout.write(f"{path}\n")
        return 0
    return _report(check_assets(command.folder, cc0_only=command.cc0_only))


def _report(report: AssetReport) -> int:
    table = Table("kind", "found", "needed")
    for kind, count in report.counts.items():
        needed = "missing" if kind in report.missing else "optional" if kind in report.optional_missing else ""
        table.add_row(kind, str(count), needed)
    Console().print(table)
    for line in report.broken:
        sys.stdout.write(f"broken: {line}\n")
    sys.stdout.write("usable\n" if report.usable else "not usable: see above\n")
    return 0 if report.usable else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status (`morphable.commands`)."""

    def parse(arguments: list[str]) -> Command:
        return tyro.extras.subcommand_cli_from_dict(_COMMANDS, prog=PROGRAM, description=__doc__, args=arguments)

    return run_command(PROGRAM, PROGRAM, argv, parse=parse, act=run)
