"""Decoded single faces on disk, memory-mapped: what stage 1 reads, as fast as a copy."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, UInt8
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from morphable import MorphableModel
from morphable_train.affine import shrink_for, similarity_matrix, warp_images
from morphable_train.atomic import atomic_path, write_text
from morphable_train.config import DataConfig
from morphable_train.labels import FaceLabels
from morphable_train.progress import track
from morphable_train.shards import Record, ShardReader
from morphable_train.sources import SourceFaces, source_faces

CROPS_VERSION = 2


@dataclass(frozen=True)
class CropSet:
    """Square crops of single faces, each with the labels of its face."""

    image: UInt8[np.ndarray, "crops side side 3"]
    skin: UInt8[np.ndarray, "crops side side"]
    faces: SourceFaces
    skipped: tuple[str, ...]
    """Records that could not be read, with the reason."""

    def __len__(self) -> int:
        return len(self.faces)

    def pictures(self, index: Int[Tensor, " chosen"]) -> UInt8[Tensor, "chosen 4 side side"]:
        """Return crops with the skin mask as fourth channel."""
        rows = index.numpy()
        image = torch.from_numpy(self.image[rows]).permute(0, 3, 1, 2)
        return torch.cat([image, torch.from_numpy(self.skin[rows])[:, None]], 1)

    def take(self, index: Int[Tensor, " chosen"]) -> tuple[UInt8[Tensor, "chosen 4 side side"], SourceFaces]:
        """Return crops and the labels of their faces."""
        return self.pictures(index), self.faces[index]


def open_crops(folders: tuple[Path, ...], cache: Path, config: DataConfig, model: MorphableModel) -> CropSet:
    """Open the crops of some shards, making them if the cache does not hold them yet.

    Raises:
        ValueError: The shards hold no usable face.
    """
    readers = [ShardReader(folder) for folder in folders]
    target = cache / _fingerprint(readers, config, model)
    if not (target / "info.json").is_file():
        _build(readers, target, config, model)
    info = json.loads((target / "info.json").read_text())
    side, count = config.crop_px, info["crops"]
    with safe_open(target / "faces.safetensors", framework="pt") as file:
        faces = SourceFaces(**{f.name: file.get_tensor(f.name) for f in fields(SourceFaces)})
    return CropSet(
        np.memmap(target / "images.u8", np.uint8, "r", shape=(count, side, side, 3)),
        np.memmap(target / "skin.u8", np.uint8, "r", shape=(count, side, side)),
        faces,
        tuple(info["skipped"]),
    )


def usable_faces(labels: FaceLabels, size_hw: tuple[int, int], min_face_px: float) -> list[int]:
    """Return the faces large enough whose centres lie in the picture."""
    box = labels.boxes_px()
    center = (box[:, :2] + box[:, 2:]) / 2
    size = np.maximum(box[:, 2:] - box[:, :2], 0).max(-1)
    inside = (center >= 0).all(-1) & (center <= np.array([size_hw[1], size_hw[0]])).all(-1)
    return [int(i) for i in np.flatnonzero(inside & (size >= min_face_px))]


def cut_crop(record: Record, face: int, config: DataConfig) -> tuple[UInt8[Tensor, "4 side side"], Tensor]:
    """Cut one face out of its picture at the stored size.

    Returns:
        RGB and skin mask, and the 3x3 matrix from the picture's pixels to the crop's.
    """
    box = record.labels.boxes_px()[face]
    scale = config.crop_face_px / float((box[2:] - box[:2]).max())
    center = torch.from_numpy((box[:2] + box[2:]) / 2)[None]
    middle = torch.full((1, 2), config.crop_px / 2)
    crop_from_source = similarity_matrix(torch.tensor([scale]), torch.zeros(1), center, middle)
    picture = picture_tensor(record)
    small, remaining = shrink_for(picture, scale)
    small_from_source = torch.diag(torch.tensor([scale / remaining, scale / remaining, 1.0]))
    crop_from_small = crop_from_source @ torch.linalg.inv(small_from_source)
    crop = warp_images(small[None], crop_from_small, (config.crop_px, config.crop_px))[0]
    return (crop * 255.0 + 0.5).clamp(0, 255).byte(), crop_from_source[0]


def picture_tensor(record: Record) -> Tensor:
    """RGB and skin of a record as float channels in [0, 1]."""
    image = torch.from_numpy(np.array(record.image)).permute(2, 0, 1)
    skin = torch.zeros_like(image[:1]) if record.skin is None else torch.from_numpy(np.array(record.skin))[None]
    return torch.cat([image, skin]).float() / 255.0


def _build(readers: list[ShardReader], target: Path, config: DataConfig, model: MorphableModel) -> None:
    """Decode all records once; `info.json` comes last and makes the set valid."""
    target.mkdir(parents=True, exist_ok=True)
    parts: list[SourceFaces] = []
    skipped: list[str] = []
    with (
        atomic_path(target / "images.u8") as images,
        atomic_path(target / "skin.u8") as skins,
        images.open("wb") as image_file,
        skins.open("wb") as skin_file,
    ):
        for record in _records(readers, skipped):
            size_hw = record.image.shape[0], record.image.shape[1]
            for face in usable_faces(record.labels, size_hw, config.min_face_px):
                crop, moved = cut_crop(record, face, config)
                image_file.write(crop[:3].permute(1, 2, 0).numpy().tobytes())
                skin_file.write(crop[3].numpy().tobytes())
                faces = source_faces(record.labels.select([face]), size_hw, model)
                parts.append(faces.with_crop(moved))
    if not parts:
        raise ValueError(
            f"shards must hold at least one face of {config.min_face_px} px, got none "
            f"({len(skipped)} damaged records); check the preparation's rejects report"
        )
    joined = SourceFaces.concatenate(parts)
    with atomic_path(target / "faces.safetensors") as temporary:
        save_file({f.name: getattr(joined, f.name).contiguous() for f in fields(joined)}, temporary)
    info = {"version": CROPS_VERSION, "crops": len(joined), "skipped": skipped}
    write_text(target / "info.json", json.dumps(info, indent=1))


def _records(readers: list[ShardReader], skipped: list[str]) -> Iterator[Record]:
    """Read everything in order; damaged records are noted, not fatal."""
    total = sum(map(len, readers))
    for reader, index in track([(r, i) for r in readers for i in range(len(r))], "cropping", total):
        try:
            yield reader.read(index)
        except ValueError as error:
            skipped.append(str(error))


def _fingerprint(readers: list[ShardReader], config: DataConfig, model: MorphableModel) -> str:
    """Name of a crop set: changes with the shards, the crop's shape and the model's size."""
    digest = hashlib.sha256()
    digest.update(f"{CROPS_VERSION} {config.crop_px} {config.crop_face_px} {config.min_face_px}".encode())
    digest.update(f"{model.num_identity} {model.num_expression}".encode())
    for reader in readers:
        for path in reader.paths:
            stat = path.stat()
            digest.update(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]
