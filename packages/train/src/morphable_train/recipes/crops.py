"""Decoded crops of synthetic faces with the part each pixel shows: what all recipes read."""

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int, UInt8
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from morphable import MorphableModel
from morphable_regressors import CropRule
from morphable_train.affine import sampling_grid
from morphable_train.atomic import atomic_path, write_text
from morphable_train.config import DataConfig
from morphable_train.crops import cut_crop, usable_faces
from morphable_train.progress import track
from morphable_train.recipes.config import RecipeData
from morphable_train.shards import ShardReader
from morphable_train.sources import SourceFaces, source_faces

_VERSION = 1
_EVEN = 2


@dataclass(frozen=True)
class PartCrops:
    """Square crops, somewhat larger than the network's input, with labels in the pixels of their source pictures."""

    image: UInt8[np.ndarray, "crops side side 3"]
    part: UInt8[np.ndarray, "crops side side"]
    """Indices into `morphable_synth.PART_NAMES`."""
    faces: SourceFaces
    keys: tuple[str, ...]
    """Records that the crops are from."""
    skipped: tuple[str, ...]
    """Records that could not be read, with the reason."""

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def side_px(self) -> int:
        """Side of the crops."""
        return int(self.image.shape[1])

    def pictures(self, index: Int[Tensor, " chosen"]) -> tuple[UInt8[Tensor, "chosen 3 side side"], Tensor]:
        """Return crops and their parts."""
        rows = index.numpy()
        image = torch.from_numpy(self.image[rows]).permute(0, 3, 1, 2)
        return image, torch.from_numpy(self.part[rows])


def stored_shape(rule: CropRule, data: RecipeData) -> DataConfig:
    """Return how crops are stored for a rule: at its scale, with a margin."""
    side = int(-(-rule.side_px * data.margin // _EVEN) * _EVEN)
    return DataConfig(crop_px=side, crop_face_px=rule.face_px, min_face_px=data.min_face_px)


def open_part_crops(
    folders: tuple[Path, ...], cache: Path, rule: CropRule, data: RecipeData, model: MorphableModel
) -> PartCrops:
    """Open the crops of some shards, making them if the cache does not hold them yet.

    Raises:
        FileNotFoundError: A folder does not exist.
        ValueError: No folder is given, or the shards hold no usable face or no parts.
    """
    if not folders:
        raise ValueError(
            "data must name folders of synthetic shards, got none; pass --data.exact and --data.held-out, or --synth"
        )
    readers = [ShardReader(folder) for folder in folders]
    shape = stored_shape(rule, data)
    target = cache / _fingerprint(readers, shape, model)
    if not (target / "info.json").is_file():
        _build(readers, target, shape, model)
    info = json.loads((target / "info.json").read_text())
    side, count = shape.crop_px, len(info["keys"])
    with safe_open(target / "faces.safetensors", framework="pt") as file:
        faces = SourceFaces(**{f.name: file.get_tensor(f.name) for f in fields(SourceFaces)})
    return PartCrops(
        np.memmap(target / "images.u8", np.uint8, "r", shape=(count, side, side, 3)),
        np.memmap(target / "parts.u8", np.uint8, "r", shape=(count, side, side)),
        faces,
        tuple(info["keys"]),
        tuple(info["skipped"]),
    )


def _build(readers: list[ShardReader], target: Path, shape: DataConfig, model: MorphableModel) -> None:
    """Decode all records once; `info.json` comes last and makes the set valid."""
    target.mkdir(parents=True, exist_ok=True)
    found: list[SourceFaces] = []
    keys: list[str] = []
    skipped: list[str] = []
    with (
        atomic_path(target / "images.u8") as images,
        atomic_path(target / "parts.u8") as parts,
        images.open("wb") as image_file,
        parts.open("wb") as part_file,
    ):
        everything = [(reader, index) for reader in readers for index in range(len(reader))]
        for reader, index in track(everything, "cropping", len(everything)):
            try:
                faces, pictures = _crops_of(reader, index, shape, model)
            except ValueError as error:
                skipped.append(str(error))
                continue
            for image, part in pictures:
                image_file.write(image.permute(1, 2, 0).numpy().tobytes())
                part_file.write(part.numpy().tobytes())
            found += faces
            keys += [reader.keys()[index]] * len(faces)
    if not keys:
        reason = f"; the first of {len(skipped)} damaged records: {skipped[0]}" if skipped else ""
        raise ValueError(f"shards must hold at least one face of {shape.min_face_px:g} px, got none{reason}")
    joined = SourceFaces.concatenate(found)
    with atomic_path(target / "faces.safetensors") as temporary:
        save_file({f.name: getattr(joined, f.name).contiguous() for f in fields(joined)}, temporary)
    write_text(target / "info.json", json.dumps({"version": _VERSION, "keys": keys, "skipped": skipped}))


def _crops_of(
    reader: ShardReader, index: int, shape: DataConfig, model: MorphableModel
) -> tuple[list[SourceFaces], list[tuple[Tensor, Tensor]]]:
    """Labels and pictures of the usable faces of one record."""
    record, part = reader.read(index), torch.from_numpy(reader.parts(index))
    size_hw = record.image.shape[0], record.image.shape[1]
    faces, pictures = [], []
    for face in usable_faces(record.labels, size_hw, shape.min_face_px):
        crop, moved = cut_crop(record, face, shape)
        grid = sampling_grid(moved[None], size_hw, (shape.crop_px, shape.crop_px))
        nearest = F.grid_sample(part[None, None].float(), grid, "nearest", "zeros", align_corners=False)
        source = source_faces(record.labels.select([face]), size_hw, model)
        values = {f.name: getattr(source, f.name) for f in fields(source)}
        faces.append(SourceFaces(**{**values, "crop_from_source": moved[None]}))
        pictures.append((crop[:3], nearest[0, 0].byte()))
    return faces, pictures


def _fingerprint(readers: list[ShardReader], shape: DataConfig, model: MorphableModel) -> str:
    """Name of the cache of these shards at this size."""
    sizes = [(str(path.resolve()), path.stat().st_size) for reader in readers for path in reader.paths]
    counts = (model.num_identity, model.num_expression)
    text = json.dumps([_VERSION, sizes, shape.crop_px, shape.crop_face_px, shape.min_face_px, counts])
    return "parts_" + hashlib.sha256(text.encode()).hexdigest()[:16]
