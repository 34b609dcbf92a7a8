"""Which files are pictures: suffixes, first bytes; and what a damaged file can do without."""

import struct
from collections.abc import Callable, Iterator

from morphable.importers.foreign import foreign_kind
from morphable.orientation import tiff_orientation

IMAGE_SUFFIXES = frozenset(
    (
        *(".apng", ".avif", ".avifs", ".bmp", ".bw", ".dds", ".dib", ".flc", ".fli", ".gif", ".heic"),
        *(".heics", ".heif", ".heifs", ".hif", ".icns", ".ico", ".im", ".j2c", ".j2k", ".jfif", ".jp2"),
        *(".jpc", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".mpo", ".pbm", ".pcx", ".pfm", ".pgm"),
        *(".png", ".pnm", ".ppm", ".psd", ".qoi", ".rgb", ".rgba", ".sgi", ".tga", ".tif", ".tiff"),
        *(".webp", ".xbm", ".xpm"),
    )
)
"""Suffixes of pictures in folders, lower case."""
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
AVIF_BRANDS = (b"avif", b"avis")
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\x00", b"MM\x00*", b"BM", b"\x00\x00\x00\x0cjP  ")
_JPEG_XL = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")
_OTHERS = {
    b"%PDF": "a PDF document; save its pictures as PNG or JPEG",
    b"%!PS": "a PostScript file, which is not read because it is a program; save it as PNG or JPEG",
    b"FUJIFILMCCD-RAW": "a raw file of a camera; develop it and save it as JPEG, PNG or TIFF",
}
PREFIX_BYTES = 16
_JPEG_SIGNATURE = b"\xff\xd8\xff"
_CICP_BYTES = 4
HEAD_BYTES = 1 << 16
"""Size of the beginning of a file in which `color_tags` are looked for."""
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_TEXT = (b"tEXt", b"zTXt", b"iTXt")
_PNG_NEEDED = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS")
_MAX_META_BYTES = 1 << 20
"""Size of the beginning of an AVIF file in which its list of items is looked for."""


def other_kind(head: bytes) -> str | None:
    """Return in words what a file that is no picture is by its first `HEAD_BYTES`, and what to do; None if unknown."""
    if head.startswith(_JPEG_XL):
        return "a JPEG XL file, which Pillow does not read; save it as PNG or JPEG"
    if b"<svg" in head.lower():
        return "a drawing in SVG; save it as PNG"
    return next((kind for beginning, kind in _OTHERS.items() if head.startswith(beginning)), foreign_kind(head))


def is_heif(prefix: bytes) -> bool:
    """Return whether a file begins as HEIC and its relatives do; AVIF is none of them."""
    return prefix[4:8] == b"ftyp" and prefix[8:12] in HEIF_BRANDS


def looks_like_picture(prefix: bytes) -> bool:
    """Return whether the first `PREFIX_BYTES` are those of a common picture format, whatever the file's name."""
    if prefix.startswith(_SIGNATURES) or (prefix[:4] == b"RIFF" and prefix[8:12] == b"WEBP"):
        return True
    return prefix[4:8] == b"ftyp" and prefix[8:12] in (*HEIF_BRANDS, *AVIF_BRANDS)


def color_tags(head: bytes) -> tuple[int, int] | None:
    """Return primaries and transfer, by their numbers in ITU-T H.273, that a file states beside any profile.

    PNG states them in a chunk cICP, AVIF and HEIC in a box colr. None where the beginning of the file has none.
    """
    if head.startswith(_PNG_SIGNATURE):
        start = 8
        while start + 12 <= len(head) and head[start + 4 : start + 8] != b"IDAT":
            length = int.from_bytes(head[start : start + 4], "big")
            if head[start + 4 : start + 8] == b"cICP" and length == _CICP_BYTES:
                return head[start + 8], head[start + 9]
            start += length + 12
        return None
    found = head.find(b"colrnclx") + 8 if head[4:8] == b"ftyp" else 0
    if found < 8 or found + 4 > len(head):
        return None
    return int.from_bytes(head[found : found + 2], "big"), int.from_bytes(head[found + 2 : found + 4], "big")


def with_less(raw: bytes) -> Iterator[bytes]:
    """Give versions of a file without what pixels do not need, for files that a decoder refuses.

    PNG: without its texts, then without every other chunk that can go. JPEG: without application segments, but for
    the EXIF orientation and the tags on how colors are stored. AVIF: without the item of EXIF tags.
    """
    if raw.startswith(_JPEG_SIGNATURE):
        yield b"".join(_jpeg_segments(raw))
    if raw.startswith(_PNG_SIGNATURE):
        yield _png_chunks(raw, lambda name: name not in _PNG_TEXT)
        yield _png_chunks(raw, lambda name: name in _PNG_NEEDED)
    elif raw[4:8] == b"ftyp" and raw[8:12] in AVIF_BRANDS:
        yield raw[:_MAX_META_BYTES].replace(b"Exif", b"skip") + raw[_MAX_META_BYTES:]


def _jpeg_segments(raw: bytes) -> Iterator[bytes]:
    """Give the parts of a JPEG file that decide on its pixels, and its orientation."""
    start = 2
    yield raw[:start]
    while raw[start : start + 1] == b"\xff" and raw[start + 1 : start + 2] not in (b"\xda", b""):
        end = start + 2 + int.from_bytes(raw[start + 2 : start + 4], "big")
        segment = raw[start:end]
        orientation = tiff_orientation(segment[10:]) if segment[4:10] == b"Exif\x00\x00" else None
        if orientation is not None:
            directory = struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, 0x0112, 3, 1, orientation, 0)
            yield struct.pack(">HH", 0xFFE1, len(directory) + 8) + b"Exif\x00\x00" + directory
        elif not 0xE1 <= segment[1] <= 0xED:  # tables, JFIF, and Adobe's color transform, APP14
            yield segment
        start = max(end, start + 2)
    yield raw[start:]


def _png_chunks(raw: bytes, keep: Callable[[bytes], bool]) -> bytes:
    """Keep the chunks of a PNG file whose name passes; what follows a cut one stays as it is."""
    kept, start = [raw[:8]], 8
    while start + 8 <= len(raw):
        (length,) = struct.unpack_from(">I", raw, start)
        end = start + length + 12
        if keep(raw[start + 4 : start + 8]):
            kept.append(raw[start:end])
        start = end
    return b"".join(kept)
