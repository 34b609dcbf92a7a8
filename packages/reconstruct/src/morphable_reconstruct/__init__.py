"""Photographs or video in; every face of them out in 3D: meshes, texture, landmarks, pose, one camera."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from morphable_reconstruct.batch.options import RunConfig
    from morphable_reconstruct.commands.reconstruct import run
    from morphable_reconstruct.drawing.crops import face_crop
    from morphable_reconstruct.drawing.textures import albedo_texture, photo_texture
    from morphable_reconstruct.exports.predictions import prediction_rows, write_predictions
    from morphable_reconstruct.faces.camera import Camera
    from morphable_reconstruct.faces.rows import Face
    from morphable_reconstruct.photographs.reading import Photograph, TooManyPixelsError, load_photograph
    from morphable_reconstruct.photographs.sources import find_sources
    from morphable_reconstruct.reconstructor.config import ReconstructConfig
    from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
    from morphable_reconstruct.scene import Scene
    from morphable_reconstruct.video.animation import write_animations
    from morphable_reconstruct.video.options import VideoConfig
    from morphable_reconstruct.video.tracks import TrackedFrame, track

__version__ = "0.1.0"

_MODULES = {
    "batch.options": ("RunConfig",),
    "commands.reconstruct": ("run",),
    "drawing.crops": ("face_crop",),
    "drawing.textures": (
        "albedo_texture",
        "photo_texture",
    ),
    "exports.predictions": (
        "prediction_rows",
        "write_predictions",
    ),
    "faces.camera": ("Camera",),
    "faces.rows": ("Face",),
    "photographs.reading": (
        "Photograph",
        "TooManyPixelsError",
        "load_photograph",
    ),
    "photographs.sources": ("find_sources",),
    "reconstructor.config": ("ReconstructConfig",),
    "reconstructor.reconstructor": ("Reconstructor",),
    "scene": ("Scene",),
    "video.animation": ("write_animations",),
    "video.options": ("VideoConfig",),
    "video.tracks": (
        "TrackedFrame",
        "track",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Camera",
    "Face",
    "Photograph",
    "ReconstructConfig",
    "Reconstructor",
    "RunConfig",
    "Scene",
    "TooManyPixelsError",
    "TrackedFrame",
    "VideoConfig",
    "albedo_texture",
    "face_crop",
    "find_sources",
    "load_photograph",
    "photo_texture",
    "prediction_rows",
    "run",
    "track",
    "write_animations",
    "write_predictions",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `reconstruct --help` must not wait for PyTorch."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
