"""Batches of stage 2: scenes of several faces, and single faces pasted into one picture (IV-A of the paper)."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from morphable import MorphableModel
from morphable.geometry.warping import flip_matrix, shrink_for, similarity_matrix, transform_points, warp
from morphable_train.configs.stages import TrainConfig
from morphable_train.data.augment import draw_changes, log_between
from morphable_train.data.backgrounds import NUM_DRAWN, Backgrounds
from morphable_train.data.batch import tight_boxes
from morphable_train.data.crop_cache import CropSet
from morphable_train.data.crops import picture_tensor
from morphable_train.data.faces import SourceFaces, source_faces
from morphable_train.data.labels import LabelVersionError
from morphable_train.data.order import ShuffledOrder, seeded
from morphable_train.data.rendered_scenes import RenderedScenes
from morphable_train.data.shards import Record, ShardReader
from morphable_train.data.streams import (
    BACKGROUND_STREAM,
    NO_DATA,
    PASTE_STREAM,
    SCENE_STREAM,
    WEAK_STREAM,
    Loaded,
    Shard,
    draw_spread,
    noise_seed,
)

FILL_COLOR = (0.485, 0.456, 0.406)
"""Outside the picture: ImageNet's mean color, as at inference."""
_WINDOW = 1.7
"""Side of what is pasted around a face, in face sizes."""
_PLACES = 8
"""Places tried for a pasted face before it is left out."""
_MIN_INSIDE_PX = 10.0
"""Faces smaller than this are not taught."""


@dataclass
class Canvas:
    """A picture in the making."""

    picture: Float[Tensor, "4 rows cols"]
    faces: list[SourceFaces]
    moves: list[Tensor]
    flipped: list[bool]
    occupied: list[Tensor]
    """Boxes (left, top, right, bottom) around faces."""
    complete: bool = True
    """Every face is labeled."""
    damaged: bool = False
    """The record could not be read."""

    def add(self, faces: SourceFaces, move: Float[Tensor, "3 3"], flipped: bool) -> None:
        """Note faces whose source pixels moved by `move @ crop_from_source`."""
        self.faces.append(faces)
        self.moves.append(move[None].expand(len(faces), 3, 3))
        self.flipped.extend([flipped] * len(faces))
        self.occupied.extend(_moved_boxes(faces, move))


class _Records:
    """The records of some shards in a shuffled order, as often as one likes."""

    def __init__(self, readers: list[ShardReader], seed: int, stream: int) -> None:
        self._records = [(reader, index) for reader in readers for index in range(len(reader))]
        self._order = ShuffledOrder(max(len(self._records), 1), seed=seed, stream=stream)

    def __len__(self) -> int:
        return len(self._records)

    def read(self, position: int) -> Record:
        """Read the record at a position of the order."""
        reader, index = self._records[int(self._order(position, position + 1))]
        return reader.read(index)


