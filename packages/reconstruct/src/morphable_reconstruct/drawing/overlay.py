"""Drawings over the photograph: faces, boxes, landmarks."""

from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image, ImageDraw

from morphable.landmarks import CLOSED_LINES, LEFT_EYE, NUM_IBUG68, NUM_JAW, OPEN_LINES, RIGHT_EYE
from morphable_detector_head.resizing import resized
from morphable_reconstruct.drawing.layers import FaceShare, lay_faces
from morphable_reconstruct.drawing.parsing import parse_faces
from morphable_reconstruct.faces.rows import Face, SceneRows

OPAQUE = 255
BOX_COLOR = (255, 214, 10)
POINT_COLOR = (52, 255, 120)
JAW_COLOR = (80, 200, 255)
IRIS_COLOR = (255, 90, 200)
SURE, UNSURE = 0.04, 0.12
"""Standard deviations of a point, in units of the longer side of the face's box, up to which its lines are drawn in
full, and from which on they are as faint as they get."""
FAINTEST = 0.2
"""Opacity of the lines of points whose place is unknown."""
_LINES = (*((line, False) for line in OPEN_LINES), *((line, True) for line in CLOSED_LINES))
"""Runs of the 68 points that are joined, and whether they close."""
_HIDDEN_PARTS = frozenset({"scalp", "neck", "ears"})
"""Parts of the model that the overlay leaves out: the photograph shows hair and collars there."""
_REDUCING_GAP = 3.0
_PIXELS_PER_STROKE = 700.0
"""One pixel of line width per this many pixels of the picture's longer side."""


def draw_overlay(
    rows: SceneRows,
    *,
    opacity: float = 0.75,
    boxes: bool = True,
    landmarks: bool = True,
    parse: bool = True,
    max_side_px: int = 2048,
) -> UInt8[np.ndarray, "rows cols 3"]:
    """Lay the lit faces, their boxes with scores and their contour landmarks over the photograph.

    Args:
        rows: The faces.
        opacity: Opacity of the faces, 0 to 1; 0 leaves them out.
        boxes: Draw boxes, scores and track ids.
        landmarks: Draw the 68 points with the jaw on the visible outline.
        parse: Don't paint over hair, hands and glasses that the parsing network finds before a face.
        max_side_px: Larger photographs are shrunk to this.
    """
    pixels, ratio = shrunk(rows, max_side_px)
    size_hw = (pixels.shape[0], pixels.shape[1])
    if opacity > 0.0 and len(rows):
        share = _of_face(rows, size_hw) if parse else None
        pixels = lay_faces(rows, pixels, opacity=opacity, hidden_parts=_HIDDEN_PARTS, share=share)
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture, "RGBA")  # a mode that blends
    for face in rows:
        if landmarks:
            points = face.landmarks68_contour_px * ratio
            draw_landmarks(draw, points, stroke_px=stroke(size_hw), opacity=point_opacity(face))
            draw_irises(draw, face, ratio, stroke_px=stroke(size_hw))
        if boxes:
            box = face.box_xyxy_px.reshape(2, 2) * ratio
            label = f"{face.score:.2f}" if face.track_id is None else f"#{face.track_id} {face.score:.2f}"
            draw_box(draw, box, label, stroke_px=stroke(size_hw))
    return np.asarray(picture)


def shrunk(rows: SceneRows, max_side_px: int) -> tuple[UInt8[np.ndarray, "rows cols 3"], Float[np.ndarray, "2"]]:
    """Return the photograph, shrunk if its longer side is above a limit, and pixels of it per pixel, x and y."""
    height, width = rows.camera.size_hw
    scale = min(1.0, max_side_px / max(height, width))
    size_hw = (max(1, round(height * scale)), max(1, round(width * scale)))
    pixels = rows.photo.pixels
    if scale < 1.0:
        pixels = resized(pixels, (size_hw[1], size_hw[0]), reducing_gap=_REDUCING_GAP)
    return pixels, np.array([size_hw[1] / width, size_hw[0] / height])


