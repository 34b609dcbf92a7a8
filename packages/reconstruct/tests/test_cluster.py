"""Ray workers: same results as alone, resume, workers that are killed, and clusters that nobody serves."""

import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from stand_ins import dotted

from morphable_reconstruct.batch.cluster import _row, _source, drop_older_rows
from morphable_reconstruct.batch.options import RunConfig
from morphable_reconstruct.photographs.sources import find_sources

PICTURES = 40
HERE = str(Path(__file__).parent)
"""Stand-ins are imported from here by the workers, which are told in place of a model."""


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(PICTURES):
        dots = [(60 + 40 * i, 80) for i in range(index % 4)]
        Image.fromarray(dotted((160, 256), dots, dot_px=16)).save(folder / f"{index:02d}.png")
    (folder / "broken.png").write_text("no picture")
    return folder


def worker_class():
    """Defined inside a function, so that Ray ships its code rather than the name of this test module."""

    class DotWorker:
        def __init__(self, config, weights_sha256):
            sys.path.insert(0, config.model)
            from stand_ins import DotDetector, toy_model

            from morphable_reconstruct.batch.records import Records
            from morphable_reconstruct.reconstructor.config import ReconstructConfig
            from morphable_reconstruct.reconstructor.reconstructor import Reconstructor

            class MortalDetector(DotDetector):
                def detect(self, images, **options):
                    if (images[:, 2] > images[:, 0] + 0.9).any():  # blue
                        os._exit(1)
                    return super().detect(images, **options)

            settings = ReconstructConfig(min_score=0.4, size_px=256)
            self.config = config
            self.reconstructor = Reconstructor(MortalDetector(), toy_model(), config=settings)
            self.records = Records(config, weights_sha256)

        def __call__(self, batch):
            from morphable_reconstruct.batch.cluster import ClusterWorker

            result = ClusterWorker.__call__(self, batch)
            trap = self.config.out / "trap"
            if trap.exists():  # the first block to end takes its worker along, after its files are written
                trap.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            return result

    return DotWorker


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_workers_one_killed_and_a_rerun(photos, tmp_path, capfd):
    pytest.importorskip("ray")
    parquet = pytest.importorskip("pyarrow.parquet")
    from morphable_reconstruct.batch.cluster import PARQUET_FOLDER, run_on_ray

    out = tmp_path / "out"
    out.mkdir()
    (out / "trap").touch()
    config = RunConfig(sources=(str(photos),), out=out, save="json,glb", texture="none", workers=2, model=HERE)
    sources = find_sources(config.sources)
    outcomes = run_on_ray(sources, config, "hash", worker=worker_class())
    assert not (out / "trap").exists()
    faces = {outcome.source.name: outcome.faces for outcome in outcomes if outcome.error is None}
    assert faces == {f"{index:02d}.png": index % 4 for index in range(PICTURES)}
    (broken,) = [outcome for outcome in outcomes if outcome.error is not None]
    assert "image must be a picture" in broken.error
    assert len(list(out.glob("*.glb"))) == PICTURES
    assert any(outcome.seconds > 0.0 for outcome in outcomes)
    table = parquet.read_table(out / PARQUET_FOLDER)
    assert len(table) == sum(faces.values())
    assert len(
        set(zip(table["image"].to_pylist(), map(tuple, table["landmarks68_px"].to_pylist()), strict=True))
    ) == len(table)
    changed = {path: path.stat().st_mtime_ns for path in out.glob("*.glb")}
    Image.fromarray(dotted((160, 256), [(60, 80)], dot_px=16)).save(photos / "0.png")  # shifts every block by one
    again = run_on_ray(find_sources(config.sources), config, "hash", worker=worker_class())
    assert sum(outcome.faces for outcome in again) == len(table) + 1
    assert [outcome.source.name for outcome in again if not outcome.skipped] == ["0.png", "broken.png"]
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.glb") if path.stem != "0"} == changed
    images = parquet.read_table(out / PARQUET_FOLDER)["image"].to_pylist()
    assert Counter(images) == Counter({name: count for name, count in faces.items() if count} | {"0.png": 1})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_picture_that_kills_its_workers_takes_no_other_along(tmp_path):
    pytest.importorskip("ray")
    parquet = pytest.importorskip("pyarrow.parquet")
    from morphable_reconstruct.batch.cluster import PARQUET_FOLDER, run_on_ray

    folder = tmp_path / "photos"
    folder.mkdir()
    for name in "abcd":
        pixels = dotted((160, 256), [(60, 80)], dot_px=16)
        pixels[:, 200:] = (0, 0, 255) if name == "b" else pixels[:, 200:]
        Image.fromarray(pixels).save(folder / f"{name}.png")
    config = RunConfig(sources=(str(folder),), out=tmp_path / "out", save="json", workers=1, model=HERE)
    outcomes = run_on_ray(find_sources(config.sources), config, "hash", worker=worker_class())
    errors = {outcome.source.stem: outcome.error for outcome in outcomes}
    assert "its worker ended" in errors.pop("b")
    assert errors == {"a": None, "c": None, "d": None}
    images = parquet.read_table(tmp_path / "out" / PARQUET_FOLDER)["image"].to_pylist()
    assert sorted(images) == ["a.png", "c.png", "d.png"]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "ray://nobody", "nonsense", "a:b"])
