"""CelebAMask-HQ: single faces with masks of their parts (Lee et al., CVPR 2020).

    CelebA-HQ-img/0.jpg                                  1024 x 1024
    CelebAMask-HQ-mask-anno/0/00000_skin.png             512 x 512, white on the part; 2,000 faces a folder

A part that a face does not show has no file. The set's left and right are not used: of two eyes or brows the one
farther left in the picture is the person's right.
"""

from collections.abc import Iterator
from pathlib import Path

from morphable_train.data.pictures import pictures_in
from morphable_train.readers.item import SourceItem, layout_error, record_key

PICTURES, MASKS = "CelebA-HQ-img", "CelebAMask-HQ-mask-anno"
FACES_PER_FOLDER = 2000
PART_OF_MASK = {
    "skin": "skin",
    "nose": "nose",
    "mouth": "inner_mouth",
    "u_lip": "upper_lip",
    "l_lip": "lower_lip",
    "neck": "neck",
    "neck_l": "clothes",
    "cloth": "clothes",
    "l_ear": "ears",
    "r_ear": "ears",
    "ear_r": "ears",
    "l_brow": "left_brow",
    "r_brow": "right_brow",
    "l_eye": "left_eye",
    "r_eye": "right_eye",
    "eye_g": "glasses",
    "hair": "hair",
    "hat": "hat",
}
"""The part of `morphable_synth.PART_NAMES` that a mask is, in the order in which later ones cover earlier ones."""


def read_celebamask_hq(folder: Path) -> Iterator[SourceItem]:
    """Yield the pictures of CelebAMask-HQ with the masks of their parts.

    Raises:
        FileNotFoundError: The folder has another layout.
    """
    pictures = pictures_in(folder / PICTURES) if (folder / PICTURES).is_dir() else []
    if not pictures or not (folder / MASKS).is_dir():
        raise layout_error(folder, "CelebAMask-HQ", f"{PICTURES}/0.jpg and {MASKS}/0/00000_skin.png")
    for path in sorted(pictures, key=lambda path: (len(path.stem), path.stem)):
        name = record_key(path.relative_to(folder / PICTURES))
        number = int(path.stem) if path.stem.isdecimal() else -1
        parts = {
            mask: file
            for mask in PART_OF_MASK
            if (file := folder / MASKS / str(number // FACES_PER_FOLDER) / f"{number:05d}_{mask}.png").is_file()
        }
        problem = "" if "skin" in parts else f"missing part masks: no {number:05d}_skin.png for it"
        yield SourceItem(name, path, part_masks=parts, problem=problem)
