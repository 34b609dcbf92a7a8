"""Contact sheets, with or without the labels drawn."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from morphable.files import atomic_path
from morphable_synth.rendering.labels import Sample
from morphable_synth.rendering.renderer import render_scene
from morphable_synth.scene.description import SceneConfig
from morphable_synth.scene.sampling import sample_scene

_MIN_DRAWN_PX = 40.0


def draw_labels(sample: Sample) -> UInt8[np.ndarray, "rows cols 3"]:
    """Return the picture with boxes, points (green seen, red hidden, blue outline) and the skin mask's border."""
    image = sample.image.astype(np.float32)
    border = sample.skin_mask ^ _eroded(sample.skin_mask)
    image[border] = 0.4 * image[border] + 0.6 * np.array([255, 220, 0])
    picture = Image.fromarray(image.astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for k, box in enumerate(sample.box_xyxy_px):
        draw.rectangle(tuple(float(v) for v in box), outline=(255, 255, 255))
        if max(box[2] - box[0], box[3] - box[1]) < _MIN_DRAWN_PX:
            continue
        for (x, y), (cx, cy), seen in zip(
            sample.landmarks68_px[k].tolist(),
            sample.landmarks68_contour_px[k].tolist(),
            sample.landmark_visible[k].tolist(),
            strict=True,
        ):
            draw.ellipse((cx - 2, cy - 2, cx + 2, cy + 2), outline=(60, 140, 255))
            draw.ellipse((x - 1, y - 1, x + 1, y + 1), fill=(0, 255, 60) if seen else (255, 40, 40))
    return np.asarray(picture)


def _eroded(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1)
    return mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]


def contact_sheet(
    config: SceneConfig,
    *,
    seed: int,
    count: int,
    columns: int,
    tile_px: int | None = None,
    labels: bool = False,
    first: int = 0,
) -> UInt8[np.ndarray, "rows cols 3"]:
    """Render scenes side by side.

    Args:
        config: What kind of pictures.
        seed: Number of the series.
        count: Number of scenes.
        columns: Scenes per row.
        tile_px: Size each picture is reduced to; None keeps it.
        labels: Draw the labels.
        first: Index of the first scene.

    Raises:
        ValueError: A number is not positive.
    """
    for name, value in (("count", count), ("columns", columns)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    side = tile_px or config.size_px
    rows = -(-count // columns)
    sheet = np.full((rows * side, columns * side, 3), 255, np.uint8)
    for k in range(count):
        sample = render_scene(sample_scene(seed, first + k, config))
        picture = Image.fromarray(draw_labels(sample) if labels else sample.image)
        tile = np.asarray(picture.resize((side, side), Image.Resampling.LANCZOS))
        row, col = divmod(k, columns)
        sheet[row * side : (row + 1) * side, col * side : (col + 1) * side] = tile
    return sheet


def save_picture(image: UInt8[np.ndarray, "rows cols 3"], path: Path) -> None:
    """Write a picture; an existing file is replaced only when the new one is complete."""
    with atomic_path(path, parents=True) as temporary:
        Image.fromarray(image).save(temporary, "JPEG" if path.suffix in (".jpg", ".jpeg") else "PNG", quality=92)
