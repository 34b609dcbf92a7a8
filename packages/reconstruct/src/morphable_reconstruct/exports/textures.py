"""The texture of a face as a file format wants it."""

from typing import Literal, get_args

import numpy as np
from jaxtyping import UInt8

from morphable_reconstruct.drawing.colors import to_bytes
from morphable_reconstruct.drawing.textures import albedo_texture, photo_texture
from morphable_reconstruct.faces.face import Face
from morphable_reconstruct.scene import Scene

TextureKind = Literal["albedo", "photo", "none"]


def face_texture(scene: Scene, face: Face, *, kind: str, size_px: int) -> UInt8[np.ndarray, "size size 3"] | None:
    """Make the albedo or photograph texture of a face, or none.

    Raises:
        ValueError: The kind is none of `TextureKind`.
    """
    if kind == "none":
        return None
    if kind == "albedo":
        return to_bytes(albedo_texture(face, size_px=size_px).rgb)
    if kind == "photo":
        return to_bytes(photo_texture(scene, face, size_px=size_px).rgb)
    raise ValueError(f"texture must be one of {', '.join(get_args(TextureKind))}, got {kind!r}")
