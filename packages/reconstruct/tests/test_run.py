"""The command on collections: results, resume, failures, the prediction file."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import weakref
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stand_ins import DotDetector, dotted

from morphable.commands import UsageError
from morphable_reconstruct.batch import pictures
from morphable_reconstruct.batch.options import SAVE_KINDS, RunConfig
from morphable_reconstruct.commands.entry import main
from morphable_reconstruct.commands.reconstruct import check_kinds, run
from morphable_reconstruct.photographs.sources import Source
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor


@pytest.fixture
def engine():
    return DotDetector()


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name, dots in {"a.png": [(100, 120), (250, 90)], "empty.png": [], "sub/b.png": [(60, 60)]}.items():
        Image.fromarray(dotted((240, 320), dots, dot_px=16)).save(folder / name)
    return folder


def reconstruct(engine, model, folder, tmp_path, **options):
    settings = ReconstructConfig(min_score=0.4, size_px=320, batch_size=2)
    reconstructor = Reconstructor(engine, model, config=settings)
    config = RunConfig(sources=(str(folder),), out=tmp_path / "out", json=tmp_path / "summary.json", **options)
    status = run(config, reconstructor)
    return status, json.loads((tmp_path / "summary.json").read_text())


def test_every_kind_of_result(engine, model, photos, tmp_path, capsys):
    status, summary = reconstruct(engine, model, photos, tmp_path, save=",".join(SAVE_KINDS), texture_px=64)
    assert status == 0
    assert summary["faces"] == 3
    files = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file())
    suffixes = [".depth.png", ".glb", ".json", ".mtl", ".npz", ".obj", ".overlay.jpg", ".ply", ".parts.png"]
    for name, faces in {"a": 2, "empty": 0, "sub/b": 1}.items():
        for suffix in [*suffixes, ".render.png", ".segmentation.png", ".views.png"] + [
            f".{kind}_{i:02d}.png" for kind in ("texture", "frontal") for i in range(faces)
        ]:
            assert f"{name}{suffix}" in files
    out = capsys.readouterr().out
    assert "no face found in empty.png" in out
    assert "3 faces in 3 sources" in out
    depth = np.asarray(Image.open(tmp_path / "out" / "a.depth.png"))
    assert depth.shape == (240, 320)
    assert 2500 < depth[depth > 0].mean() < 3500  # 1015 * 0.15 / 48 = 3.17 m, its front nearer
    parts = np.asarray(Image.open(tmp_path / "out" / "a.parts.png"))
    assert set(np.unique(parts)) == {0, 1, 2}
    assert ((parts > 0) == (depth > 0)).all()


def test_reruns_skip_what_is_done(engine, model, photos, tmp_path):
    reconstruct(engine, model, photos, tmp_path, save="json")
    calls = engine.calls
    _, summary = reconstruct(engine, model, photos, tmp_path, save="json")
    assert engine.calls == calls
    assert all(item["skipped"] for item in summary["sources"])
    (tmp_path / "out" / "a.json").unlink()
    Image.fromarray(dotted((240, 320), [], dot_px=16)).save(photos / "sub" / "b.png")
    _, summary = reconstruct(engine, model, photos, tmp_path, save="json")
    assert {item["name"]: item["skipped"] for item in summary["sources"]} == {
        "a.png": False,
        "empty.png": True,
        "sub/b.png": False,
    }
    _, summary = reconstruct(engine, model, photos, tmp_path, save="json,npz")
    assert not any(item["skipped"] for item in summary["sources"])
    record = tmp_path / "out" / ".reconstruct" / "a.npz"
    lost = record.read_bytes().replace(b"rows_score", b"rows_skore")  # the archive is whole, a name in it is not
    for damaged in (b"damaged", record.read_bytes()[:-30], lost):
        record.write_bytes(damaged)
        _, summary = reconstruct(engine, model, photos, tmp_path, save="json,npz")
        assert sum(not item["skipped"] for item in summary["sources"]) == 1


def test_broken_files_are_reported_and_stop_nothing(engine, model, photos, tmp_path, capsys):
    (photos / "text.jpg").write_text("no picture")
    whole = (photos / "a.png").read_bytes()
    (photos / "cut.png").write_bytes(whole[: len(whole) // 2])
    status, summary = reconstruct(engine, model, photos, tmp_path, save="json")
    assert status == 1
    assert summary["failed"] == 2
    assert summary["faces"] == 3
    errors = capsys.readouterr().err
    assert "failed: text.jpg: image must be a picture" in errors
    assert "failed: cut.png: image must be a whole picture" in errors


def test_one_picture_without_focal_length_does_not_take_its_batch_along(engine, model, photos, tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 50
    Image.open(photos / "a.png").save(photos / "known.jpg", exif=exif, quality=100, subsampling=0)
    settings = ReconstructConfig(min_score=0.3, size_px=320, batch_size=8, focal="exif")
    reconstructor = Reconstructor(engine, model, config=settings)
    config = RunConfig(sources=(str(photos),), out=tmp_path / "out", save="json", json=tmp_path / "s.json")
    assert run(config, reconstructor) == 1
    summary = json.loads((tmp_path / "s.json").read_text())
    assert {item["name"] for item in summary["sources"] if item["error"] is None} == {"known.jpg"}


def test_the_prediction_file(engine, model, photos, tmp_path):
    reconstruct(engine, model, photos, tmp_path, save="json", preds=tmp_path / "preds.npz")
    for _ in range(2):  # also when everything is skipped
        preds = np.load(tmp_path / "preds.npz", allow_pickle=False)
        assert preds["processed_image"].tolist() == ["a.png", "empty.png", "sub/b.png"]
        assert preds["processed_size_hw"].tolist() == [[240, 320]] * 3
        assert preds["image"].tolist() == ["a.png", "a.png", "sub/b.png"]
        record = json.loads((tmp_path / "out" / "a.json").read_text())
        np.testing.assert_allclose(preds["landmarks68_px"][0], record["faces"][0]["landmarks68_px"], atol=1e-4)
        np.testing.assert_allclose(
            preds["landmarks68_contour_px"][1], record["faces"][1]["landmarks68_contour_px"], atol=1e-4
        )
        for name, shape in {"rotation_head": (3, 3, 3), "translation_m": (3, 3), "focal_px": (3,)}.items():
            assert preds[name].shape == shape
        # the static points project to their pixels
        points = preds["landmarks68_cam_m"][2]
        px = points[:, :2] / points[:, 2:] * preds["focal_px"][2] + (160, 120)
        np.testing.assert_allclose(px, preds["landmarks68_px"][2], atol=1e-3)
        reconstruct(engine, model, photos, tmp_path, save="json", preds=tmp_path / "preds.npz")


def test_evalkit_accepts_the_prediction_file(engine, model, photos, tmp_path):
    evalkit = pytest.importorskip("morphable_evalkit")
    reconstruct(engine, model, photos, tmp_path, save="json", preds=tmp_path / "preds.npz")
    read = evalkit.read_predictions(tmp_path / "preds.npz")
    assert len(read.image) == 3


def test_command_line_errors_are_one_line(tmp_path, capsys):
    assert main([str(tmp_path / "none.jpg"), "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"reconstruct: sources must exist, got {tmp_path / 'none.jpg'}; check the path\n"
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path), "--save", "mp3"])
    assert "save must be of overlay" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path), "--no-such-option"])


def test_wrong_usage_is_status_2_before_anything_is_read(tmp_path, capsys):
    (tmp_path / "clip.mp4").write_bytes(b"")
    assert main([str(tmp_path / "clip.mp4"), "--save", "ply", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "reconstruct: save must be of overlay, json, csv, glb for videos, got ply\n"
    assert not (tmp_path / "out").exists()
    for arguments, message in (
        (["--size-px", "500"], "size_px must be a multiple of 32"),
        (["--save", ","], "at least"),
    ):
        try:
            status = main(["a.jpg", *arguments])
        except SystemExit as error:
            status = error.code
        assert status == 2
        assert message in capsys.readouterr().err


def test_pictures_and_videos_together_give_each_what_it_can():
    picture, clip = (Source(kind=k, path=Path(n), name=n, stem=n) for k, n in (("image", "a.jpg"), ("video", "b.mp4")))
    check_kinds(["glb", "overlay"], [picture, clip])
    check_kinds(["csv"], [picture])
    with pytest.raises(UsageError, match=r"save must name one of overlay, json, csv, glb for b\.mp4, got ply, npz"):
        check_kinds(["ply", "npz"], [picture, clip])


def test_version_and_module(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"reconstruct {version('morphable-reconstruct')}\n"
    command = [sys.executable, "-m", "morphable_reconstruct", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith("reconstruct 0.")


def test_nobody_reads_the_output(monkeypatch):
    """As in `reconstruct photos | head -1`: no traceback, no word."""
    code = "import sys; from morphable_reconstruct.commands import entry\n"
    code += "def run(config):\n    while True: print('x' * 9999, flush=True)\n"
    code += "entry._action = lambda config: run\nsys.exit(entry.main(['a.jpg']))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 0
    process.stderr.close()


def test_the_summary_has_a_row_per_picture_with_its_own_time(engine, model, photos, tmp_path, capsys):
    Image.fromarray(dotted((240, 320), [], dot_px=16)).save(photos / "x[b].png")
    _, summary = reconstruct(engine, model, photos, tmp_path, save="json,obj,texture", texture_px=32)
    out = capsys.readouterr().out
    for name in ("a.png", "empty.png", "sub/b.png", "x[b].png"):
        assert sum(name in line for line in out.splitlines() if "\u2502" in line) == 1
    seconds = [item["seconds"] for item in summary["sources"]]
    assert min(seconds) > 0.0


def test_missing_weights_are_one_clear_line(tmp_path, capsys, monkeypatch):
    import morphable
    from morphable_reconstruct.reconstructor import weights

    monkeypatch.setattr(weights, "BUNDLED_FOLDER", tmp_path)
    monkeypatch.setattr(morphable, "load_model", lambda _: __import__("stand_ins").toy_model())
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert main([str(tmp_path / "a.png"), "--out", str(tmp_path / "out")]) == 1
    assert 'the bundled weights "mobile" are missing' in capsys.readouterr().err


@pytest.mark.parametrize("module", ["morphable_reconstruct", "morphable_reconstruct.commands.entry"])
def test_imports_are_light(module):
    code = f"import sys, {module}; heavy = {{'torch', 'viser', 'fastapi', 'ray', 'av', 'numba', 'onnxruntime'}}"
    subprocess.run([sys.executable, "-c", f"{code}; assert not heavy & set(sys.modules)"], check=True)


def test_large_pictures_are_held_one_at_a_time(engine, model, photos, tmp_path, monkeypatch):
    for name in ("large0.png", "large1.png", "large2.png", "sub/large3.png"):
        Image.fromarray(dotted((480, 640), [(100, 120)], dot_px=16)).save(photos / name)
    (photos / "large2.jpg").write_text("no picture")
    monkeypatch.setattr(pictures, "LARGE_PIXELS", 240 * 320)
    held, most = weakref.WeakSet(), []
    load = Reconstructor.load

    def counted(self, image, **options):
        most.append(sum(photo.size_hw == (480, 640) for photo in held))  # before this one is decoded
        photo = load(self, image, **options)
        if image.name.startswith("large"):
            assert most[-1] == 0, "a large picture is decoded while another is held"
        held.add(photo)
        return photo

    monkeypatch.setattr(Reconstructor, "load", counted)
    status, summary = reconstruct(engine, model, photos, tmp_path, save="json,overlay")
    assert status == 1
    faces = {item["name"]: item["faces"] for item in summary["sources"] if item["error"] is None}
    large = ("large0.png", "large1.png", "large2.png", "sub/large3.png")
    assert faces == {"a.png": 2, "empty.png": 0, "sub/b.png": 1} | dict.fromkeys(large, 1)
    assert [item["name"] for item in summary["sources"] if item["error"] is not None] == ["large2.jpg"]
    assert len(most) == 8


@pytest.fixture
def keyboard():
    """Python's own answer to Ctrl-C, which programs that were started in the background lack."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("keyboard")
