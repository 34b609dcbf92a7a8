"""From pictures to faces: places, batches, cameras, tiles."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from stand_ins import DotDetector, dotted, random_detector

from morphable_detector_head.engines import TorchDetector
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor


def dots(model, **config):
    return Reconstructor(DotDetector(), model, config=ReconstructConfig(min_score=0.4, **config))


def untrained(model, **config):
    return Reconstructor(TorchDetector(random_detector(), "cpu"), model, config=ReconstructConfig(**config))


def landmarks(scene):
    return np.array([face.landmarks68_px for face in scene]).reshape(-1, 68, 2)


def test_a_face_lies_where_its_dot_is(model):
    # 1024 x 768 seen at 512: cells of 16 px; the dot's cell center is within 8 px
    scene = dots(model)(dotted((768, 1024), [(200, 300)], dot_px=24))
    (face,) = scene
    assert np.abs(face.center_px - (200, 300)).max() <= 8
    np.testing.assert_allclose(face.camera.project(face.translation_m[None])[0], face.center_px, atol=1e-2)
    assert scene.camera.focal_px == pytest.approx(1015 * 2)
    # a 15 cm wide face drawn 48 px wide in the input is 96 px wide in the photograph
    width = np.ptp(face.vertices_px[:, 0])
    assert width == pytest.approx(96, rel=0.05)
    assert face.translation_m[2] == pytest.approx(1015 * 0.15 / 48, rel=1e-5)
    assert face.angles.roll == pytest.approx(0.0, abs=0.01)  # straight along its ray, which is off the axis


class NearSighted(DotDetector):
    """Finds dots in small inputs alone, as the network finds close-ups."""

    def detect(self, images, **options):
        found = super().detect(images, **options)
        return replace(found, valid=found.valid & (max(images.shape[2:]) <= 192))


def test_photographs_in_which_nothing_was_found_are_looked_at_once_more_as_small_ones(model):
    close_up = dotted((512, 512), [(200, 300)], dot_px=64)
    near_sighted = NearSighted(width_px=120.0)
    reconstructor = Reconstructor(near_sighted, model, config=ReconstructConfig(min_score=0.4, batch_size=4))
    photos = [reconstructor.load(pixels) for pixels in (close_up, 0 * close_up, close_up)]
    first, empty, second = reconstructor.reconstruct(photos)
    assert [len(first), len(empty), len(second)] == [1, 0, 1]
    assert np.abs(first[0].center_px - (200, 300)).max() <= 512 / 192 * 8  # a cell
    assert first.camera.focal_px == pytest.approx(1015 * 512 / 192)
    assert near_sighted.calls == 1 + 3 * 4  # all at once, then 4 small looks at each
    small = NearSighted(width_px=48.0)  # a quarter of the photograph: not what a second look is for
    assert len(Reconstructor(small, model, config=ReconstructConfig(min_score=0.4))(close_up)) == 0
    found = DotDetector()
    assert len(Reconstructor(found, model, config=ReconstructConfig(min_score=0.4))(close_up)) == 1
    assert found.calls == 1  # a sure face needs no second look
    for config in ({"size_px": 512}, {"tile_px": 512}):
        settings = ReconstructConfig(min_score=0.4, **config)
        assert len(Reconstructor(NearSighted(width_px=120.0), model, config=settings)(close_up)) == 0


def test_sixty_faces(model):
    places = [(60 + 100 * column, 60 + 110 * row) for row in range(6) for column in range(10)]
    scene = dots(model, size_px=1056)(dotted((700, 1056), places, dot_px=16))
    assert len(scene) == 60
    found = np.array([face.center_px for face in scene])
    assert all(np.abs(found - place).max(1).min() <= 8 for place in places)


def test_no_face_is_an_empty_scene(model):
    scene = dots(model)(np.full((300, 400, 3), 90, np.uint8))
    assert len(scene) == 0
    assert scene.faces.identity.shape == (0, 4)
    assert len(dots(model)(np.zeros((1, 1, 3), np.uint8))) == 0
    assert list(dots(model).many([])) == []


def test_batch_single_path_and_array_agree(model, tmp_path):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in [(300, 400, 3)] * 5 + [(200, 350, 3)]]
    for index, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"{index}.png")
    reconstructor = untrained(model, min_score=0.6, batch_size=4, size_px=256)
    single = [reconstructor(picture) for picture in pictures]
    assert sum(len(scene) for scene in single) > 5
    sources = [pictures, [tmp_path / f"{i}.png" for i in range(6)], [Image.fromarray(p) for p in pictures]]
    for batch in sources:
        for one, other in zip(single, reconstructor.many(batch), strict=True):
            np.testing.assert_allclose(landmarks(other), landmarks(one), atol=1e-3)
    streamed = list(reconstructor.many(iter(pictures)))
    for one, other in zip(single, streamed, strict=True):
        np.testing.assert_allclose(landmarks(other), landmarks(one), atol=1e-3)


def test_a_bad_picture_of_many_is_raised_or_handed_over(model, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    pictures = [dotted((200, 256), [(100, 80)]), tmp_path / "text.jpg", dotted((200, 256), [])]
    failed = []
    scenes = list(dots(model).many(pictures, on_error=lambda picture, error: failed.append((picture, str(error)))))
    assert [len(scene) for scene in scenes] == [1, 0]
    assert [picture for picture, _ in failed] == [tmp_path / "text.jpg"]
    assert "image must be a picture" in failed[0][1]
    with pytest.raises(ValueError, match="image must be a picture"):
        list(dots(model).many(pictures))


def test_concurrent_calls_agree(model):
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (160 + 32 * (i % 2), 224, 3), dtype=np.uint8) for i in range(8)]
    reconstructor = untrained(model, min_score=0.6, size_px=224)
    expected = [landmarks(reconstructor(picture)) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        for scene, points in zip(pool.map(reconstructor, pictures * 2), expected * 2, strict=True):
            np.testing.assert_allclose(landmarks(scene), points, atol=1e-3)


def test_a_known_focal_length_keeps_pixels_and_moves_depth(model):
    picture = dotted((600, 800), [(150, 120), (640, 480)], dot_px=20)
    default = dots(model)(picture)
    known = dots(model, focal=2.0 * default.camera.focal_px)(picture)
    assert known.camera.focal_px == pytest.approx(2 * default.camera.focal_px)
    for before, after in zip(default, known, strict=True):
        assert before.camera_residual_px is None
        assert after.camera_residual_px < 1.0
        assert after.translation_m[2] == pytest.approx(2 * before.translation_m[2], rel=0.1)
        np.testing.assert_allclose(after.landmarks68_px, before.landmarks68_px, atol=3.0)


def test_focal_length_from_exif(model, tmp_path):
    picture = Image.fromarray(dotted((600, 800), [(400, 300)], dot_px=20))
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 50
    picture.save(tmp_path / "a.jpg", exif=exif)
    scene = dots(model, focal="exif")(tmp_path / "a.jpg")
    assert scene.camera.focal_px == pytest.approx(50 / 43.2666 * 1000, rel=1e-4)
    picture.save(tmp_path / "b.png")
    with pytest.raises(ValueError, match=r"focal must be known for b\.png, got no focal length in its EXIF"):
        dots(model, focal="exif")(tmp_path / "b.png")


def test_tiles_find_tiny_faces_once_and_in_place(model):
    places = [(150, 130), (1500, 200), (1010, 1010), (2900, 1900), (1024, 300)]
    picture = dotted((2000, 3000), places, dot_px=20)
    assert len(dots(model)(picture)) < len(places)  # 20 px are 3.4 px in the whole picture's input
    scene = dots(model, tile_px=1024)(picture)
    found = np.array([face.center_px for face in scene])
    assert len(found) == len(places)
    assert all(np.abs(found - place).max(1).min() <= 16 for place in places)
    for face in scene:
        assert face.camera_residual_px < 0.5
        # 48 px of a tile's input are 96 px of the picture, in the whole picture's camera
        assert np.ptp(face.vertices_px[:, 0]) == pytest.approx(96, rel=0.06)
        np.testing.assert_allclose(face.landmarks68_px.mean(0), face.center_px, atol=12)


def test_large_faces_come_from_the_whole_picture(model):
    reconstructor = dots(model, tile_px=256)
    scene = reconstructor(dotted((512, 512), [(252, 252)], dot_px=8))
    assert len(scene) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size_px": 500}, "size_px must be a multiple of 32, got 500"),
        ({"min_score": 1.5}, "min_score must be in"),
        ({"max_faces": 0}, "max_faces must be at least 1"),
        ({"focal": -2.0}, "focal must be a positive number"),
        ({"tile_px": 8}, "tile_px must be at least 32"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        ReconstructConfig(**options)


def test_devices_that_are_not_there():
    with pytest.raises(ValueError, match="device must be auto, cpu or cuda"):
        TorchDetector(random_detector(), "tpu?")
    with pytest.raises(ValueError, match="device must be on this machine, got 'cuda:99'"):
        TorchDetector(random_detector(), "cuda:99")
