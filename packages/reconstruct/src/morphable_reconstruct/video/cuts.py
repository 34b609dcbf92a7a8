"""Hard cuts: whether a face, and the whole picture, still look as they did a frame before."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

FACE_LIKENESS = 0.6
"""Correlation of two faces' boxes below which they may be two people's: at least 0.89 between the pictures of one
person, at most 0.57 between two people's (9 portraits)."""
PICTURE_LIKENESS = 0.5
"""Correlation of two pictures below which they are two shots."""
IDENTITY_JUMP, ALBEDO_JUMP = 0.1, 0.3
"""Root mean square changes of the coefficients, in standard deviations, above which a face is another's: between the
pictures of one person they are up to 0.10 and 0.29, between two people's 0.16 and 0.85 at the median."""
_FACE_PX = 16
_PICTURE_COLS, _PICTURE_ROWS = 32, 18


@dataclass(frozen=True, kw_only=True, eq=False)
class FaceLook:
    """A face as small pixels, and whose it is."""

    pixels: Float[np.ndarray, " pixels"]
    identity: Float[np.ndarray, " id"]
    albedo: Float[np.ndarray, " alb"]


def picture_look(image: UInt8[np.ndarray, "rows cols 3"]) -> Float[np.ndarray, " pixels"]:
    """Shrink a picture to a few gray pixels without mean, of length 1."""
    return _normalized(Image.fromarray(image), (0, 0, image.shape[1], image.shape[0]), (_PICTURE_COLS, _PICTURE_ROWS))


def face_look(
    image: UInt8[np.ndarray, "rows cols 3"],
    box_xyxy_px: Float[np.ndarray, "4"],
    identity: Float[np.ndarray, " id"],
    albedo: Float[np.ndarray, " alb"],
) -> FaceLook:
    """Shrink a face's box to a few gray pixels without mean, of length 1."""
    rows, cols = image.shape[:2]
    left, top = np.clip(np.floor(box_xyxy_px[:2]), 0, (cols - 1, rows - 1)).astype(int)
    right, bottom = np.clip(np.ceil(box_xyxy_px[2:]), (left + 1, top + 1), (cols, rows)).astype(int)
    crop = Image.fromarray(image[top:bottom, left:right])
    return FaceLook(
        pixels=_normalized(crop, (0, 0, *crop.size), (_FACE_PX, _FACE_PX)), identity=identity, albedo=albedo
    )


def likeness(first: Float[np.ndarray, " pixels"], second: Float[np.ndarray, " pixels"]) -> float:
    """Return the correlation of two looks: 1 for the same at any brightness and contrast, and for two even ones."""
    return float(first @ second) if first.any() or second.any() else 1.0


def is_another(before: FaceLook, now: FaceLook, *, cut: bool) -> bool:
    """Return whether a face that follows another at the same place must be a different person's, or another shot's.

    Args:
        before: The face a frame earlier.
        now: The face that may be the same.
        cut: Whether the whole picture changed as well.
    """
    if likeness(before.pixels, now.pixels) >= FACE_LIKENESS:
        return False
    person = _distance(before.identity, now.identity) > IDENTITY_JUMP
    return cut or (person and _distance(before.albedo, now.albedo) > ALBEDO_JUMP)


def _distance(first: Float[np.ndarray, " modes"], second: Float[np.ndarray, " modes"]) -> float:
    """Root mean square difference."""
    return float(np.sqrt(np.mean((first - second) ** 2)))


def _normalized(
    picture: Image.Image, box: tuple[int, int, int, int], size: tuple[int, int]
) -> Float[np.ndarray, " pixels"]:
    """Shrink, take the mean off, scale to length 1; an even picture is all zeros."""
    small = np.asarray(picture.resize(size, Image.Resampling.BOX, box=box).convert("L"), np.float64).reshape(-1)
    small = small - small.mean()
    length = np.linalg.norm(small)
    return small / length if length > 1.0 else np.zeros_like(small)
