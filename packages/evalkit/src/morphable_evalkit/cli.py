"""The command `evalkit`."""

import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from morphable_evalkit.command_check import CheckConfig, run_check
from morphable_evalkit.command_faces import FacesConfig, run_faces
from morphable_evalkit.command_nme import NmeConfig, run_nme
from morphable_evalkit.command_rmse import RmseConfig, run_rmse

_COMMANDS = {
    "check": (CheckConfig, run_check),
    "nme": (NmeConfig, run_nme),
    "faces": (FacesConfig, run_faces),
    "rmse": (RmseConfig, run_rmse),
}

Command = (
    Annotated[CheckConfig, tyro.conf.subcommand("check")]
    | Annotated[NmeConfig, tyro.conf.subcommand("nme")]
    | Annotated[FacesConfig, tyro.conf.subcommand("faces")]
    | Annotated[RmseConfig, tyro.conf.subcommand("rmse")]
)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, run the command, turn errors of input into one line and status 1."""
    try:
        config = tyro.cli(
            Command,
            prog="evalkit",
            description=__doc__,
            args=argv,
            config=(tyro.conf.OmitArgPrefixes,),
        )
        run(config)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"evalkit: {error}\n")
        return 1
    return 0


def run(config: object) -> None:
    """Run the command whose options these are."""
    for kind, action in _COMMANDS.values():
        if type(config) is kind:
            action(config)  # type: ignore[operator]
            return
    raise TypeError(f"config must be the options of a command, got {type(config).__name__}")


if __name__ == "__main__":
    sys.exit(main())
