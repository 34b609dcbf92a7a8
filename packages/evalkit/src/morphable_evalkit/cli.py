"""Measure 3D face reconstruction: prediction files and meshes in; tables, plots and comparisons out."""

import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import tyro

from morphable_evalkit.commands.check import CheckConfig, run_check
from morphable_evalkit.commands.compare import CompareConfig, run_compare
from morphable_evalkit.commands.convert import ConvertConfig, run_convert
from morphable_evalkit.commands.crops import CropsConfig, run_crops
from morphable_evalkit.commands.faces import FacesConfig, run_faces
from morphable_evalkit.commands.latency import LatencyConfig, run_latency
from morphable_evalkit.commands.nme import NmeConfig, run_nme
from morphable_evalkit.commands.pose import PoseConfig, run_pose
from morphable_evalkit.commands.rmse import RmseConfig, run_rmse
from morphable_evalkit.commands.table import TableConfig, run_table

_COMMANDS: Mapping[str, tuple[type, Callable[[Any], None]]] = {
    "nme": (NmeConfig, run_nme),
    "faces": (FacesConfig, run_faces),
    "pose": (PoseConfig, run_pose),
    "rmse": (RmseConfig, run_rmse),
    "latency": (LatencyConfig, run_latency),
    "compare": (CompareConfig, run_compare),
    "table": (TableConfig, run_table),
    "check": (CheckConfig, run_check),
    "crops": (CropsConfig, run_crops),
    "convert": (ConvertConfig, run_convert),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 when it is done, 1 when a file could not be read or everything it measured failed; wrong usage leaves with
        status 2.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files may not be in the terminal's encoding
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()  # a reader that has gone away is noticed here, not by the interpreter as it ends
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(arguments: list[str]) -> int:
    """Parse the command line and carry it out."""
    if arguments == ["--version"]:
        sys.stdout.write(f"evalkit {version('morphable-evalkit')}\n")
        return 0
    config = tyro.extras.subcommand_cli_from_dict(
        {name: kind for name, (kind, _) in _COMMANDS.items()},
        prog="evalkit",
        description=f"{__doc__} `evalkit --version` prints the version.",
        args=arguments,
        config=(tyro.conf.OmitArgPrefixes,),
    )
    run = next(run for kind, run in _COMMANDS.values() if isinstance(config, kind))
    try:
        run(config)
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        sys.stderr.write(f"evalkit: {error}\n")
        return 1
    return 0
