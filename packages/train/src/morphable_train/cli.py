"""Train the networks of morphable and package their weights."""

from collections.abc import Callable, Sequence
from functools import partial

from morphable.commands import choose_command, run_command

PROGRAM = "morphable-train"
Action = Callable[[list[str]], int]
"""What carries a command out, given its options."""


def prepare() -> Action:
    """Turn photographs into shards with weak labels."""
    from morphable_train.commands.prepare import prepare_command

    return prepare_command


def stage1() -> Action:
    """Train on single centered faces."""
    from morphable_train.commands.stages import stage_command

    return partial(stage_command, 1)


def stage2() -> Action:
    """Train on scenes of several faces, from a run of stage 1."""
    from morphable_train.commands.stages import stage_command

    return partial(stage_command, 2)


def face_head() -> Action:
    """Train the network that looks at a crop of each found face."""
    from morphable_train.commands.face_head import face_head_command

    return face_head_command


def negatives() -> Action:
    """Collect crops that are no faces, for face-head."""
    from morphable_train.commands.negatives import negatives_command

    return negatives_command


def run() -> Action:
    """Train a per-face network: mobile_frnet, prnet, dfmvr, parsing."""
    from morphable_train.commands.run import recipe_command

    return recipe_command


def triples() -> Action:
    """Render synthetic people in three views, for dfmvr."""
    from morphable_train.commands.triples import triples_command

    return triples_command


def resume() -> Action:
    """Go on with a run of a stage that was stopped."""
    from morphable_train.commands.stages import resume_command

    return resume_command


def evaluate() -> Action:
    """Measure a run on other data."""
    from morphable_train.commands.evaluate import evaluate_command

    return evaluate_command


def package() -> Action:
    """Write the weights file and model card of a run."""
    from morphable_train.commands.package import package_command

    return package_command


def calibrate() -> Action:
    """Fit the score of a weights file's detections."""
    from morphable_train.commands.calibrate import calibrate_command

    return calibrate_command


COMMANDS: dict[str, Callable[[], Action]] = {
    "prepare": prepare,
    "stage1": stage1,
    "stage2": stage2,
    "face-head": face_head,
    "negatives": negatives,
    "run": run,
    "triples": triples,
    "resume": resume,
    "evaluate": evaluate,
    "package": package,
    "calibrate": calibrate,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status (`morphable.commands`)."""
    return run_command(PROGRAM, PROGRAM, argv, parse=_parse, act=lambda action: action())


def _parse(arguments: list[str]) -> Callable[[], int]:
    """Import a command, and nothing of the others, and give it its options."""
    action = choose_command(COMMANDS, arguments, program=PROGRAM, description=str(__doc__))
    return partial(action, arguments[1:])
