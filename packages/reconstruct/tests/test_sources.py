"""Which pictures and videos an argument stands for, and how they are named."""

import pytest

from morphable_reconstruct.photographs.sources import find_sources


@pytest.fixture
def folder(tmp_path):
    for name in ("a.jpg", "b.PNG", "notes.txt", "sub/c.jpg", "sub/clip.mp4", "other/a.jpg", "a.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def test_a_folder_is_read_recursively_in_order(folder):
    sources = find_sources([str(folder)])
    assert [s.name for s in sources] == ["a.jpg", "a.png", "b.PNG", "other/a.jpg", "sub/c.jpg", "sub/clip.mp4"]
    assert [s.kind for s in sources] == ["image"] * 5 + ["video"]
    # a.jpg and a.png would both become a.glb
    assert [s.stem for s in sources] == ["a.jpg", "a.png", "b", "other/a", "sub/c", "sub/clip"]


def test_globs_files_and_webcams(folder):
    assert [s.name for s in find_sources([f"{folder}/*.jpg"])] == ["a.jpg"]
    assert [s.name for s in find_sources([f"{folder}/**/*.jpg"])] == ["a.jpg", "other/a.jpg", "sub/c.jpg"]
    assert [s.name for s in find_sources([str(folder / "notes.txt")])] == ["notes.txt"]
    webcam = find_sources(["webcam:1"])[0]
    assert (webcam.kind, str(webcam.path), webcam.stem) == ("webcam", "webcam1", "webcam1")


def test_names_are_different_and_nothing_is_listed_twice(folder):
    twice = find_sources([str(folder / "a.jpg"), str(folder / "a.jpg")])
    assert len(twice) == 1
    same = find_sources([str(folder / "a.jpg"), str(folder / "other" / "a.jpg")])
    assert [s.name for s in same] == ["a.jpg", "other/a.jpg"]


def test_results_and_hidden_files_are_no_sources(folder):
    (folder / "._a.jpg").touch()
    (folder / "out" / "sub").mkdir(parents=True)
    (folder / "out" / "sub" / "c.overlay.jpg").touch()
    names = [s.name for s in find_sources([str(folder)], without=folder / "out")]
    assert names == ["a.jpg", "a.png", "b.PNG", "other/a.jpg", "sub/c.jpg", "sub/clip.mp4"]
    assert len(find_sources([str(folder / "out")], without=folder / "out")) == 1


def test_folders_named_with_wildcards_hold_globs(tmp_path):
    for name in ("shoot [1]", "shoot 1", "a*"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name[-1]}.jpg").touch()
    assert [source.path.name for source in find_sources([f"{tmp_path}/shoot [1]/*.jpg"])] == ["].jpg"]
    assert [source.path.name for source in find_sources([f"{tmp_path}/a*/*.jpg"])] == ["*.jpg"]
    assert [source.name for source in find_sources([f"{tmp_path}/shoot */*.jpg"])] == [
        "shoot 1/1.jpg",
        "shoot [1]/].jpg",
    ]


def test_refusals(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"sources must exist, got .*none\.jpg"):
        find_sources([str(folder / "none.jpg")])
    with pytest.raises(FileNotFoundError, match="pictures or videos, got none in"):
        find_sources([f"{folder}/*.bmp"])
    with pytest.raises(ValueError, match="name at least one"):
        find_sources([])
    with pytest.raises(ValueError, match="webcam must be followed by its number"):
        find_sources(["webcam:front"])
