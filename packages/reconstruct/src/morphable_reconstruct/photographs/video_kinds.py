"""Which files are videos, by their content, and by their suffix where the content does not tell."""

from pathlib import Path

from morphable.decoding import open_picture

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv"}
    | {".ts", ".mts", ".m2ts", ".3gp", ".3g2", ".flv", ".ogv", ".vob", ".mxf"}
)
_OTHER_THINGS = frozenset({".ts", ".mts"})
"""Suffixes that programs' source text has as well."""
_PICTURE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"jxl ", b"crx ")
"""Brands of ISO files that hold pictures."""
_STARTS = (b"\x1aE\xdf\xa3", b"FLV\x01", b"OggS", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"\x00\x00\x01\xba")
"""Matroska and WebM, FLV, Ogg, ASF (WMV), MPEG program streams."""
_PACKETS = ((0, 188), (4, 192))
"""Place of the first sync byte of MPEG transport streams, and distance of the next: broadcasts, camcorders."""
_SYNC = 0x47
_HEADER_BYTES = 4 * 192


def is_video(path: Path) -> bool:
    """Return whether a file is a video: by its content, else by its suffix. An animated GIF is one."""
    header = _header(path)
    if _starts_as_video(header):
        return True
    if header[:4] == b"GIF8":
        return _is_animated(path)
    suffix = path.suffix.lower()
    return suffix in VIDEO_SUFFIXES and suffix not in _OTHER_THINGS


def _starts_as_video(header: bytes) -> bool:
    """Whether the first bytes are those of a container of videos."""
    if header[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
        return header[8:12] not in _PICTURE_BRANDS
    if header[:4] == b"RIFF":
        return header[8:12] == b"AVI "
    if header.startswith(_STARTS):
        return True
    return any(
        len(header) >= 3 * step and all(header[place + i * step] == _SYNC for i in range(3)) for place, step in _PACKETS
    )


def _header(path: Path) -> bytes:
    """Return the first bytes of a file; none if it can't be read, an error that reading the file reports."""
    try:
        with path.open("rb") as file:
            return file.read(_HEADER_BYTES)
    except OSError:
        return b""


def _is_animated(path: Path) -> bool:
    """Whether a GIF has more than one frame."""
    try:
        with open_picture(path) as picture:
            picture.seek(1)
    except Exception:  # a damaged picture, in its decoder's words; reading it says so
        return False
    return True
