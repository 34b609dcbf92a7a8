"""Photographs or video in; every face of them out in 3D: meshes, texture, landmarks, pose, one camera."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from morphable_reconstruct.camera import Camera, Pose, change_camera
    from morphable_reconstruct.cells import draw_cells, landmarks_around_peaks
    from morphable_reconstruct.command import run
    from morphable_reconstruct.config import ReconstructConfig
    from morphable_reconstruct.engines.base import Engine
    from morphable_reconstruct.engines.torch_engine import TorchEngine
    from morphable_reconstruct.exports.predictions import prediction_rows, write_predictions
    from morphable_reconstruct.face import Face, HeadAngles
    from morphable_reconstruct.images import Photograph, TooManyPixelsError, load_photograph
    from morphable_reconstruct.options import RunConfig, ServeConfig, VideoConfig, ViewConfig
    from morphable_reconstruct.reconstructor import Reconstructor
    from morphable_reconstruct.rendering import SceneImage
    from morphable_reconstruct.scene import Scene
    from morphable_reconstruct.sources import Source, find_sources
    from morphable_reconstruct.texture import FaceTexture, albedo_texture, photo_texture
    from morphable_reconstruct.video.run import track_video

__version__ = "0.1.0"

_MODULES = {
    "camera": ("Camera", "Pose", "change_camera"),
    "cells": ("draw_cells", "landmarks_around_peaks"),
    "config": ("ReconstructConfig",),
    "engines.base": ("Engine",),
    "engines.torch_engine": ("TorchEngine",),
    "exports.predictions": ("prediction_rows", "write_predictions"),
    "face": ("Face", "HeadAngles"),
    "images": ("Photograph", "TooManyPixelsError", "load_photograph"),
    "options": ("RunConfig", "ServeConfig", "VideoConfig", "ViewConfig"),
    "reconstructor": ("Reconstructor",),
    "rendering": ("SceneImage",),
    "command": ("run",),
    "scene": ("Scene",),
    "sources": ("Source", "find_sources"),
    "texture": ("FaceTexture", "albedo_texture", "photo_texture"),
    "video.run": ("track_video",),
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
    "track_video",
    "write_predictions",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `reconstruct --help` must not wait for PyTorch."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
