"""Weight files: safetensors of our own, and state dictionaries of others. Never pickled code."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from morphable.files import refusing


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read named tensors from a `.safetensors` file or a PyTorch checkpoint.

    A checkpoint may hold the tensors directly or under `state_dict`; the prefix `module.` of parallel
    training is dropped. PyTorch files are read with `weights_only=True`: no code in them runs.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is truncated, of another format, or holds more than tensors.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; pass the path of a .safetensors or .pth file")
    with refusing("weights must be a complete file of tensors", path, next_step="fetch it again"):
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"{path} must hold a dictionary of tensors, got {type(content).__name__}")
    return {str(key).removeprefix("module."): value for key, value in content.items()}
