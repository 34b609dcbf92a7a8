"""Pictures as people have them: damaged tags, deep gray, profiles, texts, odd names, transparent frames."""

import io
import re
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from morphable.orientation import orientation_of
from morphable_reconstruct.photographs import pixels, reading
from morphable_reconstruct.photographs.reading import load_photograph

FAULTS = Path(__file__).parents[3].parent / "shared/faults"


@pytest.fixture
def picture() -> Image.Image:
    ramp = np.linspace(0, 255, 64 * 48 * 3).reshape(48, 64, 3).astype(np.uint8)
    return Image.fromarray(ramp)


def exif_with(orientation: int, *, cut: int | None = None) -> bytes:
    """A little-endian directory of two entries, orientation first, the second pointing past the end."""
    entries = struct.pack("<HHII", 0x0112, 3, 1, orientation) + struct.pack("<HHII", 0x010F, 2, 99, 4000)
    data = b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", 2) + entries + b"\0\0\0\0"
    return b"Exif\x00\x00" + data[:cut]


DAMAGED = {
    "cut header": b"Exif\x00\x00MM\x00*\x00\x00",
    "zeros": b"Exif\x00\x00" + b"\0" * 64,
    "loop": b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff" + b"\xff" * 20,
    "empty": b"Exif\x00\x00",
    "bad type": b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00" + struct.pack("<HHII", 0x0112, 77, 1, 6) + b"\0\0\0\0",
}


def save_with_exif(picture: Image.Image, path: Path, exif: bytes) -> None:
    """Write a picture with tags that Pillow itself would not write."""
    if path.suffix == ".avif":
        good = exif_with(1)
        stream = io.BytesIO()
        picture.save(stream, "AVIF", exif=good + bytes(max(0, len(exif) - len(good))), quality=100)
        body, stored = stream.getvalue(), good.removeprefix(b"Exif\x00\x00")
        path.write_bytes(body.replace(stored, exif[6:].ljust(len(stored), b"\0")[: len(stored)]))
    else:
        picture.save(path, exif=exif, **({"quality": 95} if path.suffix == ".jpg" else {}))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", sorted(DAMAGED))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif"])
def test_damaged_exif_is_as_if_absent(tmp_path, picture, suffix, kind):
    path, plain = tmp_path / f"a{suffix}", tmp_path / f"plain{suffix}"
    save_with_exif(picture, path, DAMAGED[kind])
    save_with_exif(picture, plain, exif_with(1))
    photo = load_photograph(path)
    np.testing.assert_array_equal(photo.pixels, load_photograph(plain).pixels)
    assert photo.exif_focal_px is None


@pytest.mark.parametrize("name", ["exif_cut.jpg", "exif_garbage.jpg"])
def test_photographs_with_damaged_exif_are_read(name):
    if not (FAULTS / name).is_file():
        pytest.skip(f"{FAULTS / name} is not here")
    assert load_photograph(FAULTS / name).size_hw == (480, 386)


@pytest.mark.parametrize("cut", [None, 30])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_orientation_counts_whatever_the_other_tags_are(tmp_path, picture, suffix, cut):
    # 6: turned by 90 degrees clockwise to be upright
    picture.save(tmp_path / f"plain{suffix}")
    picture.save(tmp_path / f"a{suffix}", exif=exif_with(6, cut=cut))
    expected = np.rot90(load_photograph(tmp_path / f"plain{suffix}").pixels, -1)
    np.testing.assert_array_equal(load_photograph(tmp_path / f"a{suffix}").pixels, expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_tiff_is_turned_once_whatever_its_other_tags_are(tmp_path, picture, orientation, compression):
    path = tmp_path / "a.tif"
    # 0x8769 points to a directory that is not there
    picture.save(path, tiffinfo={0x0112: orientation}, compression=compression)
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}[orientation]
    expected = picture if undo is None else picture.transpose(Image.Transpose(undo))
    np.testing.assert_array_equal(load_photograph(path).pixels, np.asarray(expected))