def test_a_run_that_is_stopped_by_the_keyboard_loses_nothing(model, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(12):
        dots = [(60 + 100 * k, 90) for k in range(index % 3)]
        Image.fromarray(dotted((160, 320), dots, dot_px=16)).save(folder / f"{index:02d}.png")
    (folder / "05.jpg").write_text("no picture")

    class Stopped(DotDetector):
        def detect(self, images, **options):
            if self.calls == 3:  # pictures are decoded, computed and written at this moment
                signal.raise_signal(signal.SIGINT)
            return super().detect(images, **options)

    options = {"save": "json,overlay,glb", "preds": tmp_path / "preds.npz"}
    threads = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        reconstruct(Stopped(), model, folder, tmp_path, **options)
    started = [type(thread).__name__ for thread in set(threading.enumerate()) - threads]
    assert set(started) <= {"_RefreshThread"}  # of the progress bar, which does not wait for its own
    out = tmp_path / "out"
    assert not list(tmp_path.rglob(".mrph-*"))
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    assert not (tmp_path / "preds.npz").exists()
    status, summary = reconstruct(DotDetector(), model, folder, tmp_path, **options)
    assert status == 1
    assert [item["name"] for item in summary["sources"] if item["error"] is not None] == ["05.jpg"]
    skipped = {item["name"] for item in summary["sources"] if item["skipped"]}
    assert skipped
    assert all(f"{Path(name).stem}.glb" in before for name in skipped)
    assert sum(item["faces"] for item in summary["sources"]) == 12
    after = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    assert len(after) == 36
    assert before.items() <= after.items()  # what was there was whole
    shutil.rmtree(out)
    reconstruct(DotDetector(), model, folder, tmp_path, **options)
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == after