class SceneStream:
    """Stage 2: several faces per picture."""

    def __init__(
        self,
        readers: list[ShardReader] | RenderedScenes,
        photographs: list[ShardReader],
        crops: CropSet | None,
        config: TrainConfig,
        model: MorphableModel,
        shard: Shard,
        backgrounds: Backgrounds | None = None,
    ) -> None:
        if not readers and not photographs and crops is None:
            raise ValueError(NO_DATA)
        seed = config.run.seed
        self._scenes = readers if isinstance(readers, RenderedScenes) else _Records(readers, seed, SCENE_STREAM)
        self._photographs = _Records(photographs, seed, WEAK_STREAM)
        self._has_scenes = isinstance(self._scenes, RenderedScenes) or len(self._scenes) > 0
        self._crops, self._config, self._model, self._shard = crops, config, model, shard
        self._backgrounds = backgrounds
        self._crop_order = ShuffledOrder(len(crops), seed=seed, stream=PASTE_STREAM) if crops else None
        self._pool = ThreadPoolExecutor(max(1, config.data.workers))
        self._reported = False

    def load(self, step: int) -> Loaded:
        """Make this process's pictures of a step."""
        config, total = self._config, self._config.run.batch_size
        rows = range(total)[self._shard.rows(total)]
        changes = draw_changes(seeded(config.run.seed, SCENE_STREAM, step), total, config.augment)
        canvases = list(self._pool.map(lambda row: self._picture(step * total + row), rows))
        counts = [sum(map(len, canvas.faces)) for canvas in canvases]
        faces = SourceFaces.concatenate([part for canvas in canvases for part in canvas.faces])
        pictures = torch.stack([canvas.picture for canvas in canvases])
        return Loaded(
            pictures=(pictures * 255.0 + 0.5).clamp(0, 255).byte(),
            picture_moves=None,
            faces=faces,
            image_index=torch.repeat_interleave(torch.arange(len(canvases)), torch.tensor(counts)),
            input_from_crop=torch.cat([move for canvas in canvases for move in canvas.moves]),
            flipped=torch.tensor([flag for canvas in canvases for flag in canvas.flipped], dtype=torch.bool),
            changes=changes[self._shard.rows(total)],
            spread=torch.cat([draw_spread(config, step * total + row, n) for row, n in zip(rows, counts, strict=True)]),
            complete=torch.tensor([canvas.complete for canvas in canvases]),
            noise_seed=noise_seed(config.run.seed, step, self._shard),
            skipped=sum(canvas.damaged for canvas in canvases),
        )

    def _picture(self, position: int) -> Canvas:
        """One picture; the same for the same position."""
        data = self._config.data
        generator = seeded(self._config.run.seed, PASTE_STREAM, position)
        u = torch.rand(9, generator=generator)
        if self._photographs and bool(u[8] < data.weak_fraction):
            canvas = self._scene(self._photographs, position, u)
            canvas.complete = False
            return canvas
        if self._backgrounds is not None and bool(self._drawn(position)[NUM_DRAWN] < data.empty_fraction):
            return self._empty(position, u)
        pasted = self._crop_order is not None and (not self._has_scenes or bool(u[0] < data.paste_fraction))
        scene = self._has_scenes and (not pasted or bool(u[7] < 0.5))
        canvas = self._scene(self._scenes, position, u) if scene else self._empty(position, u)
        if pasted:
            for index in range(1 + int(u[6] * data.max_faces)):
                self._paste(canvas, position * data.max_faces + index, generator)
        return canvas

    def _empty(self, position: int, u: Tensor) -> Canvas:
        """A picture without faces: a background, or one color if there is none."""
        side = self._config.run.input_px
        picture = torch.zeros(4, side, side)
        if self._backgrounds is None:
            picture[:3] = u[1:4, None, None]
        else:
            picture[:3] = self._backgrounds.draw(self._drawn(position))
        return Canvas(picture, [_no_faces(self._model)], [torch.zeros(0, 3, 3)], [], [])

    def _drawn(self, position: int) -> Tensor:
        """Random numbers that choose a background, and whether it stays empty."""
        generator = seeded(self._config.run.seed, BACKGROUND_STREAM, position)
        return torch.rand(NUM_DRAWN + 1, generator=generator)

    def _scene(self, records: _Records | RenderedScenes, position: int, u: Tensor) -> Canvas:
        """A scene, zoomed and shifted; damaged records give an empty picture, which is counted."""
        try:
            record = records.read(position)
        except LabelVersionError:
            raise
        except ValueError as error:
            self._report(error)
            canvas = self._empty(position, u)
            canvas.damaged = True
            return canvas
        source = picture_tensor(record)
        rows, cols = source.shape[1:]
        side, augment = self._config.run.input_px, self._config.augment
        scale = float(log_between(u[1:2], augment.zoom)) * side / max(rows, cols)
        slack = torch.tensor([cols * scale - side, rows * scale - side]) / 2
        to_px = side / 2 + (u[2:4] * 2 - 1) * slack.abs()
        angle = (u[4:5] * 2 - 1) * augment.angle_deg * torch.pi / 180 / 2
        middle = torch.tensor([[cols / 2, rows / 2]])
        move = similarity_matrix(torch.tensor([scale]), angle, middle, to_px[None])[0]
        flipped = augment.flip and bool(u[5] < 0.5)
        if flipped:
            move = move @ flip_matrix(torch.tensor([float(cols)]))[0]
        canvas = Canvas(warp_filled(source, move, scale, side), [], [], [], [])
        faces = source_faces(record.labels, (rows, cols), self._model)
        canvas.add(faces[_taught(faces, move, side)], move, flipped)
        return canvas

    def _report(self, error: ValueError) -> None:
        """Say what is wrong with the first damaged record; the others are counted."""
        if not self._reported:
            self._reported = True
            sys.stderr.write(f"damaged records give empty pictures, counted as `skipped`; the first: {error}\n")

    def _paste(self, canvas: Canvas, position: int, generator: torch.Generator) -> None:
        """Paste one face where there is room."""
        assert self._crops is not None
        assert self._crop_order is not None
        data, side = self._config.data, self._config.run.input_px
        u = torch.rand(4 + 2 * _PLACES, generator=generator)
        face_px = float(log_between(u[:1], (side / 20, side / 3)))
        half = _WINDOW * face_px / 2
        places = half + u[4:].view(_PLACES, 2) * (side - 2 * half)
        free = [place for place in places if _is_free(place, half, canvas.occupied)]
        if not free:
            return
        item = self._crop_order(position, position + 1)
        scale = face_px / data.crop_face_px
        angle = (u[1:2] * 2 - 1) * self._config.augment.angle_deg * torch.pi / 180
        middle = torch.full((1, 2), data.crop_px / 2)
        move = similarity_matrix(torch.tensor([scale]), angle, middle, free[0][None])[0]
        flipped = self._config.augment.flip and bool(u[2] < 0.5)
        if flipped:
            move = move @ flip_matrix(torch.tensor([float(data.crop_px)]))[0]
        left, top = (free[0] - half).floor().clamp(min=0).long().tolist()
        span = int(2 * half)
        window = torch.tensor([[1.0, 0.0, -left], [0.0, 1.0, -top], [0.0, 0.0, 1.0]])
        crop = self._crops.pictures(item)[0].float() / 255.0
        small, remaining = shrink_for(crop, scale)
        crop_from_small = torch.diag(torch.tensor([remaining / scale, remaining / scale, 1.0]))
        patch = warp(small[None], (window @ move @ crop_from_small)[None], (span, span))[0]
        canvas.picture[:, top : top + span, left : left + span] = patch
        canvas.add(self._crops.faces[item], move, flipped)


