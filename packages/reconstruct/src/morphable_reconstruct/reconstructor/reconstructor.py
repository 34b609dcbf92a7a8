"""`Reconstructor`: pictures in, scenes out."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

import morphable
from morphable import InferenceDefaults, MorphableModel
from morphable.geometry import GLOBAL_FOCAL_PX
from morphable.landmarks import NUM_IBUG68
from morphable_detector_head import Detections
from morphable_detector_head.engines import Detector, TorchDetector
from morphable_detector_head.letterbox import Letterbox, letterbox, network_input, unenlarged_side
from morphable_reconstruct.colors.faces import with_photo_colors
from morphable_reconstruct.faces.camera import Camera
from morphable_reconstruct.faces.point_fit import fit_points
from morphable_reconstruct.photographs.reading import ImageSource, Photograph, load_photograph
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.detectors import OFFICIAL_SUFFIXES, build_detector
from morphable_reconstruct.reconstructor.per_face.passes import reconstruct_each, reconstruct_views
from morphable_reconstruct.reconstructor.per_face.weights import PerFaceNetwork, load_per_face
from morphable_reconstruct.reconstructor.stream import attempt_all
from morphable_reconstruct.reconstructor.tiles import Tile, box_centers, merge_tiles, plan_tiles, sizes_px
from morphable_reconstruct.reconstructor.turning import turned, turned_back
from morphable_reconstruct.reconstructor.weights import find_weights
from morphable_reconstruct.scene import Scene

_GPU_BATCH = 8
_SECOND_LOOK_PX = 192
"""Input for photographs in which nothing sure was found: close-ups and blocks of strong compression are small in it."""
_READ_PX = 4 * _SECOND_LOOK_PX
"""Turned photographs are read at about this many pixels of the long side for it."""
_SURE_SCORE = 0.95
"""The surest face of a photograph that is the right way up has more (0.99 at least, in 62 photographs of AFW); that of
one that is upside down has it rarely (in 8 of them)."""
_TURNED_SCORE, _TURNED_FULL_SCORE = 0.6, 0.8
"""Score in the second look from which a turned photograph is looked at in full, and there, from which its faces
count."""
_LARGE_SHARE = 0.4
"""Size of the faces that a second look may find, as a share of the photograph's long side; small ones are pebbles."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _View:
    """One input of the network: a whole photograph or a tile of it."""

    photo: Photograph
    tile: Tile | None
    pixels: UInt8[np.ndarray, "rows cols 3"]
    plan: Letterbox

    @property
    def camera(self) -> Camera:
        """The network's camera for this input, in pixels of the photograph."""
        center_px = None if self.tile is None else self.tile.center_px
        return Camera(focal_px=GLOBAL_FOCAL_PX / self.plan.scale, size_hw=self.photo.size_hw, center_px=center_px)


