"""The command `morphable-train negatives`."""

import sys

import tyro

from morphable_train.face_head.mining import MiningConfig, mine


def negatives_command(arguments: list[str]) -> int:
    """Parse the options, collect the crops, and print their number."""
    config = tyro.cli(MiningConfig, args=arguments, prog="morphable-train negatives")

    sys.stdout.write(f"{mine(config)} crops in {config.out}\n")
    return 0
