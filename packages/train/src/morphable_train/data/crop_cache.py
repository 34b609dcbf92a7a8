"""Decoded single faces on disk, memory-mapped: cut once, then read as fast as a copy."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, UInt8
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from morphable import MorphableModel
from morphable.files import atomic_path, refusing, write_text
from morphable_train.configs.stages import DataConfig
from morphable_train.data.crops import FaceCrop, cut_faces
from morphable_train.data.faces import SourceFaces
from morphable_train.data.labels import LabelVersionError
from morphable_train.data.shards import ShardReader
from morphable_train.runs.progress import track

CACHE_VERSION = 3
_SKIN = "skin"
Cutter = Callable[[ShardReader, int, DataConfig], Iterable[FaceCrop]]
"""Cuts the usable faces of one record of a reader; a ValueError means that the record is damaged."""


@dataclass(frozen=True)
class StoredCrops:
    """Square crops of single faces, each with the labels of its face."""

    image: UInt8[np.ndarray, "crops side side 3"]
    plane: UInt8[np.ndarray, "crops side side"]
    """What is known of each pixel besides its color."""
    faces: SourceFaces
    keys: tuple[str, ...]
    """Record that each crop is from."""
    skipped: tuple[str, ...]
    """Records that could not be read, with the reason."""

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True)
class CropSet(StoredCrops):
    """Crops whose plane is the skin mask: what the stages read."""

    def pictures(self, index: Int[Tensor, " chosen"]) -> UInt8[Tensor, "chosen 4 side side"]:
        """Return crops with the skin mask as fourth channel."""
        rows = index.numpy()
        image = torch.from_numpy(self.image[rows]).permute(0, 3, 1, 2)
        return torch.cat([image, torch.from_numpy(self.plane[rows])[:, None]], 1)

    def take(self, index: Int[Tensor, " chosen"]) -> tuple[UInt8[Tensor, "chosen 4 side side"], SourceFaces]:
        """Return crops and the labels of their faces."""
        return self.pictures(index), self.faces[index]


def open_crops(folders: tuple[Path, ...], cache: Path, config: DataConfig, model: MorphableModel) -> CropSet:
    """Open the crops of some shards with their skin masks, as `open_cache` does."""
    stored = open_cache(folders, cache, config, model, plane=_SKIN, cut=_skin_crops)
    return CropSet(**vars(stored))


def _skin_crops(reader: ShardReader, index: int, config: DataConfig) -> Iterable[FaceCrop]:
    """Cut the faces of a record with its skin mask."""
    return cut_faces(reader.read(index), config)


def open_cache(
    folders: tuple[Path, ...], cache: Path, config: DataConfig, model: MorphableModel, *, plane: str, cut: Cutter
) -> StoredCrops:
    """Open the crops of some shards, cutting them if the cache does not hold them yet; say how many are damaged.

    Args:
        folders: The shards.
        cache: Where the crops of these and other shards are kept.
        config: Shape of the crops and which faces are used.
        model: Whose coefficients the labels are of.
        plane: Name of what is stored beside the colors.
        cut: Cuts the faces; the fourth channel of what it returns is the plane.

    Raises:
        FileNotFoundError: A folder does not exist.
        ValueError: The shards hold no usable face.
        OSError: The disk is full; the cache is as it was.
    """
    readers = [ShardReader(folder) for folder in folders]
    target = cache / f"{plane}_{_fingerprint(readers, config, model)}"
    if not (target / "info.json").is_file():
        _build(readers, target, config, model, plane=plane, cut=cut)
    with refusing("cache of crops must be whole", target, next_step="delete it"):
        return _open(target, config, plane)


def _open(target: Path, config: DataConfig, plane: str) -> StoredCrops:
    """Map the files of a cache."""
    info = json.loads((target / "info.json").read_text())
    if info["skipped"]:
        sys.stderr.write(f"{len(info['skipped'])} damaged records are left out; the first: {info['skipped'][0]}\n")
    side, count = config.crop_px, len(info["keys"])
    with safe_open(target / "faces.safetensors", framework="pt") as file:
        faces = SourceFaces(**{f.name: file.get_tensor(f.name) for f in fields(SourceFaces)})
    return StoredCrops(
        np.memmap(target / "images.u8", np.uint8, "r", shape=(count, side, side, 3)),
        np.memmap(target / f"{plane}.u8", np.uint8, "r", shape=(count, side, side)),
        faces,
        tuple(info["keys"]),
        tuple(info["skipped"]),
    )


def _build(
    readers: list[ShardReader], target: Path, config: DataConfig, model: MorphableModel, *, plane: str, cut: Cutter
) -> None:
    """Decode all records once; damaged ones are noted, not fatal. `info.json` comes last and makes the set valid."""
    parts: list[SourceFaces] = []
    keys: list[str] = []
    skipped: list[str] = []
    with (
        atomic_path(target / "images.u8", parents=True) as images,
        atomic_path(target / f"{plane}.u8", parents=True) as planes,
        images.open("wb") as image_file,
        planes.open("wb") as plane_file,
    ):
        everything = [(reader, index, key) for reader in readers for index, key in enumerate(reader.keys())]
        for reader, index, key in track(everything, "cropping", len(everything)):
            try:
                crops = list(cut(reader, index, config))
            except LabelVersionError:
                raise
            except ValueError as error:
                skipped.append(str(error))
                continue
            for crop in crops:
                image_file.write(crop.pixels[:3].permute(1, 2, 0).numpy().tobytes())
                plane_file.write(crop.pixels[3].numpy().tobytes())
                parts.append(crop.source(model))
            keys += [key] * len(crops)
        if not keys:
            raise ValueError(_no_face(config, skipped))
    joined = SourceFaces.concatenate(parts)
    with atomic_path(target / "faces.safetensors", parents=True) as temporary:
        save_file({f.name: getattr(joined, f.name).contiguous() for f in fields(joined)}, temporary)
    info = {"version": CACHE_VERSION, "keys": keys, "skipped": skipped}
    write_text(target / "info.json", json.dumps(info), parents=True)


def _no_face(config: DataConfig, skipped: list[str]) -> str:
    """What is wrong with shards that give no crop."""
    found = f"; the first of {len(skipped)} damaged records: {skipped[0]}" if skipped else ""
    rule = f"at least one face of {config.min_face_px:g} px"
    return f"shards must hold {rule}, got none{found}; look at the shards, or lower data.min_face_px"


def _fingerprint(readers: list[ShardReader], config: DataConfig, model: MorphableModel) -> str:
    """What makes crops new: other shards, another shape of the crops, another size of the model."""
    files = [(path.resolve(), path.stat()) for reader in readers for path in reader.paths]
    shards = [(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in files]
    shape = (config.crop_px, config.crop_face_px, config.min_face_px)
    text = json.dumps([CACHE_VERSION, shards, shape, (model.num_identity, model.num_expression)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