class Reconstructor:
    """Reconstructs every face of photographs, each photograph in one pass of one network.

    A photograph in which nothing sure is found is looked at again, in small and turned by quarters, unless `size_px` or
    `tile_px` is set.

    Safe to call from several threads at once.

    >>> import numpy as np, morphable_reconstruct as mr
    >>> reconstructor = mr.Reconstructor("mobile", config=mr.ReconstructConfig(size_px=256))
    >>> reconstructor(np.zeros((64, 64, 3), np.uint8))
    Scene('image', 64x64, 0 faces)
    >>> [len(scene) for scene in reconstructor.many([np.zeros((64, 64, 3), np.uint8)] * 2)]
    [0, 0]
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] | Detector = "mobile",
        model: MorphableModel | str | os.PathLike[str] = "open",
        *,
        per_face: str | os.PathLike[str] | PerFaceNetwork | None = None,
        weights_dir: str | os.PathLike[str] | None = None,
        config: ReconstructConfig | None = None,
        defaults: InferenceDefaults | None = None,
    ) -> None:
        """Load weights and the face model they belong to; nothing is fetched from a network.

        Args:
            weights: Bundled ones by name (`mobile`), the path of a weights file, of a graph that
                `morphable_detector_head` exported or quantized (`.onnx`, `.xml`; not with the torch engine), of the
                official WM3DR checkpoint (`.pth`; give the BFM 2009 model with it; photographs are padded as its
                authors do), or a detector in memory.
            model: The face model: `open`, a model file, or a loaded model.
            per_face: A network that reconstructs each found face from a crop of its own: `mobile_frnet`, or a
                weights file of Mobile-FRNet, PRNet or DF-MVR; by default none.
            weights_dir: A folder whose `NAME.safetensors` are found by name, before the bundled ones; by default none.
            config: Options; see `ReconstructConfig`.
            defaults: Input size and threshold of a detector in memory; by default those of the weights file.

        Raises:
            FileNotFoundError: The weights or the model are not there.
            ValueError: They are damaged, of another version, or do not belong together.
        """
        self.config = config or ReconstructConfig()
        loaded = model if isinstance(model, MorphableModel) else morphable.load_model(model)
        self.model = loaded.float().cpu().eval()
        folder = None if weights_dir is None else Path(weights_dir)
        if isinstance(weights, str | os.PathLike):
            path = find_weights(weights, folder)
            self.detector, said = build_detector(path, self.model, self.config)
            self.pads_at_the_end = path.suffix in OFFICIAL_SUFFIXES
        else:
            self.detector, said = weights, InferenceDefaults()
            self.pads_at_the_end = False
        self.defaults = defaults or said
        if isinstance(per_face, str | os.PathLike):
            per_face = load_per_face(per_face, self.model, folder)
        self.per_face = per_face

    @property
    def min_score(self) -> float:
        """The threshold in force: the configuration's, else the weights'."""
        return self.defaults.min_score if self.config.min_score is None else self.config.min_score

    @property
    def batch_size(self) -> int:
        """Number of pictures that are reconstructed together: the configuration's, or what suits the device."""
        on_gpu = isinstance(self.detector, TorchDetector) and self.detector.device.type != "cpu"
        return self.config.batch_size or (_GPU_BATCH if on_gpu else 1)

    def __call__(self, picture: ImageSource | Photograph) -> Scene:
        """Reconstruct one picture; a picture without a face gives an empty scene.

        Args:
            picture: A path, PIL image, array or tensor (see `load_photograph`).

        Raises:
            FileNotFoundError: No such file.
            ValueError: Not a picture, or a damaged one.
        """
        return self.reconstruct([self.load(picture)])[0]

    def many(
        self,
        pictures: Iterable[ImageSource | Photograph],
        *,
        on_error: Callable[[ImageSource | Photograph, Exception], None] | None = None,
    ) -> Iterator[Scene]:
        """Reconstruct pictures one batch at a time, for collections that do not fit in memory.

        Args:
            pictures: Paths, PIL images, arrays or tensors.
            on_error: Called with a picture that cannot be reconstructed and its error; the picture is left out. By
                default the error is raised.
        """
        for attempt in attempt_all(pictures, self.load, self.reconstruct, batch_size=self.batch_size):
            if attempt.scene is not None:
                yield attempt.scene
            elif attempt.error is not None:
                if on_error is None:
                    raise attempt.error
                on_error(attempt.item, attempt.error)

    def load(self, image: ImageSource | Photograph, *, name: str | None = None) -> Photograph:
        """Read a picture under this reconstructor's size limit."""
        if isinstance(image, Photograph):
            return image
        return load_photograph(image, name=name, max_pixels=self.config.max_pixels)

    def reconstruct(self, photos: Sequence[Photograph]) -> list[Scene]:
        """Reconstruct photographs already read; equal sizes share forward passes."""
        scenes = self._detected(photos)
        if self.per_face is not None:
            scenes = [reconstruct_each(self.per_face, scene) for scene in scenes]
        return scenes if self.config.colors == "network" else [with_photo_colors(scene) for scene in scenes]

    def views(self, pictures: Sequence[ImageSource | Photograph]) -> Scene:
        """Reconstruct one person from up to three photographs; `per_face` must be DF-MVR.

        Args:
            pictures: Left, front, right; the largest face of each is taken. With two, the last stands for the third
                as well; one is taken for the front.

        Returns:
            The scene of the front photograph (of the second, or the only one) with this one face.

        Raises:
            ValueError: The network is another, there are no or more than three photographs, or one has no face.
        """
        if self.per_face is None:
            raise ValueError("per_face must be dfmvr to take views of one person, got none; pass its weights")
        return reconstruct_views(self.per_face, pictures, lambda given: self._detected([self.load(p) for p in given]))

    @property
    def largest_side(self) -> int:
        """Long side of the network's input for large pictures and for tiles."""
        return self.config.size_px or self.defaults.size_px

    def input_side(self, photo: Photograph) -> int:
        """Return the long side of the network's input for a picture: small ones are not enlarged unless asked for."""
        return self.config.size_px or unenlarged_side(photo.size_hw, self.defaults.size_px)

    def _detected(self, photos: Sequence[Photograph]) -> list[Scene]:
        """Run the single-shot network on photographs and their tiles."""
        views = [list(self._views(photo)) for photo in photos]
        scenes = self._detect([view for group in views for view in group])
        found = [self._merged([(view, scenes[id(view)]) for view in group]) for group in views]
        asked_for = self.config.size_px or self.config.tile_px or self.pads_at_the_end
        return found if asked_for else self._seen_again(found)

    def _seen_again(self, scenes: list[Scene]) -> list[Scene]:
        """Look at small versions of photographs in which nothing sure was found, as they are and turned by quarters."""
        unsure = [scene for scene in scenes if not _is_sure(scene) and self.input_side(scene.photo) > _SECOND_LOOK_PX]
        chosen = {id(scene): self._surest(scene) for scene in unsure}
        return [chosen.get(id(scene), scene) for scene in scenes]

    def _surest(self, scene: Scene) -> Scene:
        """Choose between what was found, close-ups in the small photograph, and a turned photograph."""
        small = self._looked_at(scene.photo, _SECOND_LOOK_PX)
        upright = max(scene, _large_faces(small), key=_best_score) if len(scene) < 2 else scene
        looks = [self._looked_at_turned(scene.photo, quarters, small=True) for quarters in (1, 2, 3)]
        quarters = 1 + max(range(3), key=lambda index: _best_score(looks[index]))
        score = _best_score(looks[quarters - 1])
        if score <= max(_best_score(upright), _best_score(small)):
            return upright
        if score >= _TURNED_SCORE:
            found = self._looked_at_turned(scene.photo, quarters)
            if _best_score(found) >= _TURNED_FULL_SCORE:
                return found
        return _elsewhere(upright, looks[quarters - 1])  # an upside-down face may look like a face

    def _looked_at_turned(self, photo: Photograph, quarters: int, *, small: bool = False) -> Scene:
        """Find the faces of a turned photograph, in the photograph's own axes."""
        side = _SECOND_LOOK_PX if small else self.input_side(photo)
        seen = turned(photo, quarters, longest_px=_READ_PX if small else None)
        return turned_back(self._looked_at(seen, side), photo, quarters)

    def _looked_at(self, photo: Photograph, side: int) -> Scene:
        """Find the faces of a whole photograph, as an input of some long side."""
        view = self._whole(photo, side)
        return self._merged([(view, self._detect([view])[id(view)])])

    def _views(self, photo: Photograph) -> Iterator[_View]:
        """The whole photograph, then its tiles."""
        yield self._whole(photo, self.input_side(photo))
        for tile in plan_tiles(photo.size_hw, self.config.tile_px) if self.config.tile_px else ():
            pixels = photo.pixels[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width]
            resized, plan = letterbox(pixels, self.largest_side)
            yield _View(photo=photo, tile=tile, pixels=resized, plan=plan)

    def _whole(self, photo: Photograph, side: int) -> _View:
        """The whole photograph, padded as the network was trained: around it, or at its right and bottom in black.

        The latter are the official WM3DR checkpoint's squares, whose middle is the principal point, as a tile's is.
        """
        if not self.pads_at_the_end:
            resized, plan = letterbox(photo.pixels, side)
            return _View(photo=photo, tile=None, pixels=resized, plan=plan)
        height, width = photo.size_hw
        longer = max(height, width)
        square = np.zeros((longer, longer, 3), np.uint8)
        square[:height, :width] = photo.pixels
        resized, plan = letterbox(square, self.largest_side)
        return _View(photo=photo, tile=Tile(left=0, top=0, width=longer, height=longer), pixels=resized, plan=plan)

    def _detect(self, views: list[_View]) -> dict[int, Scene]:
        """Run the network on groups of equally large inputs; scenes by their view's `id`, in the view's camera."""
        groups: dict[tuple[int, int], list[_View]] = defaultdict(list)
        for view in views:
            groups[view.plan.input_hw].append(view)
        scenes: dict[int, Scene] = {}
        for group in groups.values():
            for start in range(0, len(group), self.batch_size):
                batch = group[start : start + self.batch_size]
                images = network_input(np.stack([view.pixels for view in batch]))
                found = self.detector.detect(images, top_k=self.config.max_faces, min_score=self.min_score)
                scenes |= {id(view): self._seen(view, found, row) for row, view in enumerate(batch)}
        return scenes

    def _seen(self, view: _View, found: Detections, row: int) -> Scene:
        """The faces of one input of the network, in its camera."""
        valid = found.valid[row]
        offset = (0, 0) if view.tile is None else (view.tile.left, view.tile.top)
        center_px = view.plan.to_photo(found.center_px[row][valid].numpy()) + np.array(offset)
        faces, std_px = found.parameters[row][valid], None
        if found.points_px is not None and found.point_std_px is not None:
            located = found.points_px[row][valid] - found.points_px.new_tensor(view.plan.input_hw[::-1]) / 2
            spread = found.point_std_px[row][valid]
            std_px = spread[:, :NUM_IBUG68].numpy()
            if self.config.fit_points:
                faces = fit_points(faces, located, spread, self.model)
        return Scene(
            photo=view.photo,
            camera=view.camera,
            model=self.model,
            faces=faces,
            score=found.score[row][valid].numpy(),
            center_px=center_px.astype(np.float32),
            landmarks68_std_px=None if std_px is None else std_px * self._std_factor(view),
        )

    def _std_factor(self, view: _View) -> np.float32:
        """From what the network expects in pixels of its input to calibrated pixels of the photograph."""
        return np.float32(self.defaults.point_std_factor / view.plan.scale)

    def _merged(self, seen: list[tuple[_View, Scene]]) -> Scene:
        """Bring the faces of all inputs of one photograph into its camera."""
        whole_view, whole = seen[0]
        camera = Camera(focal_px=self._focal_px(whole_view), size_hw=whole.photo.size_hw)
        placed = [_in_camera(scene, camera) for _, scene in seen]
        if self.config.tile_px and len(placed) > 1:
            return merge_tiles(placed[0], placed[1:], tile_px=self.config.tile_px)
        return placed[0]

    def _focal_px(self, view: _View) -> float:
        """Focal length of the photograph by the configured choice."""
        if self.config.focal == "network":
            return view.camera.focal_px
        if self.config.focal != "exif":
            return float(self.config.focal)
        if view.photo.exif_focal_px is None:
            raise ValueError(
                f"focal must be known for {view.photo.name}, got no focal length in its EXIF tags; "
                "pass it in pixels, or take the network's"
            )
        return view.photo.exif_focal_px


