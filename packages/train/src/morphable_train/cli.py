"""Command line: `morphable-train COMMAND ...`."""

import sys
from collections.abc import Sequence

from morphable.commands import DONE, WRONG_USAGE, run_command

PROGRAM = "morphable-train"
COMMANDS = (
    *("prepare", "stage1", "stage2", "face-head", "negatives", "run", "triples"),
    *("resume", "evaluate", "package", "calibrate"),
)
_USAGE = """usage: morphable-train COMMAND [OPTIONS]

commands:
  prepare   photographs to shards with weak labels
  stage1    train on single centred faces
  stage2    train on scenes of several faces, from a run of stage 1
  face-head train the network that looks at a crop of each found face
  negatives collect crops that are no faces, for face-head
  run       train a per-face network: mobile_frnet, prnet, dfmvr, parsing
  triples   render synthetic people in three views, for dfmvr
  resume    go on with a run of a stage that was stopped
  evaluate  measure a run on other data
  package   weights file and model card of a run
  calibrate fit the score of a weights file's detections

`morphable-train COMMAND --help` lists the options."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status (`morphable.commands`)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_USAGE + "\n")
        return DONE if arguments else WRONG_USAGE
    return run_command(PROGRAM, PROGRAM, arguments, parse=_parse, act=_run)


def _parse(arguments: list[str]) -> tuple[str, list[str]]:
    """Return the command and its options.

    Raises:
        ValueError: There is no such command.
    """
    if arguments[0] not in COMMANDS:
        raise ValueError(f"command must be one of {', '.join(COMMANDS)}, got {arguments[0]}")
    return arguments[0], arguments[1:]


def _run(parsed: tuple[str, list[str]]) -> int:
    """Import a command, and nothing of the others, and run it."""
    command, arguments = parsed
    match command:
        case "prepare":
            from morphable_train.commands.prepare import prepare_command

            return prepare_command(arguments)
        case "face-head":
            from morphable_train.commands.face_head import face_head_command

            return face_head_command(arguments)
        case "negatives":
            from morphable_train.commands.negatives import negatives_command

            return negatives_command(arguments)
        case "run":
            from morphable_train.commands.run import run_command

            return run_command(arguments)
        case "triples":
            from morphable_train.commands.triples import triples_command

            return triples_command(arguments)
        case "resume":
            from morphable_train.commands.stages import resume_command

            return resume_command(arguments)
        case "evaluate":
            from morphable_train.commands.evaluate import evaluate_command

            return evaluate_command(arguments)
        case "calibrate":
            from morphable_train.commands.calibrate import calibrate_command

            return calibrate_command(arguments)
        case "package":
            from morphable_train.commands.package import package_command

            return package_command(arguments)
        case _:
            from morphable_train.commands.stages import stage_command

            return stage_command(1 if command == "stage1" else 2, arguments)
