"""A photograph and all of its faces in one camera space."""

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from morphable import MorphableModel
from morphable_detector_head import FaceParameters
from morphable_reconstruct.drawing.layers import SceneImage, render_scene
from morphable_reconstruct.drawing.overlay import draw_overlay
from morphable_reconstruct.drawing.views import VIEW_NAMES, render_view
from morphable_reconstruct.faces.camera import Camera
from morphable_reconstruct.faces.face import Face


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """The result of one photograph: its camera and its faces, best score first; no face is a valid result."""

    name: str
    """File name of the photograph."""
    image: UInt8[np.ndarray, "rows cols 3"]
    """The upright photograph, sRGB."""
    camera: Camera
    faces: tuple[Face, ...]
    model: MorphableModel

    @property
    def parameters(self) -> FaceParameters:
        """All faces' parameters as tensors, one row per face; translations are in the scene's camera."""

        def rows(name: str, shape: tuple[int, ...]) -> torch.Tensor:
            values = [torch.from_numpy(np.ascontiguousarray(getattr(face, name))) for face in self.faces]
            return torch.stack(values) if values else torch.zeros(0, *shape)

        return FaceParameters(
            identity=rows("identity", (self.model.num_identity,)),
            expression=rows("expression", (self.model.num_expression,)),
            albedo=rows("albedo", (self.model.num_albedo,)),
            rotation=rows("rotation_head", (3, 3)),
            translation=rows("translation_m", (3,)),
            illumination=rows("illumination", (9, 3)),
        )

    @cached_property
    def rendered(self) -> SceneImage:
        """All layers at the photograph's size, over black; kept once made."""
        return render_scene(self)

    @property
    def depth_m(self) -> Float[np.ndarray, "rows cols"]:
        """Depth of the nearest face per pixel of the photograph; 0 where there is none."""
        return self.rendered.depth_m

    @property
    def segmentation(self) -> Int[np.ndarray, "rows cols"]:
        """Per pixel of the photograph 1 + the index into `model.part_names`; 0 where there is no face."""
        return np.where(self.rendered.mask, self.rendered.part + 1, 0)

    def render(
        self, *, size_hw: tuple[int, int] | None = None, background: Float[np.ndarray, "rows cols 3"] | None = None
    ) -> SceneImage:
        """Render all faces in their light through the photograph's camera; see `render_scene`."""
        return render_scene(self, size_hw=size_hw, background=background)

    def views(self, *, size_px: int = 512, caption: bool = True) -> dict[str, UInt8[np.ndarray, "_ _ 3"]]:
        """Render the scene from the front, the picture's right and above; see `render_view`."""
        return {name: render_view(self, name, size_px=size_px, caption=caption) for name in VIEW_NAMES}

    def overlay(
        self, *, opacity: float = 0.75, boxes: bool = True, landmarks: bool = True, max_side_px: int = 2048
    ) -> UInt8[np.ndarray, "rows cols 3"]:
        """Draw faces, boxes and landmarks over the photograph; see `draw_overlay`."""
        return draw_overlay(self, opacity=opacity, boxes=boxes, landmarks=landmarks, max_side_px=max_side_px)

    def with_faces(self, faces: tuple[Face, ...]) -> "Scene":
        """Return the same photograph with other faces."""
        return replace(self, faces=faces)

    def save(self, path: str | os.PathLike[str], *, texture: str = "albedo", texture_px: int = 512) -> None:
        """Write the scene in the format of the suffix: .glb, .obj, .ply, .json or .npz.

        Args:
            path: The file; it is whole or absent, never half-written.
            texture: For .glb and .obj: `albedo`, `photo` (the photograph where it sees the face) or `none`.
            texture_px: Side of the square textures.

        Raises:
            FileNotFoundError: The folder does not exist.
            ValueError: Another suffix, or an unknown texture.
        """
        from morphable_reconstruct.exports.formats import write_scene

        write_scene(self, Path(path), texture=texture, texture_px=texture_px)