def _large_faces(scene: Scene) -> Scene:
    """Take the faces that fill much of the photograph."""
    return scene.take(np.flatnonzero(sizes_px(scene) >= _LARGE_SHARE * max(scene.photo.size_hw)))


def _elsewhere(scene: Scene, surer: Scene) -> Scene:
    """Take the faces at whose places another scene has none that is surer."""
    away = np.linalg.norm(box_centers(scene)[:, None] - box_centers(surer), axis=2)
    same = (away < sizes_px(scene)[:, None] / 2) & (surer.score > scene.score[:, None])
    return scene.take(np.flatnonzero(~same.any(1)))


def _is_sure(scene: Scene) -> bool:
    """Whether something was found that needs no second look; without a face head scores are no probabilities."""
    has_face_head = scene.landmarks68_std_px is not None
    return _best_score(scene) >= _SURE_SCORE if has_face_head else len(scene) > 0


def _best_score(scene: Scene) -> float:
    """Score of the surest face; 0 where there is none."""
    return float(scene.score.max()) if len(scene) else 0.0


def _in_camera(scene: Scene, camera: Camera) -> Scene:
    """Move faces to another camera so that their 68 points keep their pixels; nothing moves where both agree."""
    same_center = np.array_equal(scene.camera.principal_px, camera.principal_px)
    if not len(scene) or (scene.camera.focal_px == camera.focal_px and same_center):
        return replace(scene, camera=camera)
    return replace(scene, camera=camera).resolved_from(scene.camera.pinhole)
