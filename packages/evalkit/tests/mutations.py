"""Seeded damage to files: flipped bits, cuts, holes, repeats, other numbers in texts."""

import numpy as np


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage a file in one to three ways."""
    for _ in range(rng.integers(1, 4)):
        data = _WAYS[rng.integers(len(_WAYS))](data, rng)
    return data


def _span(data: bytes, rng: np.random.Generator) -> tuple[int, int]:
    start = int(rng.integers(0, len(data) + 1))
    return start, min(len(data), start + int(2 ** rng.uniform(0, 9)))


def _flip(data: bytes, rng: np.random.Generator) -> bytes:
    out = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        if out:
            out[rng.integers(len(out))] ^= 1 << int(rng.integers(8))
    return bytes(out)


def _noise(data: bytes, rng: np.random.Generator) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + rng.bytes(end - start) + data[end:]


def _zeros(data: bytes, rng: np.random.Generator) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + bytes(end - start) + data[end:]


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(0, len(data) + 1))]


def _hole(data: bytes, rng: np.random.Generator) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def _repeat(data: bytes, rng: np.random.Generator) -> bytes:
    start, end = _span(data, rng)
    return data[:end] + data[start:end] + data[end:]


def _head(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage the first bytes, where headers and counts stand."""
    out = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        if out:
            out[rng.integers(min(len(out), 160))] = int(rng.integers(256))
    return bytes(out)


def _digit(data: bytes, rng: np.random.Generator) -> bytes:
    """Put other digits, signs or words where digits stand."""
    out = bytearray(data)
    places = [i for i, byte in enumerate(out[:4000]) if 48 <= byte <= 57]
    if places:
        at = places[rng.integers(len(places))]
        words = (b"9", b"-", b"99999999999", b"nan", b"1e999", b" ", b"x", b"0", b"-1", b"")
        out[at : at + 1] = words[rng.integers(len(words))]
    return bytes(out)


_WAYS = (_flip, _noise, _zeros, _cut, _hole, _repeat, _head, _digit)
