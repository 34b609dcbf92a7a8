"""The command `morphable`: info, sample, convert, export, fit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from morphable.commands import run_command
from morphable.extras import import_extra

if TYPE_CHECKING:
    from morphable.subcommands import Command

PROGRAM = "morphable"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status (`morphable.commands`)."""
    return run_command(PROGRAM, "morphable", argv, parse=_parse, act=_act)


def _parse(arguments: list[str]) -> "Command":
    """Read the options, for which the extra `cli` is needed."""
    for module in ("tyro", "rich", "PIL"):
        import_extra(module, "morphable", "cli")
    import tyro

    from morphable.subcommands import COMMANDS

    return tyro.extras.subcommand_cli_from_dict(COMMANDS, prog=PROGRAM, description=__doc__, args=arguments)


def _act(command: "Command") -> None:
    """Carry out one command."""
    from morphable.subcommands import run

    run(command)
