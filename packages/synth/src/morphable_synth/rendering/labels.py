"""Exact labels of a rendered scene."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from morphable_synth.assets.library import Library
from morphable_synth.assets.parts import FIRST_COVERING_PART, part
from morphable_synth.people.baking import albedo_label
from morphable_synth.people.figure import Figure
from morphable_synth.rendering.soup import Stage
from morphable_synth.scene.camera import project
from morphable_synth.scene.description import Person, Scene

_VISIBLE_TOLERANCE_M = 0.006
"""A landmark counts as seen if nothing lies farther than this before it."""
_MIN_SHOWN_PX = 8
"""Faces with less visible skin are not labeled."""


@dataclass(frozen=True)
class PixelLabels:
    """What the rasterizer found at pixel centers."""

    inverse_depth: Float[np.ndarray, "rows cols"]
    owner: Int[np.ndarray, "rows cols"]
    """Nearest opaque triangle; -1 on the background."""
    seen: Int[np.ndarray, "rows cols"]
    """The same, but hair, beards and glasses that cover it by half or more instead of it."""
    stage: Stage


@dataclass(frozen=True)
class Sample:
    """A picture with its labels. One row per labeled face, nearest first; frames, units: docs/conventions.md."""

    image: UInt8[np.ndarray, "rows cols 3"]
    focal_px: float
    identity: Float[np.ndarray, "faces id"]
    expression: Float[np.ndarray, "faces expr"]
    albedo: Float[np.ndarray, "faces alb"]
    albedo_valid: Bool[np.ndarray, " faces"]
    """True for every face: `albedo` is drawn, or comes nearest to what is drawn (`morphable_synth.people.baking`)."""
    rotation_head: Float[np.ndarray, "faces 3 3"]
    translation_m: Float[np.ndarray, "faces 3"]
    landmarks68_px: Float[np.ndarray, "faces 68 2"]
    """Static points (`ibug68_3d`): the jaw line runs on the surface, hidden or not."""
    landmarks68_contour_px: Float[np.ndarray, "faces 68 2"]
    """Jaw points on the visible outline (`ibug68_contour`)."""
    landmarks68_cam_m: Float[np.ndarray, "faces 68 3"]
    landmark_visible: Bool[np.ndarray, "faces 68"]
    """Whether each static point is in the picture with nothing before it."""
    box_xyxy_px: Float[np.ndarray, "faces 4"]
    """Tight box of the 68 static points."""
    center_px: Float[np.ndarray, "faces 2"]
    """Center of that box."""
    visible_share: Float[np.ndarray, " faces"]
    """Share of the face's skin, as seen alone from the camera, that shows in the picture."""
    face_index: Int[np.ndarray, "rows cols"]
    """Row of the face whose person a pixel shows (hair and clothes included); -1 elsewhere."""
    part: UInt8[np.ndarray, "rows cols"]
    """Index into `PART_NAMES`."""
    skin_mask: Bool[np.ndarray, "rows cols"]
    """Visible skin of labeled faces (the model's region `skin`)."""
    depth_m: Float[np.ndarray, "rows cols"]
    """Depth of the nearest opaque surface along the optical axis; 0 on the background."""


FACE_LABELS = (
    "identity", "expression", "albedo", "albedo_valid", "rotation_head", "translation_m", "landmarks68_px",
    "landmarks68_contour_px", "landmarks68_cam_m", "landmark_visible", "box_xyxy_px", "center_px", "visible_share",
)  # fmt: skip
"""Names of the arrays of `Sample` with one row per face."""
PIXEL_LABELS = ("face_index", "part", "skin_mask", "depth_m")
"""Names of the arrays of `Sample` with one value per pixel."""


