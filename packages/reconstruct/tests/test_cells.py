"""Faces of neighboring cells."""

import numpy as np
import pytest
from stand_ins import DotDetector, random_detector

from morphable_detector_head.engines import TorchDetector
from morphable_reconstruct.batch.cells import draw_cells, landmarks_around_peaks
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor


def test_the_peaks_cell_gives_the_face(model):
    picture = np.random.default_rng(0).integers(0, 256, (200, 260, 3), dtype=np.uint8)
    config = ReconstructConfig(size_px=256, min_score=0.6)
    reconstructor = Reconstructor(TorchDetector(random_detector(), "cpu"), model, config=config)
    scene = reconstructor(picture)
    cells = landmarks_around_peaks(reconstructor, picture)
    assert len(cells) == len(scene) > 1
    inner = 0
    for points, face in zip(cells, scene, strict=True):
        distance = np.abs(points - face.landmarks68_px).max((1, 2))
        assert distance.min() < 1e-2
        if len(points) == 9:
            inner += 1
            assert distance.argmin() == 4
    assert inner
    drawn = draw_cells(reconstructor, picture)
    assert drawn.shape == picture.shape
    assert (drawn != picture).any()


def test_exported_engines_have_no_cells(model):
    reconstructor = Reconstructor(DotDetector(), model)
    with pytest.raises(ValueError, match="engine must be torch to look at cells, got DotDetector"):
        draw_cells(reconstructor, np.zeros((64, 64, 3), np.uint8))
