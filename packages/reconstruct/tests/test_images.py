"""Every kind of picture gives the right pixels or one clear error."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from morphable_reconstruct.photographs.reading import load_photograph


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def test_path_pil_array_and_tensor_agree(tmp_path, pixels):
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    sources = [path, str(path), Image.fromarray(pixels), pixels, torch.from_numpy(pixels).permute(2, 0, 1)]
    sources += [pixels / 255.0, (pixels / 255.0).astype(np.float32), io.BytesIO(path.read_bytes())]
    sources += [torch.from_numpy(pixels).permute(2, 0, 1) / 255.0, pixels.astype(np.uint16) * 257]
    for source in sources:
        np.testing.assert_array_equal(load_photograph(source).pixels, pixels)
    assert load_photograph(path).name == "a.png"
    assert load_photograph(pixels).name == "image"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, pixels, orientation):
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # Transpose that stores it so
    stored = Image.fromarray(pixels) if undo is None else Image.fromarray(pixels).transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(load_photograph(tmp_path / "a.png").pixels, pixels)


def test_alpha_lies_over_white(tmp_path):
    # half transparent red over white: 255, 127.5, 127.5
    rgba = np.array([[[255, 0, 0, 128], [9, 9, 9, 0]]], dtype=np.uint8)
    expected = np.array([[[255, 127, 127], [255, 255, 255]]], dtype=np.uint8)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    np.testing.assert_array_equal(load_photograph(tmp_path / "a.png").pixels, expected)
    np.testing.assert_array_equal(load_photograph(rgba).pixels, expected)
    palette = Image.fromarray(np.zeros((1, 1), np.uint8), mode="P")
    palette.putpalette([7, 8, 9])
    palette.info["transparency"] = 0
    palette.save(tmp_path / "p.png", transparency=0)
    np.testing.assert_array_equal(load_photograph(tmp_path / "p.png").pixels, [[[255, 255, 255]]])


def test_grey_of_8_16_and_32_bits(tmp_path):
    grey = np.array([[0, 128, 255]], dtype=np.uint8)
    expected = np.repeat(grey[..., None], 3, axis=2)
    Image.fromarray(grey).save(tmp_path / "8.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "16.png")
    Image.fromarray((grey / 255.0).astype(np.float32)).save(tmp_path / "f.tif")
    for name in ("8.png", "16.png", "f.tif"):
        np.testing.assert_array_equal(load_photograph(tmp_path / name).pixels, expected)
    np.testing.assert_array_equal(load_photograph(grey > 0).pixels, np.where(expected > 0, 255, 0))


def test_cmyk_and_profiles(tmp_path):
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "c.jpg", quality=100)
    np.testing.assert_allclose(load_photograph(tmp_path / "c.jpg").pixels[0, 0], [255, 0, 0], atol=3)
    linear = ImageCms.createProfile("XYZ")
    picture = Image.new("RGB", (2, 2), (10, 200, 30))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture.save(tmp_path / "s.png", icc_profile=profile)
    np.testing.assert_array_equal(load_photograph(tmp_path / "s.png").pixels[0, 0], [10, 200, 30])
    picture.save(tmp_path / "bad.png", icc_profile=b"not a profile")
    np.testing.assert_array_equal(load_photograph(tmp_path / "bad.png").pixels[0, 0], [10, 200, 30])
    assert linear is not None


def test_one_pixel_and_first_frame(tmp_path):
    assert load_photograph(np.zeros((1, 1, 3), np.uint8)).size_hw == (1, 1)
    frames = [Image.new("RGB", (3, 2), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(load_photograph(tmp_path / "a.gif").pixels[0, 0], [255, 0, 0])


def test_broken_files_say_what_is_wrong(tmp_path, pixels):
    whole = io.BytesIO()
    Image.fromarray(np.tile(pixels, (40, 40, 1))).save(whole, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(whole.getvalue()[:3000])
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"whole picture, got .*cut\.jpg: .*truncated"):
        load_photograph(tmp_path / "cut.jpg")
    for name in ("text.jpg", "empty.jpg"):
        with pytest.raises(ValueError, match=f"picture Pillow can read, got .*{name}"):
            load_photograph(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"existing file, got .*none\.jpg"):
        load_photograph(tmp_path / "none.jpg")
    with pytest.raises(ValueError, match="got the folder"):
        load_photograph(tmp_path)


def test_decompression_bombs_are_refused_before_decoding(tmp_path):
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    with pytest.raises(ValueError, match=r"at most \d+ pixels, got .*bomb\.png"):
        load_photograph(tmp_path / "bomb.png")
    with pytest.raises(ValueError, match=r"at most 50 pixels, got 9x6 in image; raise max_pixels"):
        load_photograph(np.zeros((6, 9, 3), np.uint8), max_pixels=50)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3, 4, 3), np.uint8), r"shape \(rows, cols\[, 1 \| 3 \| 4\]\), got \(2, 3, 4, 3\)"),
        (np.zeros((4, 5, 2), np.uint8), "got \\(4, 5, 2\\)"),
        (np.zeros((0, 5, 3), np.uint8), "got \\(0, 5, 3\\)"),
        (np.full((4, 5, 3), 200.0), r"in \[0, 1\] as floats, got 200\.\.200; divide by 255"),
        (np.full((4, 5, 3), np.nan), "got nan..nan"),
        (np.zeros((4, 5, 3), np.int64), "uint8, uint16 or float in .* got int64"),
        (torch.zeros(5, 5, 3), r"got \(5, 5, 3\)"),
        (torch.zeros(2, 3, 4, 5), "pass a batch as a list"),
    ],
)
def test_arrays_that_are_no_picture(array, message):
    with pytest.raises(ValueError, match=message):
        load_photograph(array)


def test_other_types_are_refused():
    with pytest.raises(
        TypeError, match=r"a path, a binary file, a PIL image, a NumPy array or a tensor, got object|Type-check"
    ):
        load_photograph(object())


def test_exif_focal_length(tmp_path):
    # 35 mm equivalent 28 mm on a 400 x 300 picture: 28 / 43.2666 * 500 = 323.57 px
    picture = Image.new("RGB", (400, 300))
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 28
    picture.save(tmp_path / "a.jpg", exif=exif)
    assert load_photograph(tmp_path / "a.jpg").exif_focal_px == pytest.approx(323.57, abs=0.01)
    # 5 mm at 4000 px/cm of a 4000 px sensor, picture shrunk 10-fold: 5 * 400 / 10 = 200 px
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x920A: 5.0, 0xA20E: 4000.0, 0xA210: 3, 0xA002: 4000, 0xA003: 3000})
    picture.save(tmp_path / "b.jpg", exif=exif)
    assert load_photograph(tmp_path / "b.jpg").exif_focal_px == pytest.approx(200.0)
    picture.save(tmp_path / "c.jpg")
    assert load_photograph(tmp_path / "c.jpg").exif_focal_px is None
    exif.get_ifd(0x8769).clear()
    exif.get_ifd(0x8769)[0xA405] = 0  # unknown, by the standard
    picture.save(tmp_path / "d.jpg", exif=exif)
    assert load_photograph(tmp_path / "d.jpg").exif_focal_px is None
