"""Whole or absent files, and the messages about extras."""

import errno
import sys

import pytest
from safetensors import SafetensorError

from morphable.extras import import_extra, requirements
from morphable.files import atomic_path, write_text


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