def test_tiff_with_a_dangling_exif_directory_is_read(tmp_path, picture):
    stream = io.BytesIO()
    picture.save(stream, "TIFF", tiffinfo={0x0112: 1, 0x8769: 7})
    (tmp_path / "a.tif").write_bytes(
        stream.getvalue().replace(struct.pack("<HHII", 0x8769, 4, 1, 7), struct.pack("<HHII", 0x8769, 4, 1, 2**31))
    )
    np.testing.assert_array_equal(load_photograph(tmp_path / "a.tif").pixels, np.asarray(picture))


@pytest.mark.parametrize(
    "error", [RuntimeError("x"), struct.error("x"), AttributeError("x"), MemoryError(), KeyError(1)]
)
def test_any_error_of_a_decoder_is_one_failure_of_that_file(tmp_path, picture, monkeypatch, error):
    picture.save(tmp_path / "a.png")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(reading, "to_rgb", fail)
    with pytest.raises(ValueError, match=r"image must be a whole picture, got .*a\.png.*damaged"):
        load_photograph(tmp_path / "a.png")


def test_damaged_avif_is_one_failure(tmp_path, picture):
    stream = io.BytesIO()
    picture.resize((640, 480)).save(stream, "AVIF")
    body = bytearray(stream.getvalue())
    body[len(body) // 2 :] = b"\xa5" * (len(body) - len(body) // 2)
    (tmp_path / "a.avif").write_bytes(body)
    with pytest.raises(ValueError, match=r"image must be .*a\.avif"):
        load_photograph(tmp_path / "a.avif")


@pytest.mark.parametrize(("low", "high", "expected"), [(0, 1023, [0, 127, 255]), (0, 4000, [0, 127, 255])])
def test_shallow_data_in_16_bits_is_scaled_by_its_range(tmp_path, low, high, expected):
    values = np.array([[low, (low + high) // 2, high]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    Image.fromarray(values).save(tmp_path / "a.tif")
    for source in (tmp_path / "a.png", tmp_path / "a.tif", values):
        photo = load_photograph(source)
        np.testing.assert_allclose(photo.pixels[0, :, 0], expected, atol=1)
        assert f"16-bit values from {low} to {high}" in photo.notes[0]


def test_thermal_counts_use_the_whole_range(tmp_path):
    # 14-bit counts between 7000 and 9000: black at 7000
    Image.fromarray(np.array([[7000, 8000, 9000]], np.uint16)).save(tmp_path / "a.png")
    np.testing.assert_allclose(load_photograph(tmp_path / "a.png").pixels[0, :, 0], [0, 127, 255], atol=1)


def test_full_16_bits_and_black_stay(tmp_path):
    Image.fromarray(np.array([[0, 257 * 64, 257 * 128]], np.uint16)).save(tmp_path / "a.png")
    photo = load_photograph(tmp_path / "a.png")
    assert photo.pixels[0, :, 0].tolist() == [0, 64, 128]
    assert photo.notes == ()
    assert not load_photograph(np.zeros((2, 2), np.uint16)).pixels.any()


def chunk(name: bytes, body: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def deep_png(values: np.ndarray) -> bytes:
    """Colors of 16 bits, which Pillow does not write."""
    rows, cols, _ = values.shape
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", cols, rows, 16, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def deep_tiff(values: np.ndarray, order: str, *, packed: bool = False, orientation: int = 1) -> bytes:
    """Colors of 16 bits in either order of bytes, as they are or deflated."""
    rows, cols, _ = values.shape
    pixels = values.astype(f"{order}u2").tobytes()
    pixels = zlib.compress(pixels) if packed else pixels
    entries = [(256, 4, 1, cols), (257, 4, 1, rows), (258, 3, 3, 8), (259, 3, 1, 8 if packed else 1), (262, 3, 1, 2)]
    entries += [(273, 4, 1, 14), (274, 3, 1, orientation), (277, 3, 1, 3), (278, 4, 1, rows), (279, 4, 1, len(pixels))]
    table = b""
    for tag, kind, count, value in entries:
        number = struct.pack(f"{order}HH", value, 0) if (kind, count) == (3, 1) else struct.pack(f"{order}I", value)
        table += struct.pack(f"{order}HHI", tag, kind, count) + number
    start = 14 + len(pixels) + len(pixels) % 2
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start)
    bits = struct.pack(f"{order}HHH", 16, 16, 16)
    return (head + bits + pixels).ljust(start, b"\0") + struct.pack(f"{order}H", len(entries)) + table + b"\0" * 4


DEEP = {
    "png": deep_png,
    "tiff, little": lambda values: deep_tiff(values, "<"),
    "tiff, big": lambda values: deep_tiff(values, ">"),
    "tiff, deflated": lambda values: deep_tiff(values, "<", packed=True),
    "tiff, big, deflated": lambda values: deep_tiff(values, ">", packed=True),
}


@pytest.mark.parametrize("kind", DEEP)
@pytest.mark.parametrize("high", [200, 1023, 4095, 16000])
def test_shallow_colors_in_16_bits_are_scaled_by_their_range(tmp_path, kind, high):
    values = np.linspace(0, high, 24 * 32 * 3).reshape(24, 32, 3).astype(np.uint16)
    (tmp_path / "a").write_bytes(DEEP[kind](values))
    photo = load_photograph(tmp_path / "a")
    np.testing.assert_allclose(photo.pixels, values * (255 / high), atol=1)
    assert f"16-bit values from 0 to {high}" in photo.notes[0]


@pytest.mark.parametrize("kind", DEEP)
def test_full_16_bits_of_color_stay(tmp_path, kind):
    values = np.linspace(0, 65535, 24 * 32 * 3).reshape(24, 32, 3).astype(np.uint16)
    (tmp_path / "a").write_bytes(DEEP[kind](values))
    photo = load_photograph(tmp_path / "a")
    np.testing.assert_array_equal(photo.pixels, values >> 8)
    assert photo.notes == ()


def test_shallow_colors_are_turned_once(tmp_path):
    values = np.linspace(0, 1023, 24 * 32 * 3).reshape(24, 32, 3).astype(np.uint16)
    (tmp_path / "a.tif").write_bytes(deep_tiff(values, "<", orientation=6))
    expected = np.rot90(values, -1) * (255 / 1023)
    np.testing.assert_allclose(load_photograph(tmp_path / "a.tif").pixels, expected, atol=1)


def test_orientation_behind_the_pixels_of_a_png_counts(tmp_path, picture):
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    body = stream.getvalue()
    tags = chunk(b"eXIf", exif_with(6).removeprefix(b"Exif\0\0"))
    (tmp_path / "a.png").write_bytes(body[:-12] + tags + body[-12:])
    expected = np.rot90(np.asarray(picture), -1)
    np.testing.assert_array_equal(load_photograph(tmp_path / "a.png").pixels, expected)
    with Image.open(tmp_path / "a.png") as opened:
        assert orientation_of(opened) == 6


def s15(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(s15, values))


def curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def wide_profile() -> bytes:
    """An RGB profile with the primaries of Display P3 and a gamma of 2.2."""
    return profile(
        b"RGB ",
        {
            b"rXYZ": xyz(0.5151, 0.2412, -0.0011),
            b"gXYZ": xyz(0.2920, 0.6922, 0.0419),
            b"bXYZ": xyz(0.1571, 0.0666, 0.7841),
            **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve(2.2)),
        },
    )


def profile(space: bytes, colors: dict[bytes, bytes]) -> bytes:
    """A color profile, written out by its definition."""
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"wide\0" + b"\0" * 78 + b"\0"
    tags = {b"desc": text, b"wtpt": xyz(0.9642, 1.0, 0.8249), **colors, b"cprt": b"text\0\0\0\0none\0"}
    place, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += name + struct.pack(">II", place + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    size = place + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02100000, b"mntr", space, b"XYZ ") + b"\0" * 12 + b"acsp"
    header = header.ljust(64, b"\0") + struct.pack(">I", 0) + s15(0.9642) + s15(1.0) + s15(0.8249)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def test_profile_is_applied_with_alpha_and_palette_too(tmp_path):
    profile = wide_profile()
    color = (200, 60, 40)
    opaque = Image.new("RGB", (4, 4), color)
    opaque.save(tmp_path / "rgb.png", icc_profile=profile)
    expected = load_photograph(tmp_path / "rgb.png").pixels
    assert np.abs(expected[0, 0].astype(int) - color).max() > 5  # the profile does something
    opaque.convert("RGBA").save(tmp_path / "rgba.png", icc_profile=profile)
    opaque.quantize(2).save(tmp_path / "p.png", icc_profile=profile)
    opaque.quantize(2).save(tmp_path / "pt.png", icc_profile=profile, transparency=b"\xff\xff")
    for name in ("rgba.png", "p.png", "pt.png"):
        np.testing.assert_allclose(load_photograph(tmp_path / name).pixels.astype(int), expected, atol=1)
    assert ImageCms.ImageCmsProfile(io.BytesIO(profile)) is not None


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_profiles_of_gray_pictures_are_applied(tmp_path, mode):
    # linear light of 0.2140 is 127.5 of 255 in sRGB
    stored = round(0.2140 * 255)
    gray = Image.new("L", (4, 4), stored).convert(mode)
    gray.save(tmp_path / "a.png", icc_profile=profile(b"GRAY", {b"kTRC": curve(1.0)}))
    np.testing.assert_allclose(load_photograph(tmp_path / "a.png").pixels.astype(float), 127.5, atol=2)
    gray.save(tmp_path / "b.png", icc_profile=wide_profile())  # of another kind of picture
    np.testing.assert_allclose(load_photograph(tmp_path / "b.png").pixels.astype(float), stored, atol=3)


def test_lab_pictures_are_read(tmp_path, picture):
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    ImageCms.profileToProfile(picture, srgb, lab, outputMode="LAB").save(tmp_path / "a.tif")
    pixels = load_photograph(tmp_path / "a.tif").pixels.astype(int)
    np.testing.assert_allclose(pixels, np.asarray(picture), atol=4)


def test_png_with_a_large_compressed_text_is_read(tmp_path, picture):
    info = PngImagePlugin.PngInfo()
    info.add_text("ImageDescription", "0" * 2_000_000, zip=True)
    picture.save(tmp_path / "a.png", pnginfo=info)
    np.testing.assert_array_equal(load_photograph(tmp_path / "a.png").pixels, np.asarray(picture))
    many = PngImagePlugin.PngInfo()
    for index in range(70):
        many.add_text(f"part{index}", "0" * 1_000_000, zip=True)
    picture.save(tmp_path / "b.png", pnginfo=many)
    np.testing.assert_array_equal(load_photograph(tmp_path / "b.png").pixels, np.asarray(picture))


def test_png_with_a_damaged_chunk_beside_the_pixels_is_read(tmp_path, picture):
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    body = stream.getvalue()
    (tmp_path / "a.png").write_bytes(body[:33] + chunk(b"gAMA", b"xyz") + body[33:])
    np.testing.assert_array_equal(load_photograph(tmp_path / "a.png").pixels, np.asarray(picture))


@pytest.mark.parametrize("name", ["a.JPG_large", "a", "a.jfif", "a.jpe", "a.png"])
def test_content_decides_what_a_named_file_is(tmp_path, picture, name):
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=95)
    (tmp_path / name).write_bytes(stream.getvalue())
    assert load_photograph(tmp_path / name).size_hw == (48, 64)


def test_postscript_is_no_picture(tmp_path):
    # Pillow would start Ghostscript for it
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    with pytest.raises(ValueError, match="picture Pillow can read"):
        load_photograph(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><html><body>Not found</body></html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "a Git LFS pointer"),
        (b"\xff\x0a" + b"\x5a" * 40, "a JPEG XL file"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0" * 40, "a JPEG XL file"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "a PostScript file"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "a drawing in SVG"),
        (b"PK\x03\x04" + b"\0" * 40, "a zip archive"),
        (b"nothing known", "is it really an image?"),
    ],
)
def test_files_that_are_no_pictures_are_named_for_what_they_are(tmp_path, body, told):
    (tmp_path / "a.jpg").write_bytes(body)
    for source in (tmp_path / "a.jpg", io.BytesIO(body)):
        with pytest.raises(ValueError, match=r"picture Pillow can read, got .*" + re.escape(told)):
            load_photograph(source)


@pytest.mark.parametrize("suffix", [".heic", ".jpg"])
def test_heic_is_read_with_the_extra(tmp_path, picture, suffix):
    heif = pytest.importorskip("pillow_heif")
    smooth = picture.resize((128, 96), Image.Resampling.BILINEAR)
    stream = io.BytesIO()
    heif.from_pillow(smooth).save(stream, quality=95)
    (tmp_path / f"a{suffix}").write_bytes(stream.getvalue())
    pixels = load_photograph(tmp_path / f"a{suffix}").pixels.astype(int)
    assert np.abs(pixels - np.asarray(smooth)).mean() < 4


def test_heic_without_the_extra_names_the_command(tmp_path, monkeypatch):
    def missing(*_: object, **__: object) -> None:
        raise ImportError("pillow_heif is not installed; run `pip install 'morphable-reconstruct[heif]'`")

    monkeypatch.setattr(reading, "import_extra", missing)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 100)
    with pytest.raises(ValueError, match=r"HEIC file a\.heic: .*morphable-reconstruct\[heif\]"):
        load_photograph(tmp_path / "a.heic")


