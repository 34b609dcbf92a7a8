"""The command `morphable-train calibrate`."""

import json
import sys

import tyro

from morphable_train.face_head.calibration import CalibrationConfig, calibrate


def calibrate_command(arguments: list[str]) -> int:
    """Parse the options, fit the score, and print it."""
    config = tyro.cli(CalibrationConfig, args=arguments, prog="morphable-train calibrate")
    sys.stdout.write(json.dumps(calibrate(config), indent=2) + "\n")
    return 0
