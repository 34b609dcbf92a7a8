"""The texture of a face as a file format wants it."""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, UInt8

from morphable_reconstruct.drawing.colors import to_bytes
from morphable_reconstruct.drawing.textures import albedo_texture, photo_texture
from morphable_reconstruct.faces.rows import Face

TextureKind = Literal["albedo", "photo", "none"]


def face_texture(
    face: Face, *, kind: str, size_px: int, depth_m: Float[np.ndarray, "rows cols"] | None = None
) -> UInt8[np.ndarray, "size size 3"] | None:
    """Make the albedo or photograph texture of a face, or none.

    Raises:
        ValueError: The kind is none of `TextureKind`.
    """
    if kind == "none":
        return None
    if kind == "albedo":
        return to_bytes(albedo_texture(face, size_px=size_px).rgb)
    if kind == "photo":
        return to_bytes(photo_texture(face, size_px=size_px, depth_m=depth_m).rgb)
    raise ValueError(f"texture must be one of {', '.join(get_args(TextureKind))}, got {kind!r}")