def test_transparent_first_frame_is_passed_over(tmp_path):
    frames = [Image.new("RGBA", (8, 8), (0, 0, 0, 0)), Image.new("RGBA", (8, 8), (10, 200, 30, 255))]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    for name in ("a.webp", "a.png"):
        photo = load_photograph(tmp_path / name)
        assert photo.pixels[0, 0].tolist() == [10, 200, 30]
        assert "frame 1 was taken" in photo.notes[0]


def test_damaged_tags_do_not_depend_on_warnings(tmp_path, picture):
    """Pillow warns of some; where warnings are errors, the picture is read all the same."""
    save_with_exif(picture, tmp_path / "a.jpg", DAMAGED["loop"])
    picture.save(tmp_path / "plain.jpg", quality=95)
    np.testing.assert_array_equal(
        load_photograph(tmp_path / "a.jpg").pixels, load_photograph(tmp_path / "plain.jpg").pixels
    )


def test_open_file_is_left_open(tmp_path, picture):
    picture.save(tmp_path / "a.png")
    with (tmp_path / "a.png").open("rb") as file:
        load_photograph(file)
        assert not file.closed


def test_one_damaged_file_of_a_folder_fails_alone(tmp_path):
    if not FAULTS.is_dir():
        pytest.skip(f"{FAULTS} is not here")
    for name in ("exif_cut.jpg", "exif_garbage.jpg"):
        shutil.copy(FAULTS / name, tmp_path)
    assert all(load_photograph(path).size_hw == (480, 386) for path in tmp_path.iterdir())


