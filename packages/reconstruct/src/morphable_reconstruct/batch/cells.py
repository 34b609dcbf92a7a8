"""Faces decoded from the cells around each peak (WM3DR, Fig. 10): how much neighboring cells agree."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image, ImageDraw

from morphable.files import write_bytes
from morphable.geometry import GLOBAL_FOCAL_PX
from morphable_detector_head.decode import STRIDE_PX
from morphable_detector_head.engines import TorchDetector
from morphable_detector_head.letterbox import letterbox, network_input
from morphable_reconstruct.drawing.colors import drawn_albedo, to_bytes
from morphable_reconstruct.drawing.overlay import BOX_COLOR
from morphable_reconstruct.exports.layout import mesh_triangles
from morphable_reconstruct.exports.pictures import encode
from morphable_reconstruct.faces.camera import Camera
from morphable_reconstruct.photographs.naming import RESULT_SUFFIXES
from morphable_reconstruct.photographs.reading import ImageSource
from morphable_reconstruct.photographs.sources import Source
from morphable_reconstruct.photographs.window import window
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.scene import Scene
from morphable_render import render_faces, shade_sh, vertex_normals
from morphable_render.lighting import lighting_normals

TILE_PX = 128
"""Side of the picture of one cell's face."""
_MARGIN = 1.7
"""Side of a tile's window, as a multiple of the longer side of the box of the 68 points of the peak's face."""
_RAISED = 0.12
"""The window's center lies above that of the box by this share of the window: there the forehead is."""
_GAP_PX = 16
_TEXT_PX = 14
_MAX_OVERSAMPLING = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class PeakCells:
    """What the cells around one peak of the center map decode to."""

    scene: Scene
    """A face per cell, row by row, as the single-shot network reads it there; `center_px` are the cells' centers,
    `score` the center map's values."""
    place: Int[np.ndarray, "cells 2"]
    """Row and column of each cell, counted from the peak's."""

    @property
    def peak(self) -> int:
        """Index of the peak's own face."""
        return int(np.abs(self.place).sum(1).argmin())


