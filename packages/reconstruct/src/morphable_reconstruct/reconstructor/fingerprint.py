"""What decides a run's results besides its options: the content of weights and face model."""

from pathlib import Path

from morphable_reconstruct.reconstructor.per_face.weights import find_per_face
from morphable_reconstruct.reconstructor.weights import file_sha256, find_weights


def networks_sha256(weights: str, model: str, per_face: str | None, folder: Path | None = None) -> str:
    """Hash the files behind `--weights`, `--model` (unless it is the open model) and `--per-face`.

    Args:
        weights: Name or path.
        model: Name or path.
        per_face: Name or path, if any.
        folder: In which names are looked for first.
    """
    paths = [find_weights(weights, folder)]
    paths += [Path(model)] * Path(model).is_file()
    paths += [] if per_face is None else [find_per_face(per_face, folder)]
    return "".join(file_sha256(path) for path in paths)
