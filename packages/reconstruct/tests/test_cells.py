"""Faces of neighboring cells."""

import numpy as np
import pytest
from stand_ins import DotDetector, random_detector

from morphable_detector_head.engines import TorchDetector
from morphable_reconstruct.batch.cells import TILE_PX, cells_around_peaks, draw_cells
from morphable_reconstruct.batch.options import RunConfig
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (200, 260, 3), dtype=np.uint8)


@pytest.fixture
def reconstructor(model):
    config = ReconstructConfig(size_px=256, min_score=0.6, max_faces=4, colors="network")
    return Reconstructor(TorchDetector(random_detector(), "cpu"), model, config=config)


@pytest.mark.parametrize("radius", [0, 1, 3])
def test_the_peaks_cell_gives_the_face_and_its_neighbors_lie_around_it(reconstructor, picture, radius):
    scene = reconstructor(picture)
    found = cells_around_peaks(reconstructor, picture, radius=radius)
    assert len(found) == len(scene) > 1
    full = 0
    for cells, face in zip(found, scene, strict=True):
        own = cells.scene[cells.peak]
        np.testing.assert_allclose(own.landmarks68_px, face.landmarks68_px, atol=1e-2)
        np.testing.assert_array_equal(cells.place[cells.peak], 0)
        step_px = 8 * cells.scene.camera.focal_px / 1015.0
        moved = (cells.scene.center_px - own.scene.center_px[cells.peak])[:, ::-1] / step_px
        np.testing.assert_allclose(moved, cells.place, atol=1e-3)
        full += len(cells.place) == (2 * radius + 1) ** 2
    assert full


def test_the_sheet_shows_the_face_of_each_cell(reconstructor, picture):
    peaks = len(cells_around_peaks(reconstructor, picture))
    drawn = draw_cells(reconstructor, picture, radius=2)
    across = int(np.ceil(np.sqrt(peaks)))
    assert drawn.shape[1] == across * (5 * TILE_PX + 16) - 16
    single = draw_cells(reconstructor, picture, radius=0)
    middle = drawn[2 * TILE_PX : 3 * TILE_PX, 2 * TILE_PX : 3 * TILE_PX]
    # the peak's own tile does not depend on the others, but for the last bit of a byte
    np.testing.assert_allclose(middle.astype(int), single[:TILE_PX, :TILE_PX], atol=1)
    beside = drawn[2 * TILE_PX : 3 * TILE_PX, 3 * TILE_PX : 4 * TILE_PX]
    other = np.abs(beside[20:-8, 8:-8].astype(int) - middle[20:-8, 8:-8])
    assert other.max() > 10  # another cell, another face


def test_a_tile_shows_the_face_where_the_picture_shows_it(reconstructor):
    """Over a white picture, the pixels of the peak's tile that are not white lie where the overlay's do."""
    white = np.full((200, 260, 3), 255, np.uint8)
    found = cells_around_peaks(reconstructor, white, radius=0)
    if not found:
        pytest.skip("the random network finds no face in a white picture")
    face = found[0].scene[0]
    tile = draw_cells(reconstructor, white, radius=0)[:TILE_PX, :TILE_PX]
    low, high = face.box_xyxy_px.reshape(2, 2)
    side = 1.7 * (high - low).max()
    corner = (low + high) / 2 - [side / 2, side / 2 + 0.12 * side]
    rows, cols = np.mgrid[20 : TILE_PX - 4, 4 : TILE_PX - 4]  # without the number and the frame
    x, y = ((np.stack([cols, rows]) + 0.5) * side / TILE_PX + corner[:, None, None]).astype(int)
    seen = (x >= 0) & (x < 260) & (y >= 0) & (y < 200)
    expected = found[0].scene.rendered.mask[y[seen], x[seen]]
    shown = (tile[rows, cols][seen] < 250).any(-1)
    assert 0.1 < expected.mean() < 0.95
    assert (shown == expected).mean() > 0.95


def test_refusals(model, reconstructor, picture):
    with pytest.raises(ValueError, match="engine must be torch to look at cells, got DotDetector"):
        draw_cells(Reconstructor(DotDetector(), model), np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(ValueError, match="radius must be 0 or more cells, got -1"):
        cells_around_peaks(reconstructor, picture, radius=-1)
    with pytest.raises(ValueError, match="debug_cells must be 0 or more"):
        RunConfig(sources=("a",), debug_cells=-1)
    with pytest.raises(ValueError, match="engine must be torch or auto with debug_cells, got openvino"):
        RunConfig(sources=("a",), debug_cells=1, reconstruct=ReconstructConfig(engine="openvino"))


def test_cells_need_the_torch_engine_and_take_it():
    assert RunConfig(sources=("a",), debug_cells=2).reconstruct.engine == "torch"
    assert RunConfig(sources=("a",)).reconstruct.engine == "auto"
