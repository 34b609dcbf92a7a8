"""What decides a run's results besides its options: the content of weights and face model."""

from pathlib import Path

from morphable_reconstruct.reconstructor.per_face.weights import find_per_face
from morphable_reconstruct.reconstructor.weights import file_sha256, find_weights


def networks_sha256(weights: str, model: str, per_face: str | None) -> str:
    """Hash the files behind `--weights`, `--model` (unless it is the open model) and `--per-face`."""
    paths = [find_weights(weights)]
    paths += [Path(model)] * Path(model).is_file()
    paths += [] if per_face is None else [find_per_face(per_face)]
    return "".join(file_sha256(path) for path in paths)
