"""With a detector that knows the answer, a rendered scene comes back exactly: frames, units and pixels agree."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from morphable import FaceParameters
from morphable_detector_head import Detections
from morphable_detector_head.letterbox import plan_letterbox
from morphable_reconstruct.exports.predictions import prediction_rows
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor


class KnowingDetector:
    """Answers with the labels of one rendered picture, in the network's camera."""

    def __init__(self, sample):
        self.sample = sample

    def detect(self, images, *, top_k, min_score):
        sample = self.sample
        count = len(sample.identity)
        faces = FaceParameters(
            identity=tensor(sample.identity),
            expression=tensor(sample.expression),
            albedo=tensor(sample.albedo),
            rotation_head=tensor(sample.rotation_head),
            translation_m=tensor(sample.translation_m),
            illumination=torch.zeros(1, count, 9, 3),
        )
        plan = plan_letterbox(sample.image.shape[:2], max(images.shape[2:]))
        center = torch.from_numpy(plan.to_input(sample.center_px)).float()[None]
        return Detections(faces, torch.full((1, count), 0.9), center, torch.ones(1, count, dtype=torch.bool))


def tensor(values):
    return torch.from_numpy(np.asarray(values, dtype=np.float32))[None]


@pytest.fixture(scope="module")
def sample():
    synth = pytest.importorskip("morphable_synth")
    scene = synth.sample_scene(7, 0, synth.SceneConfig(max_faces=5, min_face_px=60.0, occluders=False))
    return synth.render_scene(scene)


@pytest.fixture(scope="module")
def scene(sample):
    import morphable

    reconstructor = Reconstructor(
        KnowingDetector(sample), morphable.load_model("open"), config=ReconstructConfig(size_px=512)
    )
    return reconstructor(sample.image)


def test_landmarks_pose_and_depth_are_the_renderers(scene, sample):
    assert len(scene) == len(sample.identity) > 0
    assert scene.camera.focal_px == pytest.approx(sample.focal_px)
    rows = prediction_rows(scene)
    # the renderer decodes with its own copy of the model; float16 bases differ by less than this
    np.testing.assert_allclose(rows["landmarks68_px"], sample.landmarks68_px, atol=0.02)
    np.testing.assert_allclose(rows["landmarks68_cam_m"], sample.landmarks68_cam_m, atol=1e-4)
    np.testing.assert_allclose(rows["landmarks68_contour_px"], sample.landmarks68_contour_px, atol=0.5)
    np.testing.assert_allclose(rows["box_xyxy_px"], sample.box_xyxy_px, atol=0.02)
    for index, face in enumerate(scene):
        here = (sample.face_index == index) & scene.rendered.mask & (scene.rendered.face == index)
        bare = here & (sample.part > 0) & (np.abs(scene.depth_m - sample.depth_m) < 0.05)
        if here.sum() > 500:  # hair and clothes lie before the rest
            assert bare.sum() / here.sum() > 0.5
            assert np.median(np.abs(scene.depth_m - sample.depth_m)[bare]) < 0.003
        assert face.translation_m[2] > 0


def test_a_photograph_of_another_size_keeps_the_faces(scene, sample):
    """The same picture at three times the size has the same scene at three times the focal length."""
    import morphable

    large = np.kron(sample.image, np.ones((3, 3, 1), np.uint8))
    known = SimpleNamespace(**(vars(sample) | {"image": large, "center_px": sample.center_px * 3}))
    config = ReconstructConfig(size_px=512)
    again = Reconstructor(KnowingDetector(known), morphable.load_model("open"), config=config)(large)
    assert again.camera.focal_px == pytest.approx(3 * scene.camera.focal_px)
    for one, other in zip(scene, again, strict=True):
        np.testing.assert_allclose(other.landmarks68_px, 3 * one.landmarks68_px, atol=1e-2)
        np.testing.assert_allclose(other.translation_m, one.translation_m)
