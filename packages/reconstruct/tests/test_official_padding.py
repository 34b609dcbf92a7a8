"""The official checkpoint sees photographs as its authors show them: black at the right and bottom, a square."""

import numpy as np
import pytest
from stand_ins import DotDetector, dotted

from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor


class Watching(DotDetector):
    """Keeps what it was shown."""

    def detect(self, images, **options):
        self.seen = images
        return super().detect(images, **options)


@pytest.mark.parametrize(("size_hw", "dots"), [((240, 320), [(100, 124), (276, 60)]), ((320, 192), [(100, 60)])])
def test_padding_is_black_and_faces_keep_their_pixels(model, size_hw, dots):
    picture = dotted(size_hw, dots, dot_px=16)
    config = ReconstructConfig(size_px=320, min_score=0.4, colors="network")
    detector = Watching()
    reconstructor = Reconstructor(detector, model, config=config)
    around = reconstructor(picture)
    assert not reconstructor.pads_at_the_end
    reconstructor.pads_at_the_end = True
    scene = reconstructor(picture)
    assert detector.seen.shape == (1, 3, 320, 320)
    pixels = (detector.seen[0].permute(1, 2, 0) * 255).round().byte().numpy()
    np.testing.assert_array_equal(pixels[: size_hw[0], : size_hw[1]], picture)
    assert not pixels[size_hw[0] :].any()
    assert not pixels[:, size_hw[1] :].any()
    assert len(scene) == len(around) == len(dots)
    assert scene.camera.focal_px == 1015.0
    np.testing.assert_array_equal(scene.camera.principal_px, [size_hw[1] / 2, size_hw[0] / 2])
    nearest = [np.abs(around.center_px - face.center_px).sum(1).argmin() for face in scene]
    moved = scene.landmarks68_px - around.landmarks68_px[nearest]
    assert np.abs(moved).max() < 2.0  # another ray to the same pixels: a little other perspective
