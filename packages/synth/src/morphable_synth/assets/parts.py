"""Names of what a pixel shows."""

MODEL_PARTS = (
    "skin", "left_brow", "right_brow", "left_eye", "right_eye", "nose", "upper_lip", "lower_lip",
    "inner_mouth", "ears", "neck", "scalp",
)  # fmt: skip
"""Parts of the open model; left and right are the person's own."""
COVERING_PARTS = ("hair", "beard", "glasses", "hat", "mask", "clothes", "body", "occluder")
"""What is drawn beside and before the face; `body` is skin below the neck."""
PART_NAMES = ("background", *MODEL_PARTS, *COVERING_PARTS)
"""Index into this is the value of part pictures."""
FIRST_COVERING_PART = 1 + len(MODEL_PARTS)


def part(name: str) -> int:
    """Return the number of a part."""
    return PART_NAMES.index(name)
