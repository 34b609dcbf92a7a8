"""Train a network on rendered faces, package it with its model card, and reconstruct a photograph with it.

python examples/train.py FOLDER [SCENES] [STEPS]

A few minutes with the defaults, enough to see every step; a network that finds faces in photographs takes hours
(docs/training.md).
"""

import sys
from pathlib import Path

from morphable_reconstruct import Reconstructor
from morphable_train.cli import main


def run(folder: Path, scenes: str = "200", steps: str = "100") -> int:
    """Train, package and use a network; return the exit status of the first command that fails."""
    first, second, weights = str(folder / "one"), str(folder / "two"), str(folder / "tiny.safetensors")
    size = ("--preset", "smoke", "--synth", scenes, "--steps", steps)
    commands = [
        ("stage1", *size, "--out", first),  # single faces
        ("stage2", *size, "--initial", first, "--out", second),  # groups
        ("package", second, "-o", weights, "--name", "tiny"),
    ]
    for command in commands:
        if status := main(command):
            return status
    print(Reconstructor(weights)(Path(__file__).with_name("astronaut.jpg")))
    return 0


if __name__ == "__main__":  # training starts processes, which import this file
    sys.exit(run(Path(sys.argv[1]), *sys.argv[2:]))
