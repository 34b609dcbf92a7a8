"""The reconstructor that `--weights` and `--model` ask for."""

from pathlib import Path

from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.engines.build import file_sha256
from morphable_reconstruct.reconstructor.per_face.weights import NETWORKS, find_per_face, is_per_face
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.reconstructor.weights import find_weights


def open_reconstructor(weights: str, model: str, config: ReconstructConfig) -> Reconstructor:
    """Load the single-shot network alone, or with the per-face network that `model` names.

    Args:
        weights: Of the single-shot network.
        model: A face model, or a per-face network by name or weights file (for the open face model).
        config: Options.

    Raises:
        FileNotFoundError: There is no model, and there are no weights, of that name or at that path.
        ImportError: `morphable-regressors` is not installed and needed.
        ValueError: A file is damaged, of another version, or of another kind; or they do not belong together.
    """
    if not is_per_face(model):
        if model != "open" and not Path(model).is_file():
            raise FileNotFoundError(f"model must be open, {', '.join(NETWORKS)} or an existing file, got {model}")
        return Reconstructor(weights, model=model, config=config)
    from morphable_reconstruct.reconstructor.per_face.reconstructor import PerFaceReconstructor

    return PerFaceReconstructor(model, weights=weights, config=config)


def weights_sha256(weights: str, model: str) -> str:
    """Hash the files of a run that decide its results: the weights, and what `model` names unless it is bundled."""
    own = file_sha256(find_weights(weights))
    if is_per_face(model):
        return own + file_sha256(find_per_face(model))
    return own + file_sha256(Path(model)) if Path(model).is_file() else own