def test_an_address_that_nobody_serves_is_named(address, monkeypatch):
    from morphable_reconstruct.batch.cluster import _start

    def init(**options):
        assert "num_cpus" not in options
        raise ConnectionError("timeout") if address.startswith("ray://") else ValueError("invalid address format")

    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ConnectionError, match=f"RAY_ADDRESS must be .*, got '{address}' .*; start one with `ray start"):
        _start(SimpleNamespace(init=init), 2)


@pytest.mark.parametrize("address", [None, ""])
def test_without_an_address_ray_is_started_here(address, monkeypatch):
    from morphable_reconstruct.batch.cluster import _start

    given = {}
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if address is not None:
        monkeypatch.setenv("RAY_ADDRESS", address)
    _start(SimpleNamespace(init=given.update), 3)
    assert (given["address"], given["num_cpus"]) == ("local", 3)  # also beside a cluster that runs on this machine


def test_a_ray_that_does_not_start_is_one_error(monkeypatch):
    from morphable_reconstruct.batch.cluster import _start

    def init(**_):
        raise Exception("the current node timed out during startup")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(OSError, match="Ray could not start on this machine: the current node timed out"):
        _start(SimpleNamespace(init=init), 2)


def test_parquet_has_one_row_per_face(tmp_path, model):
    parquet = pytest.importorskip("pyarrow.parquet")
    from test_exports import make_scene

    from morphable_reconstruct.batch.cluster import write_parquet
    from morphable_reconstruct.batch.pictures import Outcome
    from morphable_reconstruct.exports.predictions import prediction_rows
    from morphable_reconstruct.photographs.sources import Source

    source = Source(kind="image", path=Path("a.png"), name="a.png", stem="a")
    scene = make_scene(model)
    outcomes = [Outcome(source=source, faces=2, rows=prediction_rows(scene)), Outcome(source=source, error="broken")]
    for _ in range(2):  # the same pictures replace their file
        write_parquet(outcomes, tmp_path / "parquet")
    table = parquet.read_table(tmp_path / "parquet")
    assert table["image"].to_pylist() == ["a.png", "a.png"]
    points = np.array(table["landmarks68_px"].to_pylist()).reshape(2, 68, 2)
    np.testing.assert_allclose(points[1], scene[1].landmarks68_px, atol=1e-4)


def test_rows_of_earlier_runs_make_room(tmp_path, model):
    parquet = pytest.importorskip("pyarrow.parquet")
    from test_exports import make_scene

    from morphable_reconstruct.batch.cluster import drop_older_rows, write_parquet
    from morphable_reconstruct.batch.pictures import Outcome
    from morphable_reconstruct.exports.predictions import prediction_rows
    from morphable_reconstruct.photographs.sources import Source

    rows = prediction_rows(make_scene(model))

    def write(*stems):
        sources = [Source(kind="image", path=Path(f"{s}.png"), name=f"{s}.png", stem=s) for s in stems]
        return write_parquet([Outcome(source=source, faces=2, rows=rows) for source in sources], tmp_path)

    write("a", "b"), write("c"), write("d")
    written = write("b", "c")  # the blocks of a later run
    assert written in {path.name for path in tmp_path.iterdir()}
    drop_older_rows(tmp_path, {"b.png", "c.png"}, {written})
    assert sorted(parquet.read_table(tmp_path)["image"].to_pylist()) == [f"{s}.png" for s in "aabbccdd"]
    assert len(list(tmp_path.iterdir())) == 3  # a alone, b and c, d
    assert write() == ""


