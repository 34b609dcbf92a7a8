"""Weights of per-face networks: found by name or path, read, built."""

import os
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from morphable import MorphableModel, check_model, read_weights
from morphable_reconstruct.reconstructor.weights import BUNDLED_FOLDER
from morphable_regressors import CropRule, SystemSpec, load_system

NETWORKS = ("mobile_frnet", "prnet", "dfmvr")
"""Names of the per-face networks that reconstruct faces."""


@dataclass(frozen=True, kw_only=True)
class PerFaceNetwork:
    """A network with what decodes it, and the crops it is fed."""

    kind: str
    """One of `NETWORKS`."""
    system: nn.Module
    crop: CropRule


def load_per_face(name_or_path: str | os.PathLike[str], model: MorphableModel) -> PerFaceNetwork:
    """Load a per-face network for a face model.

    Raises:
        FileNotFoundError: There are no weights of that name or at that path.
        ValueError: The weights are of another kind of network, or of another face model.
    """
    path = find_per_face(name_or_path)
    info, state = read_weights(path)
    if "network" not in info.architecture:
        raise ValueError(
            f"per_face must be weights of {', '.join(NETWORKS)}, got those of a detector in {path}; "
            "give them as weights"
        )
    spec = SystemSpec.from_json(info.architecture)
    if spec.network not in NETWORKS:
        raise ValueError(f"per_face must be weights of {', '.join(NETWORKS)}, got {spec.network} in {path}")
    check_model(info, model)
    return PerFaceNetwork(kind=spec.network, system=load_system(spec, state), crop=spec.crop)


def find_per_face(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the file of bundled weights by name, or of any weights by path.

    Raises:
        FileNotFoundError: Nothing is there; the message names the next step.
    """
    text = os.fspath(name_or_path)
    if text not in NETWORKS:
        path = Path(text)
        if not path.is_file():
            raise FileNotFoundError(f"per_face must be {', '.join(NETWORKS)} or an existing weights file, got {text}")
        return path
    path = BUNDLED_FOLDER / "per_face" / f"{text}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(
            f"weights of {text} are not bundled; train them (`morphable-train run {text}`, then `morphable-train "
            "package`) and pass the path of the file"
        )
    return path
