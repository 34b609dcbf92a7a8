"""Weights of per-face networks: found by name or path, read, built."""

import os
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from morphable import MorphableModel, check_model, read_weights
from morphable_reconstruct.reconstructor.weights import BUNDLED_FOLDER, known_names, named_file, whole
from morphable_regressors import CropRule, SystemSpec, load_system

NETWORKS = ("mobile_frnet", "prnet", "dfmvr")
"""Kinds of per-face networks that reconstruct faces."""


@dataclass(frozen=True, kw_only=True)
class PerFaceNetwork:
    """A network with what decodes it, and the crops it is fed."""

    kind: str
    """One of `NETWORKS`."""
    system: nn.Module
    crop: CropRule


def load_per_face(
    name_or_path: str | os.PathLike[str], model: MorphableModel, folder: Path | None = None
) -> PerFaceNetwork:
    """Load a per-face network for a face model.

    Args:
        name_or_path: See `find_per_face`.
        model: The face model.
        folder: See `find_per_face`.

    Raises:
        FileNotFoundError: There are no weights of that name or at that path.
        ValueError: The weights are damaged, of another kind of network, or of another face model.
    """
    path = find_per_face(name_or_path, folder)
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


def bundled_per_face() -> tuple[str, ...]:
    """Return the kinds of networks whose weights are in this installation."""
    return tuple(name for name in NETWORKS if (BUNDLED_FOLDER / "per_face" / f"{name}.safetensors").is_file())


def find_per_face(name_or_path: str | os.PathLike[str], folder: Path | None = None) -> Path:
    """Return the file of weights by name, from a folder or else bundled, or of any weights by path.

    Args:
        name_or_path: One of `bundled_per_face`, the name of a file in `folder`, or a path.
        folder: Whose `NAME.safetensors` come before the bundled ones; by default none.

    Raises:
        FileNotFoundError: Nothing is there; the message names the next step.
        ValueError: The file is not the one that the `SHA256SUMS` beside it lists.
    """
    text, names = os.fspath(name_or_path), bundled_per_face()
    path = named_file(text, folder)
    if path is None:
        path = BUNDLED_FOLDER / "per_face" / f"{text}.safetensors" if text in names else Path(text)
    if path.is_file():
        return whole(path)
    known = ", ".join(known_names(names, folder))
    step = f"train {text} (`morphable-train run {text}`)" if text in NETWORKS else "check the path"
    raise FileNotFoundError(f"per_face must be {known} or an existing weights file, got {text}; {step}")