def with_cicp(path: Path, primaries: int, transfer: int) -> None:
    """Put a chunk cICP before the pixels of a PNG file."""
    data = path.read_bytes()
    at = data.index(b"IDAT") - 4
    path.write_bytes(data[:at] + chunk(b"cICP", bytes([primaries, transfer, 0, 1])) + data[at:])


def stripes(values: list[int]) -> Image.Image:
    """Gray stripes, 16 pixels wide."""
    row = np.repeat(np.array(values, np.uint8), 16)
    return Image.fromarray(np.repeat(row[None, :, None], 3, axis=2).repeat(16, axis=0))


def test_hdr_png_has_its_white_at_203_nits(tmp_path):
    # PQ signals of 0, 10.41, 43.8 and 203 nits (0, 0.05126, 0.21586 and 1 of white): sRGB 0, 64, 128, 255
    path = tmp_path / "a.png"
    stripes([0, 77, 109, 148]).save(path)
    assert load_photograph(path).pixels[8, 8::16, 0].tolist() == [0, 77, 109, 148]  # without the tag as stored
    with_cicp(path, 9, 16)
    # a code of PQ is about 2.5 % of the light, 1.2 % of the sRGB value
    np.testing.assert_allclose(load_photograph(path).pixels[8, 8::16, 0].astype(int), [0, 64, 128, 255], atol=3)


