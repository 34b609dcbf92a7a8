"""The fuzz session: what it calls a failure, and (slow) its readers."""

import argparse
import random
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parent / "fuzz"


@pytest.fixture
def fuzz(monkeypatch):
    """The session's modules, which lie in a folder of their own."""
    monkeypatch.syspath_prepend(str(FUZZ))
    import mutations
    import reader
    import run

    yield argparse.Namespace(mutations=mutations, reader=reader, run=run)
    for name in ("mutations", "reader", "readers", "run", "media", "training"):
        sys.modules.pop(name, None)


def test_damage_is_the_same_for_the_same_seed(fuzz):
    whole = bytes(range(256)) * 8
    damaged = [fuzz.mutations.mutate(whole, random.Random(seed)) for seed in range(200)]
    assert damaged == [fuzz.mutations.mutate(whole, random.Random(seed)) for seed in range(200)]
    assert sum(data != whole for data in damaged) > 190
    assert any(len(data) < len(whole) for data in damaged)
    assert any(len(data) > len(whole) for data in damaged)
    assert all(isinstance(fuzz.mutations.mutate(b"", random.Random(seed)), bytes) for seed in range(200))


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "read"),
        (ValueError("damaged"), "refused"),
        (OSError("damaged"), "refused"),
        (LookupError("documented"), "refused"),
        (TypeError("undocumented"), "TypeError: 'undocumented'"),
        (KeyboardInterrupt(), "KeyboardInterrupt: ''"),
    ],
)
def test_only_documented_errors_are_refusals(fuzz, tmp_path, error, outcome):
    def read(path):
        assert path.read_bytes() == b"data"
        if error is not None:
            raise error

    reader = fuzz.reader.Reader(".bin", lambda: b"", read, allowed=(LookupError,))
    options = argparse.Namespace(seconds=60.0, memory_mb=2048.0)
    assert fuzz.run._outcome(reader, tmp_path / "a.bin", b"data", options) == outcome


def test_memory_is_a_failure(fuzz, tmp_path):
    kept = []
    reader = fuzz.reader.Reader(".bin", lambda: b"", lambda path: kept.append(bytearray(64 << 20)))
    options = argparse.Namespace(seconds=60.0, memory_mb=16.0)
    for _ in range(40):  # what the process had at most before may be more than it has now
        outcome = fuzz.run._outcome(reader, tmp_path / "a.bin", b"", options)
        if outcome != "read":
            break
    assert outcome.startswith("memory: ")


@pytest.mark.slow
def test_every_reader_refuses_damaged_files(fuzz, tmp_path):
    """As `nox -s fuzz -- --count 2000`; the files that failed are kept in the folder that the message names."""
    assert fuzz.run.main(["--count", "2000", "--keep", str(tmp_path)]) == 0, tmp_path