def test_workers_get_absolute_paths_and_records_do_not_mind(tmp_path, monkeypatch):
    from morphable_reconstruct.batch.cluster import _with_absolute_paths
    from morphable_reconstruct.batch.records import Records

    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.safetensors").touch()
    config = RunConfig(sources=("x",), out=Path("out"), weights="own.safetensors", model="open")
    moved = _with_absolute_paths(config)
    assert (moved.out, moved.weights, moved.model) == (tmp_path / "out", str(tmp_path / "own.safetensors"), "open")
    assert Records(config, "hash")._options == Records(moved, "hash")._options


def test_any_name_reaches_the_workers(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    for name in (b"a\xff.png", "лицо.png".encode(), b"a\nb.png"):
        with Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).open("wb") as file:
            Image.fromarray(dotted((32, 32), [(16, 16)])).save(file, "PNG")
    sources = find_sources([str(tmp_path)])
    batch = pyarrow.Table.from_pylist(list(map(_row, sources))).to_pydict()
    assert tuple(map(_source, batch["path"], batch["name"], batch["stem"])) == sources


def test_tables_of_others_are_left_alone(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"price": [1, 2]}), tmp_path / "other.parquet")
    drop_older_rows(tmp_path, {"a.png"}, set())
    assert parquet.read_table(tmp_path / "other.parquet").num_rows == 2
    (tmp_path / "other.parquet").write_bytes(b"PAR1 damaged")
    with pytest.raises(ValueError, match=r"other\.parquet"):
        drop_older_rows(tmp_path, {"a.png"}, set())


def test_outcomes_tell_what_was_lost_and_what_was_done_before(tmp_path, model):
    from test_exports import make_scene

    from morphable_reconstruct.batch.cluster import _outcome
    from morphable_reconstruct.batch.records import Records
    from morphable_reconstruct.exports.predictions import prediction_rows
    from morphable_reconstruct.photographs.sources import Source

    for stem in "ab":
        (tmp_path / f"{stem}.png").touch()
    done, lost = (Source(kind="image", path=tmp_path / f"{s}.png", name=f"{s}.png", stem=s) for s in "ab")
    records = Records(RunConfig(sources=("x",), out=tmp_path / "out"), "hash")
    records.add(done, (), prediction_rows(make_scene(model)))
    fine = _outcome(done, records, {"error": "", "seconds": 0.5, "skipped": True})
    assert (fine.faces, fine.seconds, fine.skipped, fine.error) == (2, 0.5, True, None)
    kept = _outcome(done, records, None)  # its worker ended after it was done
    assert (kept.faces, kept.skipped, kept.error) == (2, False, None)
    assert "its worker ended" in _outcome(lost, records, None).error
    assert _outcome(done, records, {"error": "no picture", "seconds": 0.0, "skipped": False}).error == "no picture"


def test_arguments_of_workers_can_be_shipped(tmp_path):
    cloudpickle = pytest.importorskip("ray.cloudpickle")
    from morphable_reconstruct.batch.cluster import ClusterWorker

    config = RunConfig(sources=("x",), out=tmp_path)
    assert cloudpickle.loads(cloudpickle.dumps((ClusterWorker, config))) == (ClusterWorker, config)


def test_without_ray_the_command_is_named(monkeypatch, tmp_path):
    from morphable_reconstruct.batch.cluster import run_on_ray

    monkeypatch.setitem(sys.modules, "ray", None)
    config = RunConfig(sources=("x",), out=tmp_path)
    with pytest.raises(ImportError, match=r"run `pip install 'ray.*\(extra 'morphable-reconstruct\[cluster\]'\)"):
        run_on_ray([], config, "hash")
