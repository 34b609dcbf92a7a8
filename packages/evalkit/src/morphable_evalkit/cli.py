"""Every evaluation protocol of 3D face reconstruction: prediction files in, tables, plots and comparisons out."""

import sys
from collections.abc import Sequence
from typing import Annotated

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
from morphable_evalkit.commands.summary import SummaryConfig, run_summary
from morphable_evalkit.commands.table import TableConfig, run_table

Config = (
    Annotated[NmeConfig, tyro.conf.subcommand("nme")]
    | Annotated[FacesConfig, tyro.conf.subcommand("faces")]
    | Annotated[PoseConfig, tyro.conf.subcommand("pose")]
    | Annotated[RmseConfig, tyro.conf.subcommand("rmse")]
    | Annotated[LatencyConfig, tyro.conf.subcommand("latency")]
    | Annotated[CompareConfig, tyro.conf.subcommand("compare")]
    | Annotated[TableConfig, tyro.conf.subcommand("table")]
    | Annotated[SummaryConfig, tyro.conf.subcommand("summary")]
    | Annotated[CheckConfig, tyro.conf.subcommand("check")]
    | Annotated[CropsConfig, tyro.conf.subcommand("crops")]
    | Annotated[ConvertConfig, tyro.conf.subcommand("convert")]
)
"""Options of one command."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, run the command, turn errors of input into one line and status 1."""
    config = tyro.cli(Config, prog="evalkit", description=__doc__, args=argv, config=(tyro.conf.OmitArgPrefixes,))
    try:
        run(config)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"evalkit: {error}\n")
        return 1
    return 0


def run(config: Config) -> None:
    """Run the command whose options these are."""
    match config:
        case NmeConfig():
            run_nme(config)
        case FacesConfig():
            run_faces(config)
        case PoseConfig():
            run_pose(config)
        case RmseConfig():
            run_rmse(config)
        case LatencyConfig():
            run_latency(config)
        case CompareConfig():
            run_compare(config)
        case TableConfig():
            run_table(config)
        case SummaryConfig():
            run_summary(config)
        case CheckConfig():
            run_check(config)
        case CropsConfig():
            run_crops(config)
        case ConvertConfig():
            run_convert(config)


if __name__ == "__main__":
    sys.exit(main())
