"""Photographs or video in; every face of them out in 3D: meshes, texture, landmarks, pose, one camera."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from morphable_reconstruct.batch.cells import draw_cells, landmarks_around_peaks
    from morphable_reconstruct.batch.options import RunConfig
    from morphable_reconstruct.commands.reconstruct import run
    from morphable_reconstruct.drawing.layers import SceneImage
    from morphable_reconstruct.drawing.textures import FaceTexture, albedo_texture, photo_texture
    from morphable_reconstruct.exports.predictions import prediction_rows, write_predictions
    from morphable_reconstruct.faces.camera import Camera, Pose, change_camera
    from morphable_reconstruct.faces.rows import Face, HeadAngles
    from morphable_reconstruct.photographs.reading import Photograph, TooManyPixelsError, load_photograph
    from morphable_reconstruct.photographs.sources import Source, find_sources
    from morphable_reconstruct.reconstructor.config import ReconstructConfig
    from morphable_reconstruct.reconstructor.engines.base import Engine
    from morphable_reconstruct.reconstructor.engines.torch_engine import TorchEngine
    from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
    from morphable_reconstruct.scene import Scene
    from morphable_reconstruct.service.options import ServeConfig
    from morphable_reconstruct.video.options import VideoConfig
    from morphable_reconstruct.video.tracks import TrackedFrame, track
    from morphable_reconstruct.viewer.options import ViewConfig

__version__ = "0.1.0"

_MODULES = {
    "batch.cells": ("draw_cells", "landmarks_around_peaks"),
    "batch.options": ("RunConfig",),
    "commands.reconstruct": ("run",),
    "drawing.layers": ("SceneImage",),
    "drawing.textures": ("FaceTexture", "albedo_texture", "photo_texture"),
    "exports.predictions": ("prediction_rows", "write_predictions"),
    "faces.camera": ("Camera", "Pose", "change_camera"),
    "faces.rows": ("Face", "HeadAngles"),
    "photographs.reading": ("Photograph", "TooManyPixelsError", "load_photograph"),
    "photographs.sources": ("Source", "find_sources"),
    "reconstructor.config": ("ReconstructConfig",),
    "reconstructor.engines.base": ("Engine",),
    "reconstructor.engines.torch_engine": ("TorchEngine",),
    "reconstructor.reconstructor": ("Reconstructor",),
    "scene": ("Scene",),
    "service.options": ("ServeConfig",),
    "video.options": ("VideoConfig",),
    "video.tracks": ("TrackedFrame", "track"),
    "viewer.options": ("ViewConfig",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Camera",
    "Engine",
    "Face",
    "FaceTexture",
    "HeadAngles",
    "Photograph",
    "Pose",
    "ReconstructConfig",
    "Reconstructor",
    "RunConfig",
    "Scene",
    "SceneImage",
    "ServeConfig",
    "Source",
    "TooManyPixelsError",
    "TorchEngine",
    "TrackedFrame",
    "VideoConfig",
    "ViewConfig",
    "albedo_texture",
    "change_camera",
    "draw_cells",
    "find_sources",
    "landmarks_around_peaks",
    "load_photograph",
    "photo_texture",
    "prediction_rows",
    "run",
    "track",
    "write_predictions",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `reconstruct --help` must not wait for PyTorch."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
