"""The texture of a face as a file format wants it."""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, UInt8

from morphable_reconstruct.drawing.colors import to_bytes
from morphable_reconstruct.drawing.textures import albedo_texture, delit_texture, fitting_side, photo_texture
from morphable_reconstruct.faces.rows import Face

TextureKind = Literal["photo", "albedo", "delit", "none"]
LIT_KINDS: tuple[TextureKind, ...] = ("photo",)
"""Textures that hold the photograph's light: shown as they are, not lit anew."""


def face_texture(
    face: Face, *, kind: str, size_px: int | None, depth_m: Float[np.ndarray, "rows cols"] | None = None
) -> UInt8[np.ndarray, "size size 3"] | None:
    """Make the texture of a face, or none.

    Args:
        face: The face, with the photograph it was found in.
        kind: One of `TextureKind`.
        size_px: Side of the texture; by default as many texels as the photograph has pixels (`fitting_side`).
        depth_m: Depth of all faces of the photograph, for `photo` and `delit`.

    Raises:
        ValueError: The kind is none of `TextureKind`.
    """
    if kind == "none":
        return None
    if kind == "albedo":
        return to_bytes(albedo_texture(face, size_px=size_px or fitting_side(face)).rgb)
    if kind == "photo":
        return to_bytes(photo_texture(face, size_px=size_px, depth_m=depth_m).rgb)
    if kind == "delit":
        return to_bytes(delit_texture(face, size_px=size_px, depth_m=depth_m).rgb)
    raise ValueError(f"texture must be one of {', '.join(get_args(TextureKind))}, got {kind!r}")
