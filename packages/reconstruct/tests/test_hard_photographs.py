"""The bundled network on photographs that are cropped closely, compressed strongly, or upside down."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from morphable_reconstruct.reconstructor.reconstructor import Reconstructor

PORTRAITS = Path(__file__).parents[3].parent / "shared" / "data" / "faces_dev" / "portraits"
PORTRAIT = PORTRAITS / "clic25_0369d229ba4c9965d.jpg"
pytestmark = pytest.mark.skipif(not PORTRAIT.is_file(), reason="the portraits are not there")


@pytest.fixture(scope="module")
def reconstructor():
    return Reconstructor("mobile")


@pytest.fixture(scope="module")
def portrait():
    return Image.open(PORTRAIT).convert("RGB")


@pytest.fixture(scope="module")
def face(reconstructor, portrait):
    (face,) = reconstructor(portrait)
    return face


def relative_error(points, face):
    """Mean distance of the 68 points, as a fraction of the face's side."""
    side = np.ptp(face.box_xyxy_px.reshape(2, 2), axis=0).max()
    return np.linalg.norm(points - face.landmarks68_px, axis=1).mean() / side


@pytest.mark.parametrize(("share", "most"), [(0.7, 0.07), (0.5, 0.12)])
@pytest.mark.parametrize("side_px", [512, 2048])
def test_close_ups(reconstructor, portrait, face, share, most, side_px):
    corners = face.box_xyxy_px.reshape(2, 2)
    half = share * np.ptp(corners, axis=0).max() / 2
    box = np.round([*(corners.mean(0) - half), *(corners.mean(0) + half)]).astype(int)
    close_up = portrait.crop(tuple(box)).resize((side_px, side_px), Image.Resampling.BICUBIC)
    (found,) = reconstructor(close_up)
    scale = (box[2:] - box[:2]) / side_px
    assert relative_error(found.landmarks68_px * scale + box[:2], face) < most


def test_strong_compression(reconstructor, portrait, face):
    stream = io.BytesIO()
    portrait.save(stream, "JPEG", quality=5)
    stream.seek(0)
    width, height = portrait.size
    blocks = portrait.resize((width // 8, height // 8), Image.Resampling.BOX).resize(
        (width // 8 * 8, height // 8 * 8), Image.Resampling.NEAREST
    )
    for picture in (Image.open(stream), blocks):
        (found,) = reconstructor(picture)
        assert relative_error(found.landmarks68_px, face) < 0.03


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_face_the_wrong_way_up_is_the_one_of_the_upright_photograph(reconstructor, portrait, face, quarters):
    pixels = np.rot90(np.asarray(portrait), quarters)
    (found,) = reconstructor(pixels)
    middle, turned_middle = (np.array(size[::-1]) / 2 for size in (np.asarray(portrait).shape[:2], pixels.shape[:2]))
    turn = np.linalg.matrix_power(np.array([[0, 1], [-1, 0]]), quarters)  # x to the right, y down
    points = (face.landmarks68_px - middle) @ turn.T + turned_middle
    assert np.abs(found.landmarks68_px - points).max() < 1
