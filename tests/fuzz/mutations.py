"""Seeded damage to files: flipped bits, cuts, holes, repeats, extreme lengths, other numbers in texts."""

import random
import struct
from collections.abc import Callable

HEADER_BYTES = 256
"""Beginning of a file, where counts and lengths stand; damaged more often than the rest."""
_LENGTHS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
_WORDS = (b"9", b"-", b"99999999999", b"nan", b"1e999", b" ", b"x", b"-1", b"", b"null", b"[", b'"')


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Return a file damaged in one to three ways; the same generator state gives the same damage."""
    for _ in range(rng.randint(1, 3)):
        data = rng.choice(WAYS)(data, rng)
    return data


def _place(data: bytes, rng: random.Random) -> int:
    """A place in the file, every second time in its header."""
    return rng.randrange(max(1, min(len(data), HEADER_BYTES) if rng.random() < 0.5 else len(data)))


def _span(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = _place(data, rng)
    return start, min(len(data), start + int(2 ** rng.uniform(0, 10)))


def _flip(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        if out:
            out[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(out)


def _noise(data: bytes, rng: random.Random) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + rng.randbytes(end - start) + data[end:]


def _fill(data: bytes, rng: random.Random) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + rng.choice((b"\0", b"\xff")) * (end - start) + data[end:]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: _place(data, rng)]


def _hole(data: bytes, rng: random.Random) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    start, end = _span(data, rng)
    return data[:end] + data[start:end] * rng.randint(1, 4) + data[end:]


def _length(data: bytes, rng: random.Random) -> bytes:
    """Write an extreme number of 2, 4 or 8 bytes where a length may stand."""
    code, size = rng.choice((("H", 2), ("I", 4), ("Q", 8)))
    value = rng.choice([length for length in _LENGTHS if length < 1 << 8 * size])
    start = _place(data, rng)
    return data[:start] + struct.pack(rng.choice("<>") + code, value) + data[start + size :]


def _digit(data: bytes, rng: random.Random) -> bytes:
    """Put other digits, signs or words where a digit stands."""
    places = [i for i, byte in enumerate(data[:4000]) if 48 <= byte <= 57]
    if not places:
        return _flip(data, rng)
    at = rng.choice(places)
    return data[:at] + rng.choice(_WORDS) + data[at + 1 :]


WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(_flip, _noise, _fill, _cut, _hole, _repeat, _length, _digit),
)
