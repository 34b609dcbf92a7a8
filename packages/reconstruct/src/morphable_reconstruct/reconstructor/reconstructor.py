"""`Reconstructor`: pictures in, scenes out."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from jaxtyping import Float, UInt8

import morphable
from morphable import InferenceDefaults, MorphableModel
from morphable_detector_head import FaceParameters
from morphable_reconstruct.faces.camera import NETWORK_FOCAL_PX, Camera, change_camera
from morphable_reconstruct.faces.face import Face
from morphable_reconstruct.faces.landmarks import landmark_basis
from morphable_reconstruct.photographs.letterbox import Letterbox, letterbox, unenlarged_side
from morphable_reconstruct.photographs.reading import ImageSource, Photograph, load_photograph
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.engines.base import Engine
from morphable_reconstruct.reconstructor.engines.build import build_engine
from morphable_reconstruct.reconstructor.tiles import Tile, merge_faces, plan_tiles
from morphable_reconstruct.scene import Scene

_CELL_AREA_PX = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class _View:
    """One input of the network: a whole photograph or a tile of it."""

    photo: int
    tile: Tile | None
    pixels: UInt8[np.ndarray, "rows cols 3"]
    plan: Letterbox


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """The faces of one view, in its own camera (pixels of the photograph)."""

    parameters: FaceParameters
    score: Float[np.ndarray, " faces"]
    center_px: Float[np.ndarray, "faces 2"]
    camera: Camera


class Reconstructor:
    """Reconstructs every face of photographs, each photograph in one pass of one network.

    Safe to call from several threads at once.
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] = "mobile",
        *,
        model: MorphableModel | str | os.PathLike[str] | None = None,
        config: ReconstructConfig | None = None,
    ) -> None:
        """Load weights and the face model they belong to; nothing is fetched from a network.

        Args:
            weights: Bundled ones by name (`mobile`), the path of a weights file, of a graph that
                `morphable_detector_head` exported or quantised (`.onnx`, `.xml`; with one of their engines), or of the
                official WM3DR checkpoint (`.pth`; give the BFM 2009 model with it).
            model: The face model; by default the open one.
            config: Options; see `ReconstructConfig`.

        Raises:
            FileNotFoundError: The weights or the model are not there.
            ValueError: They are damaged, of another version, or do not belong together.
        """
        self.config = config or ReconstructConfig()
        loaded = model if isinstance(model, MorphableModel) else morphable.load("open" if model is None else model)
        self.model = loaded.float().cpu().eval()
        self.engine, self.defaults = build_engine(weights, self.model, self.config)

    @classmethod
    def from_engine(
        cls,
        engine: Engine,
        model: MorphableModel,
        *,
        config: ReconstructConfig | None = None,
        defaults: InferenceDefaults | None = None,
    ) -> "Reconstructor":
        """Build around a detector that is already in memory, e.g. one in training."""
        self = cls.__new__(cls)
        self.config = config or ReconstructConfig()
        self.model = model
        self.engine = engine
        self.defaults = defaults or InferenceDefaults()
        return self

    @property
    def min_score(self) -> float:
        """The threshold in force: the configuration's, else the weights'."""
        return self.defaults.min_score if self.config.min_score is None else self.config.min_score

    @overload
    def __call__(self, images: list[ImageSource]) -> list[Scene]: ...
    @overload
    def __call__(self, images: ImageSource) -> Scene: ...
    def __call__(self, images: ImageSource | list[ImageSource]) -> Scene | list[Scene]:
        """Reconstruct one picture, or a list of pictures in batches.

        Args:
            images: A path, PIL image, array or tensor (see `load_photograph`), or a list of these.

        Returns:
            A scene, or a list of scenes in the order of the list; a picture without a face gives an empty scene.
        """
        if isinstance(images, list):
            return self.reconstruct([self.load(image) for image in images])
        return self.reconstruct([self.load(images)])[0]

    def load(self, image: ImageSource | Photograph, *, name: str | None = None) -> Photograph:
        """Read a picture under this reconstructor's size limit."""
        if isinstance(image, Photograph):
            return image
        return load_photograph(image, name=name, max_pixels=self.config.max_pixels)

    def reconstruct(self, photos: Sequence[Photograph]) -> list[Scene]:
        """Reconstruct photographs already read; equal sizes share forward passes."""
        views = [view for index, photo in enumerate(photos) for view in self._views(index, photo)]
        found: dict[int, list[tuple[_View, _Found]]] = defaultdict(list)
        for view, faces in self._detect(views, photos):
            found[view.photo].append((view, faces))
        return [self._scene(photo, found[index]) for index, photo in enumerate(photos)]

    def stream(self, images: Iterable[ImageSource | Photograph]) -> Iterator[Scene]:
        """Reconstruct pictures one batch at a time, for collections that do not fit in memory."""
        batch: list[Photograph] = []
        for image in images:
            batch.append(self.load(image))
            if len(batch) == self.config.batch_size:
                yield from self.reconstruct(batch)
                batch = []
        yield from self.reconstruct(batch)

    @property
    def largest_side(self) -> int:
        """Long side of the network's input for large pictures and for tiles."""
        return self.config.size_px or self.defaults.size_px

    def input_side(self, photo: Photograph) -> int:
        """Return the long side of the network's input for a picture: small ones are not enlarged unless asked for."""
        return self.config.size_px or unenlarged_side(photo.size_hw, self.defaults.size_px)

    def _views(self, index: int, photo: Photograph) -> Iterator[_View]:
        """The whole photograph, then its tiles."""
        tiles = plan_tiles(photo.size_hw, self.config.tile_px) if self.config.tile_px else ()
        for tile in (None, *tiles):
            pixels = photo.pixels
            if tile is not None:
                pixels = pixels[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width]
            resized, plan = letterbox(pixels, self.input_side(photo) if tile is None else self.largest_side)
            yield _View(photo=index, tile=tile, pixels=resized, plan=plan)

    def _detect(self, views: list[_View], photos: Sequence[Photograph]) -> Iterator[tuple[_View, _Found]]:
        """Run the network on groups of equally large inputs."""
        groups: dict[tuple[int, int], list[_View]] = defaultdict(list)
        for view in views:
            groups[view.plan.input_hw].append(view)
        for (height, width), group in groups.items():
            top_k = min(self.config.max_faces, height * width // _CELL_AREA_PX)
            for start in range(0, len(group), self.config.batch_size):
                batch = group[start : start + self.config.batch_size]
                images = torch.from_numpy(np.stack([view.pixels for view in batch])).permute(0, 3, 1, 2).float() / 255
                detections = self.engine(images, top_k=top_k, min_score=self.min_score)
                for row, view in enumerate(batch):
                    valid = detections.valid[row]
                    yield (
                        view,
                        _found(
                            view,
                            photos[view.photo].size_hw,
                            detections.parameters[row][valid],
                            detections.score[row][valid].numpy(),
                            detections.center_px[row][valid].numpy(),
                        ),
                    )

    def _scene(self, photo: Photograph, found: list[tuple[_View, _Found]]) -> Scene:
        """Bring the faces of all views into the photograph's camera."""
        camera = Camera(focal_px=self._focal_px(photo, found[0][0].plan), size_hw=photo.size_hw)
        whole: tuple[Face, ...] = ()
        tiled: tuple[Face, ...] = ()
        for view, faces in found:
            placed = self._faces(faces, camera)
            whole, tiled = (placed, tiled) if view.tile is None else (whole, tiled + placed)
        if self.config.tile_px and len(found) > 1:
            whole = merge_faces(whole, tiled, tile_px=self.config.tile_px)
        return Scene(name=photo.name, image=photo.pixels, camera=camera, faces=whole, model=self.model)

    def _focal_px(self, photo: Photograph, plan: Letterbox) -> float:
        """Focal length of the photograph by the configured choice."""
        if self.config.focal == "network":
            return NETWORK_FOCAL_PX / plan.scale
        if self.config.focal != "exif":
            return float(self.config.focal)
        if photo.exif_focal_px is None:
            raise ValueError(
                f"focal must be known for {photo.name}, got no focal length in its EXIF tags; "
                "pass it in pixels, or take the network's"
            )
        return photo.exif_focal_px

    def _faces(self, found: _Found, camera: Camera) -> tuple[Face, ...]:
        """Faces in the photograph's camera, re-posed where it is not the network's."""
        arrays = {name: tensor.numpy() for name, tensor in vars(found.parameters).items()}
        rotation, translation = arrays["rotation"], arrays["translation"]
        residual: Float[np.ndarray, " faces"] | None = None
        if len(rotation) and not _same_camera(found.camera, camera):
            points = landmark_basis(self.model).decode(arrays["identity"], arrays["expression"])
            pose = change_camera(points, rotation, translation, source=found.camera, target=camera)
            rotation, translation, residual = pose.rotation_head, pose.translation_m, pose.residual_px
        return tuple(
            Face(
                score=float(found.score[row]),
                center_px=found.center_px[row],
                identity=arrays["identity"][row],
                expression=arrays["expression"][row],
                albedo=arrays["albedo"][row],
                rotation_head=rotation[row],
                translation_m=translation[row],
                illumination=arrays["illumination"][row],
                camera=camera,
                model=self.model,
                camera_residual_px=None if residual is None else float(residual[row]),
            )
            for row in range(len(rotation))
        )


def _found(
    view: _View,
    photo_hw: tuple[int, int],
    parameters: FaceParameters,
    score: Float[np.ndarray, " faces"],
    center_input_px: Float[np.ndarray, "faces 2"],
) -> _Found:
    """Move pixel positions from the network's input to the photograph."""
    offset, principal = np.zeros(2), None
    if view.tile is not None:
        offset, principal = np.array([view.tile.left, view.tile.top]), view.tile.center_px
    return _Found(
        parameters=parameters,
        score=score,
        center_px=(view.plan.to_photo(center_input_px) + offset).astype(np.float32),
        camera=Camera(focal_px=NETWORK_FOCAL_PX / view.plan.scale, size_hw=photo_hw, center_px=principal),
    )


def _same_camera(first: Camera, second: Camera) -> bool:
    """Whether both cameras give the same pixels, exactly."""
    return first.focal_px == second.focal_px and bool(np.array_equal(first.principal_px, second.principal_px))
