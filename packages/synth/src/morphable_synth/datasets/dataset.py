"""Scenes rendered on the fly as a torch data set."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from morphable_synth.rendering.labels import FACE_LABELS, Sample
from morphable_synth.rendering.renderer import render_scene
from morphable_synth.scene.description import SceneConfig
from morphable_synth.scene.sampling import sample_scene


class SynthDataset(Dataset[dict[str, Tensor]]):
    """Scene ``index`` of series ``seed`` as tensors; the same picture whatever the number of workers.

    Use it with a `DataLoader` whose ``multiprocessing_context`` is ``"spawn"``. Items come from `tensors_of`.

    Args:
        config: What kind of pictures.
        seed: Number of the series.
        length: Number of scenes.
        first: Index of the first scene, to split a series.

    >>> from morphable_synth import SceneConfig
    >>> len(SynthDataset(SceneConfig(layout="single", size_px=128), length=10))
    10
    """

    def __init__(self, config: SceneConfig, *, seed: int = 0, length: int = 100_000, first: int = 0) -> None:
        if length < 1 or first < 0:
            raise ValueError(f"length must be positive and first not negative, got {length} and {first}")
        self.config, self.seed, self.length, self.first = config, seed, length, first

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not 0 <= index < self.length:
            raise IndexError(f"index must be in [0, {self.length}), got {index}")
        torch.set_num_threads(1)
        most = 1 if self.config.layout == "single" else self.config.max_faces
        return tensors_of(self.sample(index), max_faces=most)

    def sample(self, index: int) -> Sample:
        """Return a scene's picture and labels as arrays."""
        return render_scene(sample_scene(self.seed, self.first + index, self.config))


def tensors_of(sample: Sample, *, max_faces: int) -> dict[str, Tensor]:
    """Turn a sample into tensors that stack to batches.

    Args:
        sample: A rendered scene.
        max_faces: Rows of each face label; rows beyond the faces are zero and ``face_valid`` is False there.

    Returns:
        ``image`` (3, rows, cols) in [0, 1]; ``focal_px``; ``face_valid``; the arrays named in `FACE_LABELS`;
        ``part``, ``face_index``, ``skin_mask`` and ``depth_m``, each (rows, cols).
    """
    out: dict[str, Any] = {
        "image": torch.from_numpy(sample.image.astype(np.float32).transpose(2, 0, 1) / 255.0),
        "focal_px": torch.tensor(sample.focal_px, dtype=torch.float32),
    }
    count = min(len(sample.identity), max_faces)
    out["face_valid"] = torch.arange(max_faces) < count
    for name in FACE_LABELS:
        value = getattr(sample, name)
        padded = np.zeros((max_faces, *value.shape[1:]), value.dtype)
        padded[:count] = value[:count]
        out[name] = torch.from_numpy(padded)
    out["part"] = torch.from_numpy(sample.part.astype(np.int64))
    out["face_index"] = torch.from_numpy(sample.face_index.astype(np.int64))
    out["skin_mask"] = torch.from_numpy(sample.skin_mask.copy())
    out["depth_m"] = torch.from_numpy(sample.depth_m.copy())
    return out