def _of_face(rows: SceneRows, size_hw: tuple[int, int]) -> FaceShare:
    """How far the photograph shows the face itself at pixels of the overlay, not hair, hands or glasses before it."""
    shown = parse_faces(rows)
    scale = np.array([rows.camera.size_hw[1] / size_hw[1], rows.camera.size_hw[0] / size_hw[0]])

    def share(
        face: Int[np.ndarray, " pixels"], row: Int[np.ndarray, " pixels"], col: Int[np.ndarray, " pixels"]
    ) -> Float[np.ndarray, " pixels"]:
        found = np.ones(len(face), np.float32)
        px = (np.stack([col, row], axis=1) + 0.5) * scale
        for index, parsed in enumerate(shown):
            of_this = face == index
            if parsed is not None and of_this.any():
                found[of_this] = parsed.face_at(torch.from_numpy(px[of_this]).float()).numpy()
        return found

    return share


def point_opacity(face: Face) -> Float[np.ndarray, "68"]:
    """Return how opaque the lines at each of the 68 points are: faint where the network is unsure of the point."""
    if face.landmarks68_std_px is None:
        return np.ones(NUM_IBUG68)
    corners = face.box_xyxy_px.reshape(2, 2)
    relative = face.landmarks68_std_px / max(float((corners[1] - corners[0]).max()), 1e-6)
    return np.interp(relative, [SURE, UNSURE], [1.0, FAINTEST])


def draw_landmarks(
    draw: ImageDraw.ImageDraw,
    points: Float[np.ndarray, "68 2"],
    *,
    stroke_px: int,
    opacity: Float[np.ndarray, "68"] | None = None,
) -> None:
    """Join the 68 points to the features they outline; the jaw has its own color.

    Args:
        draw: A drawing of mode RGBA where there are opacities.
        points: In pixels of the picture that is drawn on.
        stroke_px: Width of the lines.
        opacity: Of each point, 0 to 1; a line between two points has the mean of theirs.
    """
    opacity = np.ones(NUM_IBUG68) if opacity is None else opacity
    for run, closed in _LINES:
        ends = [*pairwise(run), *[(run[-1], run[0])] * closed]
        color = JAW_COLOR if len(run) == NUM_JAW else POINT_COLOR
        for first, second in ends:
            alpha = round(OPAQUE * float(opacity[first] + opacity[second]) / 2)
            line = (*points[first].tolist(), *points[second].tolist())
            draw.line(line, fill=color if alpha == OPAQUE else (*color, alpha), width=stroke_px)


def draw_irises(draw: ImageDraw.ImageDraw, face: Face, ratio: Float[np.ndarray, "2"], *, stroke_px: int) -> None:
    """Mark the centers of the irises that lie between the lids.

    Args:
        draw: The drawing.
        face: The face.
        ratio: Pixels of the drawing per pixel of the photograph, x and y.
        stroke_px: Radius of the marks.
    """
    for name, points in (("right", RIGHT_EYE), ("left", LEFT_EYE)):
        eye = None if face.eyes is None else face.eyes[name]
        if eye is not None and _inside(eye.iris_px, face.landmarks68_px[list(points)]):
            x, y = eye.iris_px * ratio
            draw.ellipse((x - stroke_px, y - stroke_px, x + stroke_px, y + stroke_px), fill=IRIS_COLOR)


def _inside(point: Float[np.ndarray, "2"], corners: Float[np.ndarray, "corners 2"]) -> bool:
    """Whether a point lies in a polygon: a ray from it crosses an odd number of sides."""
    (x0, y0), (x1, y1) = corners.T, np.roll(corners, -1, axis=0).T
    crosses = (y0 > point[1]) != (y1 > point[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        at = x0 + (point[1] - y0) / (y1 - y0) * (x1 - x0)
    return bool((crosses & (at > point[0])).sum() % 2)


def draw_box(draw: ImageDraw.ImageDraw, corners: Float[np.ndarray, "2 2"], label: str, *, stroke_px: int) -> None:
    """Draw a rectangle with a label above its left corner."""
    left, top, right, bottom = (float(value) for value in corners.reshape(4))
    draw.rectangle((left, top, max(left, right), max(top, bottom)), outline=BOX_COLOR, width=stroke_px)
    size = 11 * stroke_px
    draw.text((left, max(0.0, top - 1.3 * size)), label, fill=BOX_COLOR, font_size=size)


def stroke(size_hw: tuple[int, int]) -> int:
    """Line width for a picture of this size."""
    return max(1, round(max(size_hw) / _PIXELS_PER_STROKE))
