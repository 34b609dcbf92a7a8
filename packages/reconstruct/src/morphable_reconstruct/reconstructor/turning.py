"""Photographs turned by quarters, and faces that were found in them brought back."""

from dataclasses import replace

import numpy as np
import torch

from morphable.geometry import axes_flip
from morphable_reconstruct.photographs.reading import Photograph
from morphable_reconstruct.scene import Scene
from morphable_render.lighting import rotate_sh


def turned(photo: Photograph, quarters: int, *, longest_px: int | None = None) -> Photograph:
    """Turn a photograph against the clock by quarters.

    Args:
        photo: The photograph.
        quarters: How often.
        longest_px: Take every how many-th pixel only, so that a long side of about this many is left: large photographs
            fill the memory.
    """
    step = 1 if longest_px is None else max(1, max(photo.size_hw) // longest_px)
    if step == 1 and quarters % 4 == 0:
        return photo
    pixels = photo.pixels[::step, ::step]
    return replace(photo, pixels=np.rot90(pixels, quarters).copy())  # without negative strides


def turned_back(scene: Scene, photo: Photograph, quarters: int) -> Scene:
    """Bring the faces of a turned photograph into the photograph itself.

    A turn about the middle of a picture is a turn of its camera, so that nothing but the axes changes.

    Args:
        scene: Of the turned photograph, which may be smaller, in a camera whose principal point is the middle.
        photo: The photograph as it was before.
        quarters: How often it was turned against the clock.
    """
    step = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], np.float32)
    back = np.linalg.matrix_power(step, quarters)  # x to the right, y down: with the clock
    rotation = torch.from_numpy(back)
    flip = torch.diag(axes_flip(rotation))
    in_head_axes = flip @ rotation @ flip
    faces = replace(
        scene.faces,
        rotation_head=in_head_axes @ scene.faces.rotation_head,
        translation_m=scene.faces.translation_m @ rotation.T,
        illumination=rotate_sh(scene.faces.illumination, in_head_axes),
    )
    larger = max(photo.size_hw) / max(scene.photo.size_hw)
    middles = [np.array(size_hw[::-1], np.float32) / 2 for size_hw in (scene.photo.size_hw, photo.size_hw)]
    center_px = (scene.center_px - middles[0]) @ back[:2, :2].T * np.float32(larger) + middles[1]
    camera = replace(scene.camera, focal_px=scene.camera.focal_px * larger, size_hw=photo.size_hw)
    return replace(scene, photo=photo, camera=camera, faces=faces, center_px=center_px)
