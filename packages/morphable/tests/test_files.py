"""Whole or absent files, and the messages about extras."""

import errno
import os
import struct
import subprocess
import sys
import time

import pytest
from safetensors import SafetensorError

from morphable.extras import import_extra, requirements
from morphable.files import atomic_path, claimed, refusing, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_file_appears_when_the_block_is_done(tmp_path):
    target = tmp_path / ("long" * 60 + ".npz")  # 244 letters: no name longer than the target's would fit
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert temporary.suffix == ".npz"
        assert temporary.parent == tmp_path
        assert len(temporary.name) < 20
        assert not target.exists()
    assert names(tmp_path) == [target.name]
    assert target.stat().st_mode & 0o777 == 0o644


def test_two_writers_do_not_share_a_name(tmp_path):
    target = tmp_path / "a.txt"
    with atomic_path(target) as first, atomic_path(target) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt()])
def test_failure_leaves_the_earlier_file_and_nothing_else(tmp_path, error):
    write_text(tmp_path / "a.txt", "old")

    def fail():
        with atomic_path(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks there")
def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    """But not what another one is writing: a locked file, or one changed a moment ago."""
    left, recent = tmp_path / ".mrph-aaaaaaaa.txt", tmp_path / ".mrph-bbbbbbbb.txt"
    for path in (left, recent):
        path.write_text("half")
    hour_ago = time.time() - 3600
    os.utime(left, (hour_ago, hour_ago))
    with atomic_path(tmp_path / "held.txt") as held:
        os.utime(held, (hour_ago, hour_ago))
        code = "import sys; from morphable.files import write_text; write_text(sys.argv[1], 'whole')"
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.txt")], check=True)
        assert held.exists()
        held.write_text("whole")
    assert names(tmp_path) == [recent.name, "a.txt", "held.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks there")
def test_a_folder_is_claimed_by_one_at_a_time(tmp_path):
    with (
        claimed(tmp_path),
        pytest.raises(BlockingIOError, match=r"one program at a time, got .*; wait"),
        claimed(tmp_path),
    ):
        pass
    with claimed(tmp_path):
        pass


@pytest.mark.parametrize(
    "error",
    [struct.error("unpack"), KeyError("name"), MemoryError(), RecursionError("deep"), OSError("seek"), ValueError("x")],
)
def test_any_error_of_a_decoder_is_one_refusal(error, tmp_path):
    path = tmp_path / "a.bin"
    refusal = pytest.raises(ValueError, match=r"^file must be whole, got .*a\.bin: .+; fetch it again$")
    with refusal, refusing("file must be whole", path, next_step="fetch it again"):
        raise error


@pytest.mark.parametrize(
    "error",
    [FileNotFoundError("gone"), PermissionError(errno.EACCES, "no"), OSError(errno.EIO, "disk"), ModuleNotFoundError()],
)
def test_errors_that_are_not_the_files_pass(error, tmp_path):
    with pytest.raises(type(error)) as caught, refusing("file must be whole", tmp_path):
        raise error
    assert caught.value is error


def test_a_refusal_that_names_the_file_passes_and_long_ones_are_cut(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(ValueError, match=r"a\.json must be short$"), refusing("file must be whole", path):
        raise ValueError(f"{path} must be short")
    with pytest.raises(ValueError, match=r"word \.\.\.$") as caught, refusing("file must be whole", path):
        raise RuntimeError("word\n" * 1000)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_full_disk_and_broken_writers_name_the_file(tmp_path):
    with pytest.raises(OSError, match=r"disk must have room for .*a\.txt"), atomic_path(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match=r"a\.txt could not be written"), atomic_path(tmp_path / "a.txt"):
        raise SafetensorError("io")
    assert names(tmp_path) == []


def test_folder_must_exist_or_be_asked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match="path must be in an existing folder"):
        write_text(tmp_path / "none" / "a.txt", "x")
    write_text(tmp_path / "made" / "a.txt", "x", parents=True)
    assert names(tmp_path) == ["made"]


def test_missing_extra_names_its_requirements(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    wanted = r"scipy is not installed; run `pip install 'scipy>=1\.13' .*` \(extra 'morphable\[convert\]'\)"
    with pytest.raises(ModuleNotFoundError, match=wanted):
        import_extra("scipy", "morphable", "convert")
    assert requirements("morphable", "no-such-extra") == []
    assert requirements("no-such-distribution", "convert") == []


def test_an_error_inside_the_package_passes_through(tmp_path, monkeypatch):
    (tmp_path / "outer_package.py").write_text("import no_such_inner_package")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_inner_package'"):
        import_extra("outer_package", "morphable", "convert")
