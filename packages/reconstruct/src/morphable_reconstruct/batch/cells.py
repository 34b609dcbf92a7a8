"""Faces decoded from the cells around each peak (WM3DR, Fig. 10): how much neighboring cells agree."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from morphable.files import write_bytes
from morphable.geometry import GLOBAL_FOCAL_PX, camera_from_model
from morphable_detector_head.engines import TorchDetector
from morphable_detector_head.letterbox import letterbox, network_input
from morphable_reconstruct.drawing.overlay import draw_landmarks, draw_lines, stroke
from morphable_reconstruct.exports.pictures import encode
from morphable_reconstruct.faces.camera import Camera
from morphable_reconstruct.faces.landmarks import landmark_points
from morphable_reconstruct.photographs.naming import RESULT_SUFFIXES
from morphable_reconstruct.photographs.reading import ImageSource
from morphable_reconstruct.photographs.sources import Source
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.scene import Scene

_STRIDE_PX = 8
_NEIGHBOR_COLOR = (255, 90, 90)


def landmarks_around_peaks(
    reconstructor: Reconstructor, image: ImageSource, *, radius: int = 1
) -> list[Float[np.ndarray, "cells 68 2"]]:
    """Decode the 68 static points, in photograph pixels, from every cell around each peak.

    Args:
        reconstructor: With the torch engine; cells beside a peak are not part of exported graphs.
        image: One picture.
        radius: Cells on each side of the peak: 1 gives 3 x 3.

    Returns:
        One array per face, row by row; the peak is the middle one. Cells outside the picture are left out.

    Raises:
        ValueError: The engine is another one.
    """
    detector = reconstructor.detector
    if not isinstance(detector, TorchDetector):
        raise ValueError(f"engine must be torch to look at cells, got {type(detector).__name__}; set engine=torch")
    photo = reconstructor.load(image)
    pixels, plan = letterbox(photo.pixels, reconstructor.input_side(photo))
    batch = network_input(pixels[None])
    rows, cols = plan.input_hw[0] // _STRIDE_PX, plan.input_hw[1] // _STRIDE_PX
    found = detector.detect(batch, top_k=reconstructor.config.max_faces, min_score=reconstructor.min_score)
    camera = Camera(focal_px=GLOBAL_FOCAL_PX, size_hw=plan.input_hw)
    results = []
    for center_px in found.center_px[0][found.valid[0]].tolist():
        cells = torch.tensor([list(_around(center_px, rows, cols, radius))], device=detector.device)
        with torch.inference_mode():
            face = (
                detector.network(batch.to(detector.device), cells)
                .parameters[0]
                .map(lambda tensor: tensor.cpu().clone())
            )
        points = landmark_points(reconstructor.model).decode_shape(face.identity, face.expression)
        moved = camera_from_model(points, face.rotation_head, face.translation_m)
        results.append(plan.to_photo(camera.project(moved.numpy())))
    return results


def draw_cells(
    reconstructor: Reconstructor, image: ImageSource, *, radius: int = 1
) -> UInt8[np.ndarray, "rows cols 3"]:
    """Draw the faces of neighboring cells in red below the faces of the peaks."""
    photo = reconstructor.load(image)
    picture = Image.fromarray(photo.pixels)
    draw = ImageDraw.Draw(picture)
    width = stroke(photo.size_hw)
    for cells in landmarks_around_peaks(reconstructor, photo.pixels, radius=radius):
        for points in cells:
            draw_lines(draw, points, color=_NEIGHBOR_COLOR, stroke_px=width)
        draw_landmarks(draw, cells[len(cells) // 2], stroke_px=width)
    return np.asarray(picture)


def cells_writer(reconstructor: Reconstructor, folder: Path) -> Callable[[Source, Scene], tuple[str, ...]]:
    """Return what writes `draw_cells` of a scene as `folder/stem.cells.png` and gives back that file's name."""

    def write(source: Source, scene: Scene) -> tuple[str, ...]:
        name = source.stem + RESULT_SUFFIXES["cells"]
        write_bytes(folder / name, encode(Image.fromarray(draw_cells(reconstructor, scene.image)), "PNG"))
        return (name,)

    return write


def _around(center_px: list[float], rows: int, cols: int, radius: int) -> Iterator[int]:
    """Row-major cells around a cell's center, those outside left out."""
    col, row = (int(value // _STRIDE_PX) for value in center_px)
    for r in range(max(0, row - radius), min(rows, row + radius + 1)):
        for c in range(max(0, col - radius), min(cols, col + radius + 1)):
            yield r * cols + c