def test_hdr_avif_is_mapped_as_png_is(tmp_path):
    path = tmp_path / "a.avif"
    stripes([0, 77, 109, 148]).save(path, quality=100, subsampling="4:4:4")
    data = path.read_bytes()
    at = data.index(b"colrnclx") + 8
    path.write_bytes(data[:at] + struct.pack(">HH", 9, 16) + data[at + 4 :])
    np.testing.assert_allclose(load_photograph(path).pixels[8, 8::16, 0].astype(int), [0, 64, 128, 255], atol=5)


def test_wide_primaries_without_a_profile_become_srgb(tmp_path):
    # see test_wide_gamuts_become_srgb: BT.2020 (128, 128, 0) is sRGB (132, 129, 0)
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8), (128, 128, 0)).save(path)
    with_cicp(path, 9, 13)
    np.testing.assert_allclose(load_photograph(path).pixels[0, 0].astype(int), [132, 129, 0], atol=1)


def test_damaged_color_tags_count_as_absent(tmp_path):
    path = tmp_path / "a.png"
    stripes([0, 77, 109, 148]).save(path)
    with_cicp(path, 250, 251)
    assert load_photograph(path).pixels[8, 8::16, 0].tolist() == [0, 77, 109, 148]


def test_large_pictures_are_converted_by_bands_to_the_same_pixels(tmp_path, picture, monkeypatch):
    ramp = np.asarray(picture)
    alpha = Image.fromarray(ramp[::-1, :, 0].copy())
    rgba = Image.merge("RGBA", (*picture.split(), alpha))
    rgba.save(tmp_path / "rgba.png", icc_profile=wide_profile())
    picture.quantize(16).save(tmp_path / "palette.png", icc_profile=wide_profile(), transparency=bytes(range(16)))
    picture.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    picture.save(tmp_path / "turned.jpg", exif=exif_with(6), icc_profile=wide_profile(), quality=95)
    for transfer, name in ((16, "pq.png"), (18, "hlg.png"), (13, "wide.png")):
        picture.save(tmp_path / name)
        with_cicp(tmp_path / name, 9, transfer)
    counts = ramp[..., 0].astype(np.uint16) * 4
    Image.fromarray(counts).save(tmp_path / "counts.png")
    arrays = [counts, ramp / 255.0, np.asarray(rgba), ramp[..., 0] > 100]
    sources = [*sorted(tmp_path.iterdir()), *arrays]
    whole = [load_photograph(source).pixels for source in sources]
    monkeypatch.setattr(pixels, "_BAND_PIXELS", 300)
    assert len(list(pixels._bands(*ramp.shape[:2]))) == 12
    for source, expected in zip(sources, whole, strict=True):
        np.testing.assert_array_equal(load_photograph(source).pixels, expected)