def face_labels(
    library: Library, scene: Scene, figures: list[Figure], pixels: PixelLabels, image: np.ndarray
) -> Sample:
    """Gather the labels of the faces that show enough."""
    size, focal_px = scene.config.size_px, scene.focal_px
    static, contour = _landmarks(library, figures)
    static_px = project(static, size, focal_px)
    skin, part_map, owner_face = _skin_pixels(library, pixels)
    shown = np.array([((owner_face == k) & skin).sum() for k in range(len(figures))], np.float32)
    alone = [max(_skin_alone(library, project(figure.face_cam, size, focal_px)), 1.0) for figure in figures]
    share = shown / np.array(alone, np.float32)
    box = np.concatenate([static_px.min(1), static_px.max(1)], -1)
    center = (box[:, :2] + box[:, 2:]) / 2
    inside = ((center > 0) & (center < size)).all(1)
    kept = np.flatnonzero((share >= scene.config.min_visible) & inside & (shown >= _MIN_SHOWN_PX))
    row_of = np.full(len(figures) + 1, -1, np.int32)
    row_of[kept] = np.arange(len(kept))
    return Sample(
        image=image,
        focal_px=focal_px,
        **_person_labels(library, [scene.people[k] for k in kept]),
        landmarks68_px=static_px[kept],
        landmarks68_contour_px=project(contour, size, focal_px)[kept],
        landmarks68_cam_m=static[kept],
        landmark_visible=_visible(static, static_px, pixels)[kept],
        box_xyxy_px=box[kept],
        center_px=center[kept],
        visible_share=share[kept],
        face_index=row_of[owner_face],
        part=part_map.astype(np.uint8),
        skin_mask=skin & (row_of[owner_face] >= 0),
        depth_m=np.where(pixels.owner >= 0, 1 / np.maximum(pixels.inverse_depth, 1e-6), 0).astype(np.float32),
    )


def _landmarks(library: Library, figures: list[Figure]) -> tuple[np.ndarray, np.ndarray]:
    """The 68 points of each face in the camera frame: on the surface, and on the outline."""
    if not figures:
        return np.zeros((0, 68, 3), np.float32), np.zeros((0, 68, 3), np.float32)
    faces = torch.from_numpy(np.stack([figure.face_cam for figure in figures]))
    with torch.no_grad():
        return library.model.landmarks(faces).numpy(), library.model.contour_landmarks(faces).numpy()


def _person_labels(library: Library, people: list[Person]) -> dict[str, Any]:
    """What is labeled as it was drawn."""
    model = library.model
    widths = {
        "identity": (model.num_identity,),
        "expression": (model.num_expression,),
        "albedo": (model.num_albedo,),
        "rotation_head": (3, 3),
        "translation_m": (3,),
    }
    rows = [{**vars(person), "albedo": albedo_label(library, person)} for person in people]
    labels = {
        name: np.array([row[name] for row in rows], np.float32).reshape(len(people), *width)
        for name, width in widths.items()
    }
    return {**labels, "albedo_valid": np.ones(len(people), bool)}


def _skin_pixels(library: Library, pixels: PixelLabels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Visible face skin, part, and person of each pixel."""
    soup = pixels.stage.soup
    shown = library.skin_triangle[library.head_kept]
    is_skin = np.zeros(len(soup.triangles) + 1, bool)
    for start in pixels.stage.head_start:
        is_skin[start : start + len(shown)] = shown
    parts = np.append(soup.part, part("background"))
    faces = np.append(soup.face, -1)
    return is_skin[pixels.seen], parts[pixels.seen], faces[pixels.seen]


def _skin_alone(library: Library, px: np.ndarray) -> float:
    """Pixels of a face's skin that would show, inside or outside the picture, if nothing else were there."""
    a, b, c = (px[corner] for corner in library.skin_corners)
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    return float(np.maximum(-area, 0).sum() / 2)  # y points down: front-facing triangles run clockwise


def _visible(points_cam: np.ndarray, points_px: np.ndarray, pixels: PixelLabels) -> np.ndarray:
    rows, cols = pixels.owner.shape
    col, row = np.floor(points_px[..., 0]).astype(int), np.floor(points_px[..., 1]).astype(int)
    inside = (col >= 0) & (col < cols) & (row >= 0) & (row < rows)
    col, row = np.clip(col, 0, cols - 1), np.clip(row, 0, rows - 1)
    nearest = 1 / np.maximum(pixels.inverse_depth[row, col], 1e-6)
    parts = np.append(pixels.stage.soup.part, 0)[pixels.seen[row, col]]
    covered = (pixels.seen[row, col] != pixels.owner[row, col]) & (parts >= FIRST_COVERING_PART)
    return np.asarray(inside & (points_cam[..., 2] < nearest + _VISIBLE_TOLERANCE_M) & ~covered)
