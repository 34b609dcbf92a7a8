"""A photograph and all of its faces in one camera space."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

import morphable
from morphable import MorphableModel
from morphable_reconstruct.drawing.layers import SceneImage, render_depth, render_layers, render_strips
from morphable_reconstruct.exports.formats import write_scene
from morphable_reconstruct.exports.notebooks import scene_html
from morphable_reconstruct.exports.saved import read_scene
from morphable_reconstruct.faces.rows import SceneRows
from morphable_reconstruct.photographs.reading import ImageSource, Photograph, load_photograph


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Scene(SceneRows):
    """The result of one photograph: its camera and its faces, best score first; no face is a valid result.

    `scene[i]` is a view of one face (`Face`), `len(scene)` the number of faces. A `Reconstructor` makes
    scenes; by hand:

    >>> import numpy as np, torch, morphable, morphable_reconstruct as mr
    >>> model = morphable.load_model("open")
    >>> scene = mr.Scene(
    ...     photo=mr.load_photograph(np.zeros((480, 640, 3), np.uint8), name="a.jpg"),
    ...     camera=mr.Camera(focal_px=800.0, size_hw=(480, 640)),
    ...     model=model,
    ...     faces=model.sample(2, torch.Generator().manual_seed(0)),
    ...     score=np.float32([0.9, 0.8]),
    ...     center_px=np.zeros((2, 2), np.float32),
    ... )
    >>> scene
    Scene('a.jpg', 640x480, 2 faces)
    >>> changed = scene.with_expressions({"jawOpen": 1.0}, face=0)
    >>> changed[0].expressions["jawOpen"], changed[0].landmarks68_px.shape
    (1.0, (68, 2))
    """

    def __repr__(self) -> str:
        height, width = self.camera.size_hw
        return f"Scene({self.name!r}, {width}x{height}, {len(self)} {'face' if len(self) == 1 else 'faces'})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the overlay and a table of the faces."""
        return scene_html(self)

    @property
    def image(self) -> UInt8[np.ndarray, "rows cols 3"]:
        """The upright photograph, sRGB."""
        return self.photo.pixels

    @cached_property
    def rendered(self) -> SceneImage:
        """All layers at the photograph's size, over black; kept once made."""
        return render_layers(self)

    @cached_property
    def depth_m(self) -> Float[np.ndarray, "rows cols"]:
        """Depth of the nearest face per pixel of the photograph; 0 where there is none. Kept once made."""
        return render_depth(self, max_pixels=None)

    @property
    def segmentation(self) -> Int[np.ndarray, "rows cols"]:
        """What the photograph shows of the faces: per pixel an index into `morphable_regressors.PARSING_CLASSES`.

        0 is whatever is no face, hair, hands and glasses before one included; see `parts` for the model's own.
        """
        from morphable_reconstruct.drawing.parsing import segment_photograph

        return segment_photograph(self)

    @property
    def parts(self) -> Int[np.ndarray, "rows cols"]:
        """Parts of the reconstructed heads: per pixel 1 + the index into `model.part_names`; 0 where there is none."""
        parts = np.empty(self.camera.size_hw, np.int16)
        for strip in render_strips(self):
            parts[strip.rows] = np.where(strip.mask, strip.part + 1, 0)
        return parts

    def render(
        self, *, size_hw: tuple[int, int] | None = None, background: Float[np.ndarray, "rows cols 3"] | None = None
    ) -> SceneImage:
        """Render all faces in their light through the photograph's camera; see `render_layers`."""
        return render_layers(self, size_hw=size_hw, background=background)

    def views(self, *, size_px: int = 512, caption: bool = True) -> dict[str, UInt8[np.ndarray, "_ _ 3"]]:
        """Render the textured scene from the front, the picture's right and above; see `render_view`."""
        from morphable_reconstruct.drawing.textures import scene_textures
        from morphable_reconstruct.drawing.views import VIEW_NAMES, render_view

        textures = scene_textures(self)
        return {
            name: render_view(self, name, size_px=size_px, caption=caption, textures=textures) for name in VIEW_NAMES
        }

    def overlay(
        self,
        *,
        opacity: float = 0.75,
        boxes: bool = True,
        landmarks: bool = True,
        parse: bool = True,
        max_side_px: int = 2048,
    ) -> UInt8[np.ndarray, "rows cols 3"]:
        """Draw faces, boxes and landmarks over the photograph; see `draw_overlay`."""
        from morphable_reconstruct.drawing.overlay import draw_overlay

        return draw_overlay(
            self, opacity=opacity, boxes=boxes, landmarks=landmarks, parse=parse, max_side_px=max_side_px
        )

    def with_expressions(self, expressions: Mapping[str, float], *, face: int | None = None) -> "Scene":
        """Return the same people with other expressions, e.g. another person's.

        Args:
            expressions: Activations by name, e.g. `other[0].expressions`; those that are not named become 0.
            face: Index of the face to change; all faces by default.

        Raises:
            IndexError: There is no such face.
            ValueError: The face model has no expression of such a name.
        """
        if unknown := sorted(set(expressions) - set(self.model.expression_names)):
            raise ValueError(f"expressions must be names of the face model, got {', '.join(unknown)}")
        values = torch.tensor([float(expressions.get(name, 0.0)) for name in self.model.expression_names])
        changed = self.faces.expression.clone()
        changed[slice(None) if face is None else self[face].index] = values
        surface = self.surface_m
        if surface is not None:
            with torch.no_grad():
                before = self.model.decode_shape(self.faces.identity, self.faces.expression)
                surface = surface + self.model.decode_shape(self.faces.identity, changed) - before
        changed_scene = self.changed(replace(self.faces, expression=changed), surface)
        return replace(changed_scene, landmarks68_std_px=None)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        image: ImageSource | Photograph | None = None,
        model: MorphableModel | str | os.PathLike[str] = "open",
    ) -> "Scene":
        """Read a scene that was saved as .json (numbers rounded to six decimals) or .npz.

        Args:
            path: The file.
            image: The photograph, which the file does not hold; by default a white picture of its size.
            model: The face model the scene was made with.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is no saved scene, is damaged, or belongs to another face model or photograph.
        """
        loaded = model if isinstance(model, MorphableModel) else morphable.load_model(model)
        photo = load_photograph(image) if image is not None and not isinstance(image, Photograph) else image
        rows = read_scene(path, loaded, photo)
        return cls(**{field.name: getattr(rows, field.name) for field in fields(rows)})

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        texture: str = "photo",
        texture_px: int | None = None,
        mesh: str = "head",
    ) -> None:
        """Write the scene in the format of the suffix: .glb, .obj, .ply, .json, .npz or .csv.

        Args:
            path: The file; it is whole or absent, never half-written.
            texture: For .glb and .obj: `photo` (the photograph where it shows the face), `delit` (the same without its
                light), `albedo` or `none`.
            texture_px: Side of the square textures; by default as many texels as the photograph has pixels.
            mesh: For .glb and .obj: `head`, or `face` without scalp, ears and neck.

        Raises:
            FileNotFoundError: The folder does not exist.
            ValueError: Another suffix, an unknown texture or an unknown mesh.
        """
        write_scene(self, Path(path), texture=texture, texture_px=texture_px, mesh=mesh)
