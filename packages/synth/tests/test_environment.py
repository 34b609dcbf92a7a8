"""Environment maps: reading, lights that stand for them, views."""

from pathlib import Path

import numpy as np
import pytest

from morphable_synth.assets.environment import build_environment, camera_view, directions_of_map, read_radiance


def _flat(path: Path, pixels: np.ndarray) -> Path:
    rows, cols = pixels.shape[:2]
    path.write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n" % (rows, cols) + pixels.tobytes())
    return path


def test_flat_radiance_file_has_the_values_of_its_exponents(tmp_path: Path):
    pixels = np.full((4, 8, 4), [128, 64, 32, 129], np.uint8)
    # value = mantissa * 2 ** (exponent - 128 - 8): 128 * 2 ** -7 = 1
    np.testing.assert_allclose(read_radiance(_flat(tmp_path / "a.hdr", pixels))[0, 0], [1.0, 0.5, 0.25])


def test_torn_and_foreign_files_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="torn"):
        read_radiance(_torn(tmp_path))
    (tmp_path / "c.hdr").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match="must be a Radiance picture"):
        read_radiance(tmp_path / "c.hdr")


def _torn(folder: Path) -> Path:
    path = _flat(folder / "torn.hdr", np.zeros((4, 8, 4), np.uint8))
    path.write_bytes(path.read_bytes()[:-20])
    return path


def test_lights_of_a_white_sky_send_its_irradiance():
    environment = build_environment("white", np.ones((32, 64, 3), np.float32), lights=64)
    up = np.maximum(environment.directions[:, 1], 0)
    # a Lambert surface under a white sphere of radiance 1 sends back 1; 64 lights approximate the integral
    np.testing.assert_allclose((up[:, None] * environment.power).sum(0), 1.0, atol=0.05)
    np.testing.assert_allclose(environment.power.sum(0), 4.0, rtol=1e-3)  # 4 pi / pi


def test_strongest_light_points_at_the_lamp():
    direction = directions_of_map(64, 128)
    lamp = np.array([0.6, 0.0, -0.8])
    image = 0.01 + 50.0 * np.exp((direction @ lamp - 1) / 0.01)[..., None] * np.ones(3)
    environment = build_environment("lamp", image.astype(np.float32))
    assert environment.directions[0] @ lamp > 0.95


def test_camera_sees_what_lies_ahead():
    direction = directions_of_map(64, 128)
    image = (direction[..., 2:] < -0.9).astype(np.float32) * np.ones(3, np.float32) + 0.01
    environment = build_environment("ahead", image.astype(np.float32))
    ahead = np.diag([1.0, -1.0, -1.0]).astype(np.float32)
    view = camera_view(environment, ahead, focal_px=100.0, size_hw=(8, 8))
    behind = camera_view(environment, np.diag([-1.0, -1.0, 1.0]).astype(np.float32), focal_px=100.0, size_hw=(8, 8))
    assert view.mean() > 10 * behind.mean()


def test_black_maps_are_refused():
    with pytest.raises(ValueError, match="not all black"):
        build_environment("black", np.zeros((8, 16, 3), np.float32))
