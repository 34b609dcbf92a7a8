"""Shards and configurations of the recipes, small enough for tests: stand-in model, 32 px."""

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from stand_in import draw_truth, render_record, stand_in_model

from morphable.geometry import rotation_from_angles
from morphable_regressors import CropRule
from morphable_synth.assets.parts import PART_NAMES
from morphable_train.configs.recipe_presets import recipe_preset
from morphable_train.configs.recipes import RecipeConfig, RecipeData
from morphable_train.data.labels import labels_to_bytes
from morphable_train.data.shards import DatasetInfo, Record, encode_image, write_info
from morphable_train.face_head.config import CropChanges
from morphable_train.recipes.dfmvr.triples import VIEWS

SIZE = 96
UNCHANGED = CropChanges(
    **dict.fromkeys(
        ("contrast", "tint", "gray", "noise", "coarse", "cut", "hidden", "tone", "light", "sharpness", "compressed"),
        0.0,
    )
)
"""Crops as they lie in their pictures."""
SIDE = 32
YAW = {"left": 0.6, "front": 0.0, "right": -0.6}


def write_part_shards(folder: Path, people: int, *, seed: int = 0, triples: bool = False) -> Path:
    """Rendered faces of the stand-in model with parts: the person's left half is a brow, the right one the nose."""
    model = stand_in_model()
    folder.mkdir(parents=True)
    with tarfile.open(folder / "000000.tar", "w") as tar:
        for person in range(people):
            truth = draw_truth(model, 1, seed + person, size_px=SIZE, face_px=(36, 44))
            for view in VIEWS if triples else ("front",):
                if triples:
                    truth = truth | {"rotation_head": rotation_from_angles(torch.tensor([[0.0, YAW[view], 0.0]]))}
                key = f"0000_{person:08d}_{view}"
                _add(tar, render_record(model, truth, key, size_px=SIZE))
    write_info(folder, DatasetInfo(name="stand-in", license="CC0-1.0", records=people, faces=people, model="stand-in"))
    return folder


def _add(tar: tarfile.TarFile, record: Record) -> None:
    """Write one record as `morphable-synth generate` does."""
    part = np.full(record.skin.shape, PART_NAMES.index("background"), np.uint8)
    covered = record.skin > 0
    middle = record.labels.landmarks68_px[0, 27:31, 0].mean()
    left = np.arange(part.shape[1])[None] + 0.5 > middle  # the person's left is on the picture's right
    part[covered & left] = PART_NAMES.index("left_brow")
    part[covered & ~left] = PART_NAMES.index("right_brow")
    mask = io.BytesIO()
    Image.fromarray(np.stack([part, covered.astype(np.uint8), record.skin], -1)).save(mask, "PNG")
    members = {"jpg": encode_image(record.image), "npz": labels_to_bytes(record.labels), "mask.png": mask.getvalue()}
    for suffix, data in members.items():
        entry = tarfile.TarInfo(f"{record.key}.{suffix}")
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))


def tiny_recipe(name: str, model_file: Path, shards: Path, **changes: object) -> RecipeConfig:
    """The smoke preset at 32 px with two steps of two."""
    config = recipe_preset(name, "smoke")
    return replace(
        config,
        model=str(model_file),
        crop=CropRule(side_px=SIDE, face_share=config.crop.face_share),
        data=RecipeData(exact=(shards,), held_out=(shards,), min_face_px=16.0),
        run=replace(config.run, steps=2, batch_size=2, log_every_steps=1),
        **changes,
    )