def _taught(faces: SourceFaces, move: Tensor, side: int) -> Tensor:
    """Faces whose center lies in the input and that are not tiny."""
    low, high = _moved_boxes(faces, move).split(2, dim=1)
    center = (low + high) / 2
    inside = ((center >= 0) & (center <= side)).all(1)
    return inside & ((high - low).clamp(min=0).prod(1).sqrt() >= _MIN_INSIDE_PX)


def _moved_boxes(faces: SourceFaces, move: Tensor) -> Float[Tensor, "faces 4"]:
    """Boxes of the annotated points where `move @ crop_from_source` puts them."""
    points = transform_points(faces.landmarks68_px, move @ faces.crop_from_source)
    return tight_boxes(points, faces.landmark_weight > 0)


def warp_filled(source: Tensor, move: Tensor, scale: float, side: int) -> Tensor:
    """Resample a scene; outside it is the fill color, without skin."""
    fill = torch.tensor([*FILL_COLOR, 0.0])[:, None, None]
    small, remaining = shrink_for(source - fill, scale)
    source_from_small = torch.diag(torch.tensor([remaining / scale, remaining / scale, 1.0]))
    return warp(small[None], (move @ source_from_small)[None], (side, side), padding="zeros")[0] + fill


def _is_free(place: Tensor, half: float, occupied: list[Tensor]) -> bool:
    """Whether a window touches no face's box."""
    low, high = place - half, place + half
    return all(bool((high < box[:2]).any() or (low > box[2:]).any()) for box in occupied)


def _no_faces(model: MorphableModel) -> SourceFaces:
    """An empty list of faces of the right widths."""
    shapes = {
        "landmarks68_px": (68, 2),
        "landmark_weight": (68,),
        "identity": (model.num_identity,),
        "expression": (model.num_expression,),
        "rotation_head": (3, 3),
        "translation_m": (3,),
        "focal_px": (),
        "width_height_px": (2,),
        "crop_from_source": (3, 3),
    }
    flags = {name: torch.zeros(0, dtype=torch.bool) for name in ("contour", "exact")}
    return SourceFaces(
        **flags, **{f.name: torch.zeros(0, *shapes[f.name]) for f in fields(SourceFaces) if f.name in shapes}
    )
