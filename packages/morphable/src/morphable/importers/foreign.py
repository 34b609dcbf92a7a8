"""Recognizing what a file is when it is not what its name promises."""

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_BEGINNINGS = {
    b"version https://git-lfs": "a Git LFS pointer; run `git lfs pull` to fetch the file itself",
    b"<!doctype html": "a web page; download the file itself, logged in where the site asks for it",
    b"<html": "a web page; download the file itself, logged in where the site asks for it",
    b"<?xml": "an XML document (often a download site's refusal); download the file itself",
    b"PK\x03\x04": "a zip archive; unpack it first",
    b"\x1f\x8b": "a gzip archive; unpack it first",
    HDF5_MAGIC: "an HDF5 file",
}
_LOOKED_AT = 512
"""Bytes of the beginning that are looked at: blanks and a byte-order mark may come first."""


def foreign_kind(raw: bytes) -> str | None:
    """Return in words which kind of file begins like this, with the next step, or None if none is recognized.

    Args:
        raw: The beginning of the file, or all of it.
    """
    if not raw:
        return "an empty file; download it again"
    start = raw[:_LOOKED_AT].removeprefix(b"\xef\xbb\xbf").lstrip()
    lowered = start.lower()
    for beginning, kind in _BEGINNINGS.items():
        if start.startswith(beginning) or lowered.startswith(beginning):
            return kind
    return None