def cells_around_peaks(reconstructor: Reconstructor, image: ImageSource, *, radius: int = 1) -> list[PeakCells]:
    """Decode the face of every cell around each peak of the center map.

    Args:
        reconstructor: With the torch engine; cells beside a peak are not part of exported graphs.
        image: One picture.
        radius: Cells on each side of the peak: 1 gives 3 x 3, 2 gives 5 x 5. Cells outside the picture are left out.

    Returns:
        The cells of each face that is found, best score first.

    Raises:
        ValueError: The engine is another one, or the radius is negative.
    """
    detector = reconstructor.detector
    if not isinstance(detector, TorchDetector):
        raise ValueError(f"engine must be torch to look at cells, got {type(detector).__name__}; set engine=torch")
    if radius < 0:
        raise ValueError(f"radius must be 0 or more cells, got {radius}")
    photo = reconstructor.load(image)
    pixels, plan = letterbox(photo.pixels, reconstructor.input_side(photo))
    batch = network_input(pixels[None])
    found = detector.detect(batch, top_k=reconstructor.config.max_faces, min_score=reconstructor.min_score)
    peaks = (found.center_px[0][found.valid[0]].numpy() // STRIDE_PX).astype(np.int64)[:, ::-1]
    if not len(peaks):
        return []
    grid_hw = (plan.input_hw[0] // STRIDE_PX, plan.input_hw[1] // STRIDE_PX)
    places = [_places(peak, grid_hw, radius) for peak in peaks]
    row_col = np.concatenate([peak + place for peak, place in zip(peaks, places, strict=True)])
    cell = torch.from_numpy(row_col[:, 0] * grid_hw[1] + row_col[:, 1])
    with torch.inference_mode():
        seen = detector.network(batch.to(detector.device), cell[None].to(detector.device))
    faces = seen.parameters[0].map(lambda tensor: tensor.float().cpu().clone())
    heat = seen.center_logits[0].float().sigmoid().flatten().cpu()[cell].numpy()
    center_px = plan.to_photo((row_col[:, ::-1] + 0.5) * STRIDE_PX).astype(np.float32)
    everything = Scene(
        photo=photo,
        camera=Camera(focal_px=GLOBAL_FOCAL_PX / plan.scale, size_hw=photo.size_hw),
        model=reconstructor.model,
        faces=faces,
        score=heat,
        center_px=center_px,
    )
    ends = np.cumsum([len(place) for place in places])
    return [
        PeakCells(scene=everything.take(np.arange(end - len(place), end)), place=place)
        for place, end in zip(places, ends, strict=True)
    ]


def draw_cells(
    reconstructor: Reconstructor, image: ImageSource, *, radius: int = 1
) -> UInt8[np.ndarray, "rows cols 3"]:
    """Draw the lit face of every cell around each peak over the photograph: a block of tiles per face.

    Tiles lie as their cells do, and all of a block show the same part of the photograph. The peak's tile is framed;
    each tile tells the center map's value at its cell. Cells outside the picture stay white. A picture without a face
    is returned as it is.

    Args:
        reconstructor: As for `cells_around_peaks`.
        image: One picture.
        radius: Cells on each side of the peak.
    """
    blocks = [_draw_block(cells, radius) for cells in cells_around_peaks(reconstructor, image, radius=radius)]
    if not blocks:
        return reconstructor.load(image).pixels
    across = math.ceil(math.sqrt(len(blocks)))
    down = math.ceil(len(blocks) / across)
    step = blocks[0].shape[0] + _GAP_PX
    sheet = np.full((down * step - _GAP_PX, across * step - _GAP_PX, 3), 255, np.uint8)
    for index, block in enumerate(blocks):
        row, col = index // across * step, index % across * step
        sheet[row : row + len(block), col : col + len(block)] = block
    return sheet


def cells_writer(reconstructor: Reconstructor, folder: Path, radius: int) -> Callable[[Source, Scene], tuple[str, ...]]:
    """Return what writes `draw_cells` of a scene as `folder/stem.cells.png` and gives back that file's name."""

    def write(source: Source, scene: Scene) -> tuple[str, ...]:
        name = source.stem + RESULT_SUFFIXES["cells"]
        drawn = draw_cells(reconstructor, scene.image, radius=radius)
        write_bytes(folder / name, encode(Image.fromarray(drawn), "PNG"))
        return (name,)

    return write


def _places(peak: Int[np.ndarray, "2"], grid_hw: tuple[int, int], radius: int) -> Int[np.ndarray, "cells 2"]:
    """Rows and columns around a cell, counted from it, row by row; those outside the grid are left out."""
    reach = np.arange(-radius, radius + 1)
    around = np.stack(np.meshgrid(reach, reach, indexing="ij"), axis=-1).reshape(-1, 2)
    cell = peak + around
    return around[((cell >= 0) & (cell < np.array(grid_hw))).all(1)]


def _draw_block(cells: PeakCells, radius: int) -> UInt8[np.ndarray, "rows cols 3"]:
    """The tiles of one peak."""
    scene = cells.scene
    corners = scene[cells.peak].box_xyxy_px.reshape(2, 2).astype(np.float64)
    side_px = max(1.0, _MARGIN * float((corners[1] - corners[0]).max()))
    center_px = corners.mean(0) - np.array([0.0, _RAISED * side_px])
    behind = torch.from_numpy(_cut(scene.image, center_px, side_px)).float() / 255.0
    focal_px = scene.camera.focal_px * TILE_PX / side_px
    shift = torch.from_numpy((scene.camera.principal_px - center_px) / scene.camera.focal_px).float()
    block = np.full(((2 * radius + 1) * TILE_PX, (2 * radius + 1) * TILE_PX, 3), 255, np.uint8)
    kept = torch.from_numpy(mesh_triangles(scene.model, "face"))
    vertices, triangles = scene.vertices_cam_m, scene.model.triangles
    with torch.no_grad():
        normals = lighting_normals(vertex_normals(vertices, triangles))
        colors = shade_sh(drawn_albedo(scene), normals, scene.faces.illumination)
        # the renderer's principal point is its middle: a shear by shares of the depth moves what is seen there
        sheared = torch.cat([vertices[..., :2] + vertices[..., 2:] * shift, vertices[..., 2:]], dim=-1)
    for index, (row, col) in enumerate((cells.place + radius).tolist()):
        with torch.no_grad():
            image = render_faces(
                sheared[index : index + 1],
                triangles[kept],
                colors[index : index + 1],
                focal_px=focal_px,
                background=behind,
            )
        tile = Image.fromarray(to_bytes(image.rgb.clamp(0.0, 1.0).numpy()))
        draw = ImageDraw.Draw(tile)
        draw.text((4, 2), f"{scene.score[index]:.2f}", fill=BOX_COLOR, font_size=_TEXT_PX)
        if index == cells.peak:
            draw.rectangle((0, 0, TILE_PX - 1, TILE_PX - 1), outline=BOX_COLOR, width=2)
        top, left = row * TILE_PX, col * TILE_PX
        block[top : top + TILE_PX, left : left + TILE_PX] = np.asarray(tile)
    return block


def _cut(
    pixels: UInt8[np.ndarray, "_ _ 3"], center_px: Float[np.ndarray, "2"], side_px: float
) -> UInt8[np.ndarray, "tile tile 3"]:
    """A square of a photograph as a tile; black beyond its border."""
    low, high = center_px - side_px / 2, center_px + side_px / 2
    part = window(pixels, low, high)
    factor = min(_MAX_OVERSAMPLING, max(1, math.ceil(side_px / part.factor / TILE_PX)))
    left, top = (low - part.corner_px) / part.factor
    right, bottom = (high - part.corner_px) / part.factor
    drawn = Image.fromarray(part.pixels).transform(
        (TILE_PX * factor, TILE_PX * factor),
        Image.Transform.EXTENT,
        (left, top, right, bottom),
        Image.Resampling.BILINEAR,
    )
    return np.array(drawn.reduce(factor))
