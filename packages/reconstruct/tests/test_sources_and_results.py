"""What is a source, what is a result, and what a result is called."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from stand_ins import DotDetector, dotted

from morphable.commands import printable
from morphable_reconstruct.batch.options import RunConfig
from morphable_reconstruct.commands.entry import main
from morphable_reconstruct.commands.reconstruct import run
from morphable_reconstruct.photographs.naming import (
    MAX_STEM_BYTES,
    distinct_stems,
    result_source,
    safe_stem,
)
from morphable_reconstruct.photographs.sources import LeftOut, find_sources
from morphable_reconstruct.reconstructor import detectors
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor


def one_face() -> Image.Image:
    return Image.fromarray(dotted((240, 320), [(160, 120)], dot_px=16))


def reconstruct(model, sources, out, **options):
    settings = ReconstructConfig(min_score=0.4, size_px=320)
    reconstructor = Reconstructor(DotDetector(), model, config=settings)
    return run(RunConfig(sources=tuple(map(str, sources)), out=out, **options), reconstructor)


def test_what_is_missing_does_not_stop_the_others(model, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    one_face().save(tmp_path / "a.png")
    asked, summary = ["a.png", "gone.png", "empty", "none*.png"], tmp_path / "summary.json"
    assert reconstruct(model, [tmp_path / name for name in asked], tmp_path / "out", save="json", json=summary) == 1
    assert (tmp_path / "out" / "a.json").is_file()
    told = json.loads(summary.read_text())
    assert told["failed"] == 3
    problems = {Path(source["name"]).name: source["error"] for source in told["sources"] if source["error"]}
    assert problems["gone.png"].startswith("sources must exist, got ")
    assert problems["empty"].startswith("sources must hold pictures or videos, got none in ")
    assert "none*.png" in problems
    assert "failed: " in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match="sources must exist"):
        reconstruct(model, [tmp_path / "gone.png"], tmp_path / "out")


# Sources ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", ["overlay,views,depth,segmentation,texture,crop,obj"])
def test_own_results_are_never_sources(model, tmp_path, kinds, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("pics").mkdir()
    for name in ("a.png", "b.png"):
        one_face().save(Path("pics") / name)
    for _ in range(2):
        assert reconstruct(model, ["pics"], Path("pics"), save=kinds, texture_px=32) == 0
        assert [s.name for s in find_sources(["pics"], without=Path("pics"))] == ["a.png", "b.png"]
    assert reconstruct(model, ["."], Path("out"), save=kinds, texture_px=32) == 0
    assert [s.name for s in find_sources(["."], without=Path("out2"))] == ["pics/a.png", "pics/b.png"]
    assert [s.name for s in find_sources(["**/*"], without=Path("out2"))] == ["pics/a.png", "pics/b.png"]


def test_a_result_named_directly_is_taken(tmp_path):
    (tmp_path / ".reconstruct").mkdir()
    one_face().save(tmp_path / "a.overlay.jpg")
    assert [s.name for s in find_sources([str(tmp_path / "a.overlay.jpg")])] == ["a.overlay.jpg"]


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.overlay.jpg", "a"),
        ("a.b.texture_07.png", "a.b"),
        ("x_face_123.png", "x"),
        ("a.crop_00.png", "a"),
        ("clip.overlay.mp4", "clip"),
        ("overlay.jpg", None),
        (".overlay.jpg", None),
        ("a.png", None),
    ],
)
def test_names_of_results(name, stem):
    assert result_source(name) == stem


def test_what_is_left_out_is_counted(tmp_path):
    for name in ("a.jpg", "n.txt", "m.TXT", "p.pdf", ".hidden.jpg", ".thumbnails/t.jpg", "@eaDir/a.jpg/t.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "._a.jpg").touch()
    (tmp_path / "a.overlay.jpg").touch()
    left_out = LeftOut()
    assert [s.name for s in find_sources([str(tmp_path)], left_out=left_out)] == ["a.jpg"]
    assert left_out.notes() == (
        "3 files skipped: 2 .txt, 1 .pdf",
        "1 result of earlier runs left out",
        "3 hidden folders left out",
    )


@pytest.mark.parametrize(
    "suffix", [".jfif", ".jpe", ".mpo", ".pnm", ".dib", ".jpx", ".j2k", ".jxl", ".apng", ".heic", ".JPG"]
)
def test_unusual_suffixes_are_taken_or_told(tmp_path, suffix):
    (tmp_path / "a.png").touch()
    (tmp_path / f"b{suffix}").touch()
    left_out = LeftOut()
    names = [s.name for s in find_sources([str(tmp_path)], left_out=left_out)]
    assert names == ["a.png"] + ([] if suffix == ".jxl" else [f"b{suffix}"])
    assert (".jxl" in left_out.suffixes) == (suffix == ".jxl")


@pytest.mark.parametrize("name", ["photo.JPG_large", "photo"])
def test_pictures_of_unknown_suffix_are_taken_by_their_first_bytes(tmp_path, name):
    one_face().save(tmp_path / name, "JPEG")
    (tmp_path / "notes").write_text("no picture")
    assert [s.name for s in find_sources([str(tmp_path)])] == [name]


def test_linked_folders_are_followed_once(tmp_path):
    real, asked = tmp_path / "real", tmp_path / "asked"
    (real / "deep").mkdir(parents=True)
    asked.mkdir()
    (real / "deep" / "a.jpg").touch()
    (asked / "link").symlink_to(real)
    (asked / "again").symlink_to(real)
    (real / "circle").symlink_to(real)
    assert [s.name for s in find_sources([str(asked)])] == ["again/deep/a.jpg"]
    assert len(find_sources([f"{asked}/**/*.jpg"])) == 1


# Names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (["a.jpg", "b.jpg"], ["a", "b"]),
        (["a.jpg", "a.png"], ["a.jpg", "a.png"]),
        (["A.jpg", "a.png"], ["A.jpg", "a.png"]),
        (["A.jpg", "a.jpg"], ["A.jpg", "a.jpg~2"]),
        (["a.jpg", "a.png", "a.jpg.tif"], ["a.jpg", "a.png", "a.jpg~2"]),
        (["é.jpg", "é.png"], ["é.jpg", "é.png"]),
    ],
)
def test_stems_are_distinct_where_case_does_not_count(names, stems):
    assert distinct_stems(names) == stems


def test_long_names_are_shortened_and_stay_distinct():
    names = [f"sub/{'ж' * 120}{i}.jpg" for i in range(3)]
    stems = distinct_stems(names)
    assert len(set(stems)) == 3
    assert all(len(stem.removeprefix("sub/").encode()) <= MAX_STEM_BYTES for stem in stems)
    assert all(stem.startswith("sub/жжж") for stem in stems)


@pytest.mark.parametrize(
    "name",
    [
        "лицо.jpg",
        "face [front].jpg",
        "x[b].jpg",
        ":smile:.jpg",
        "a'b\"c.jpg",
        "spaced name.jpg",
        "n" * 226 + ".jpg",
        "-a.jpg",
        "% d.jpg",
    ],
)
def test_any_name_gives_results_that_other_programs_find(model, tmp_path, capsys, name):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    one_face().save(photos / name)
    summary = tmp_path / "s.json"
    assert reconstruct(model, [photos], out, save="overlay,json,obj,csv,npz,glb", texture_px=32, json=summary) == 0
    assert name[:20] in capsys.readouterr().out.replace("\n", "")
    source = json.loads(summary.read_text())["sources"][0]
    assert source["name"] == name
    assert all((out / file).is_file() for file in source["files"])
    (obj,) = out.glob("*.obj")
    library = next(line.split(maxsplit=1)[1] for line in obj.read_text().splitlines() if line.startswith("mtllib"))
    assert library.isascii()
    texture = next(line.split()[1] for line in (out / library).read_text().splitlines() if "map_Kd" in line)
    assert (out / texture).is_file()
    loaded = trimesh.load(obj, force="mesh")
    assert loaded.visual.material.image is not None


def test_bytes_that_are_not_utf8_are_names_too(model, tmp_path, capsys):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    raw = os.fsencode(photos) + b"/a\xff.png"
    with Path(os.fsdecode(raw)).open("wb") as file:
        one_face().save(file, "PNG")
    summary, preds = tmp_path / "s.json", tmp_path / "p.npz"
    options = {"save": "overlay,json,obj,csv,npz,glb", "texture_px": 32, "json": summary, "preds": preds}
    assert reconstruct(model, [photos], out, **options) == 0
    assert json.loads(summary.read_text())["sources"][0]["name"] == "a\\xff.png"
    assert "a\\xff.png" in capsys.readouterr().out
    assert (out / os.fsdecode(b"a\xff.overlay.jpg")).is_file()
    assert reconstruct(model, [photos], out, **options) == 0
    assert json.loads(summary.read_text())["sources"][0]["skipped"]


def test_names_that_steer_a_terminal_are_shown_and_not_obeyed(model, tmp_path, capsys):
    photos, out, summary = tmp_path / "photos", tmp_path / "out", tmp_path / "s.json"
    photos.mkdir()
    one_face().save(photos / "a\nb\x1b[31m\u202egpj.jpg")
    (photos / "bad\x1b[2J.jpg").write_bytes(b"no picture")
    assert reconstruct(model, [photos], out, save="overlay,json,obj", texture_px=32, json=summary) == 1
    told = capsys.readouterr()
    assert "\x1b" not in told.out + told.err
    assert "failed: bad\\x1b[2J.jpg: " in told.err
    first, second = json.loads(summary.read_text())["sources"]
    assert (first["name"], second["name"]) == ("a\\nb\\x1b[31m\\u202egpj.jpg", "bad\\x1b[2J.jpg")
    assert (out / "a\nb\x1b[31m\u202egpj.overlay.jpg").is_file()
    (obj,) = out.glob("*.obj")
    words = {line.partition(" ")[0] for line in obj.read_text().splitlines() if line}
    assert words <= {"#", "mtllib", "o", "g", "v", "vt", "vn", "usemtl", "s", "f"}
    assert main([str(tmp_path / "gone\x1b[2J.jpg")]) == 1
    assert "gone\\x1b[2J.jpg" in capsys.readouterr().err


def test_pipes_are_no_sources(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")  # reading it would wait forever
    with pytest.raises(FileNotFoundError, match=r"sources must be files or folders, got .*a\.jpg, a pipe"):
        find_sources([str(tmp_path / "a.jpg")])
    with pytest.raises(FileNotFoundError, match="got none in"):
        find_sources([str(tmp_path)])


def test_folders_that_cannot_be_read_are_counted(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refuse(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    left_out = LeftOut()
    assert [source.name for source in find_sources([str(tmp_path)], left_out=left_out)] == ["a.jpg"]
    assert left_out.notes() == ("1 folder left out for lack of permission or a fault of the disk",)


def test_safe_and_printable_names():
    assert safe_stem("a-b_c.1") == "a-b_c.1"
    assert safe_stem("лицо").isascii()
    assert safe_stem("лицо") != safe_stem("рука")
    assert printable("лицо\udcff") == "лицо\\xff"
    assert printable("a\tb\x9bc\u2028d 👩‍🚀é") == "a\\tb\\x9bc\\u2028d 👩‍🚀é"


# Results ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [".mtl", "_face_00.png"])
def test_rerun_restores_any_file_of_a_result(model, tmp_path, lost):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    one_face().save(photos / "a.png")
    reconstruct(model, [photos], out, save="obj", texture_px=32)
    assert (out / f"a{lost}").is_file()
    (out / f"a{lost}").unlink()
    reconstruct(model, [photos], out, save="obj", texture_px=32)
    assert (out / f"a{lost}").is_file()


@pytest.mark.parametrize("option", ["json", "preds"])
def test_files_that_cannot_be_written_are_found_before_the_first_picture(model, tmp_path, option):
    one_face().save(tmp_path / "a.png")
    (tmp_path / "folder").mkdir()
    for path, error, message in (
        (tmp_path / "none" / "x.npz", FileNotFoundError, r"got .*none/x\.npz; create .*none first"),
        (tmp_path / "folder", IsADirectoryError, "results must go to a file, got the folder .*folder"),
    ):
        with pytest.raises(error, match=message):
            reconstruct(model, [tmp_path / "a.png"], tmp_path / "out", **{option: path})
    assert not list((tmp_path / "out").iterdir())


def test_folder_that_cannot_be_written_is_found_before_the_first_picture(model, tmp_path, monkeypatch):
    one_face().save(tmp_path / "a.png")
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="out must be a folder, got the file"):
        reconstruct(model, [tmp_path / "a.png"], tmp_path / "file")

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)  # root may write everywhere
    with pytest.raises(PermissionError, match=r"folder must be writable, got .*out"):
        reconstruct(model, [tmp_path / "a.png"], tmp_path / "out")


def test_the_limit_of_faces_is_told(model, tmp_path, capsys):
    Image.fromarray(dotted((240, 320), [(60, 60), (160, 120), (250, 60)], dot_px=16)).save(tmp_path / "a.png")
    settings = ReconstructConfig(min_score=0.4, size_px=320, max_faces=2)
    reconstructor = Reconstructor(DotDetector(), model, config=settings)
    config = RunConfig(sources=(str(tmp_path / "a.png"),), out=tmp_path / "out", save="json")
    assert run(config, reconstructor) == 0
    assert "note: a.png: 2 faces, the limit: there may be more; raise it with --max-faces" in capsys.readouterr().err


def test_stretched_values_are_told(model, tmp_path, capsys):
    gray = np.asarray(one_face().convert("L")).astype(np.uint16) * 4
    Image.fromarray(gray).save(tmp_path / "a.png")
    reconstruct(model, [tmp_path / "a.png"], tmp_path / "out", save="json")
    assert "note: a.png: 16-bit values from" in capsys.readouterr().err


def test_user_without_a_home_folder_gets_a_temporary_one(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert detectors.cache_folder() == tmp_path / f"morphable-{os.getuid()}"


def test_command_tells_what_it_skipped(tmp_path, capsys):
    (tmp_path / "notes.txt").touch()
    assert main([str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "check the suffixes; 1 file skipped: 1 .txt" in capsys.readouterr().err
