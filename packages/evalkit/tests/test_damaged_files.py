"""Damaged files give a value or one ValueError that names the file; never another error, never a long wait."""

import importlib.util
import json
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from morphable_evalkit import Predictions, check_predictions, read_mesh, read_predictions, read_results, write_results
from morphable_evalkit import write_predictions as write_prediction_file
from morphable_evalkit.datasets.aflw import read_aflw_lfpa
from morphable_evalkit.datasets.conversion import from_json
from morphable_evalkit.datasets.folders import read_landmark_folder
from morphable_evalkit.files import read_npy
from morphable_evalkit.matlab import read_mat
from morphable_evalkit.measures.latency import read_timings
from morphable_evalkit.reports.records import read_groups
from morphable_evalkit.reports.results import ItemResult, Result
from morphable_evalkit.scans.layouts import read_landmarks
from morphable_evalkit.scans.mesh import Mesh
from morphable_evalkit.scans.mesh_files import write_ply

_spec = importlib.util.spec_from_file_location("mutations", Path(__file__).with_name("mutations.py"))
assert _spec is not None
assert _spec.loader is not None
mutations = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(mutations)

LONGEST_S = 10.0
SQUARE = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0.5, 1]])
TRIANGLES = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])


def _predictions(path: Path, *, compressed: bool = False) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(20, 180, (3, 68, 2))
    size = np.tile(np.int64([200, 300]), (3, 1))
    write_prediction_file(
        path,
        Predictions(
            processed_image=("a.jpg", "b.jpg", "c.jpg"),
            processed_size_hw=size,
            image=("a.jpg", "a.jpg", "b.jpg"),
            image_size_hw=size,
            score=np.ones(3),
            box_xyxy_px=np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1),
            landmarks68_px=points,
            rotation_head=np.tile(np.eye(3), (3, 1, 1)),
            translation_m=np.tile([0.0, 0, 1], (3, 1)),
            focal_px=np.full(3, 1015.0),
            vertices_px=rng.uniform(20, 180, (3, 20, 3)).astype(np.float32),
            system="a system",
        ),
    )
    if compressed:
        with np.load(path) as stored:
            arrays = dict(stored)
        np.savez_compressed(path, **arrays)


def _read_all(path: Path) -> None:
    """Read a prediction file as the commands do, vertices included."""
    check_predictions(path)
    found = read_predictions(path)
    assert found.vertices_px is None or all(found.vertices_px[row].size for row in range(found.vertices_px.shape[0]))


def _obj(path: Path) -> None:
    lines = [f"v {x} {y} {z}" for x, y, z in SQUARE] + ["vt 0 0", "vn 0 0 1", "usemtl skin"]
    path.write_text("\n".join(lines + [f"f {a + 1}/1/1 {b + 1}/1/1 {c + 1}/1/1" for a, b, c in TRIANGLES]) + "\n")


def meshlab_ply(path: Path) -> None:
    """Write a binary PLY as MeshLab does: normals, colors, texture coordinates and their number per face."""
    header = ["ply", "format binary_little_endian 1.0", "comment VCGLIB generated", "comment TextureFile skin.png"]
    header += [
        f"element vertex {len(SQUARE)}",
        *(f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz")),
    ]
    header += [f"property uchar {name}" for name in ("red", "green", "blue", "alpha")]
    header += [f"element face {len(TRIANGLES)}", "property list uchar int vertex_indices"]
    header += ["property list uchar float texcoord", "property int texnumber", "end_header", ""]
    body = b"".join(struct.pack("<6f4B", *point, 0, 0, 1, 9, 9, 9, 255) for point in SQUARE)
    for row, corners in enumerate(TRIANGLES):  # every corner has its own place in the texture
        uv = np.arange(6) / 10 + row
        body += struct.pack("<B3iB6fi", 3, *corners, 6, *uv, 0)
    path.write_bytes("\n".join(header).encode() + body)


def _ascii_ply(path: Path) -> None:
    lines = ["ply", "format ascii 1.0", f"element vertex {len(SQUARE)}"]
    lines += [f"property float {axis}" for axis in "xyz"] + ["element face 4", "property list uchar int vertex_indices"]
    lines += ["end_header", *(" ".join(map(str, point)) for point in SQUARE)]
    path.write_text("\n".join(lines + [f"3 {a} {b} {c}" for a, b, c in TRIANGLES]) + "\n")


def _off(path: Path) -> None:
    lines = ["OFF", "5 4 0", *(" ".join(map(str, point)) for point in SQUARE)]
    path.write_text("\n".join(lines + [f"3 {a} {b} {c}" for a, b, c in TRIANGLES]) + "\n")


def _stl(path: Path) -> None:
    body = b"".join(struct.pack("<12fH", 0, 0, 1, *SQUARE[list(t)].ravel(), 0) for t in TRIANGLES)
    path.write_bytes(bytes(80) + struct.pack("<I", len(TRIANGLES)) + body)


def _ascii_stl(path: Path) -> None:
    lines = ["solid face"]
    for t in TRIANGLES:
        lines += ["facet normal 0 0 1", "outer loop", *(f"vertex {x} {y} {z}" for x, y, z in SQUARE[t])]
        lines += ["endloop", "endfacet"]
    path.write_text("\n".join([*lines, "endsolid face", ""]))


def _bnt(path: Path) -> None:
    values = np.concatenate([np.stack(np.meshgrid(np.arange(4.0), np.arange(3.0))).reshape(2, -1), np.zeros((3, 12))])
    header = struct.pack("<HHdH", 3, 4, -1e9, 8) + b"face.png" + struct.pack("<I", values.size)
    path.write_bytes(header + values.astype("<f8").tobytes())


def _result(path: Path) -> None:
    items = tuple(ItemResult(image=f"{i}.jpg", face=0, error=0.1 * i) for i in range(4))
    write_results(
        path, [Result(command="nme", system="a", protocol={"p": "x"}, unit="fraction", summary={}, items=items)]
    )


def _timing(path: Path) -> None:
    entry = {"system": "one", "device": "cpu", "notes": "", "samples_ms": {"1": [20.0, 21.0], "5": [25]}}
    path.write_text(json.dumps({"format": "evalkit-timing", "version": 1, "timings": [entry]}))


def _plain_json(path: Path) -> None:
    face = {"landmarks68_px": np.random.default_rng(0).uniform(9, 99, (68, 2)).round(1).tolist(), "score": 0.5}
    path.write_text(json.dumps({"system": "s", "images": [{"image": "a.jpg", "size_hw": [200, 300], "faces": [face]}]}))


def _landmark_list(path: Path) -> None:
    Image.new("RGB", (30, 20)).save(path.parent / "a.jpg")
    path.write_text(json.dumps({"a.jpg": {"landmarks68_px": np.arange(136).reshape(68, 2).tolist()}}))


def _lfpa(path: Path) -> None:
    points = np.random.default_rng(0).uniform(20, 90, (2, 34, 2))
    np.savez(
        path, image=np.array(["a.jpg", "b.jpg"]), points34_px=points, box_xyxy_px=np.ones((2, 4)), yaw_deg=np.ones(2)
    )


def _marks(path: Path) -> None:
    points = np.arange(21.0).reshape(7, 3)
    if path.suffix == ".npy":
        np.save(path, points)
    elif path.suffix == ".txt":
        np.savetxt(path, points)
    elif path.suffix == ".pp":
        path.write_text("".join(f'<point x="{x}" y="{y}" z="{z}" active="1"/>' for x, y, z in points))
    else:
        names = ("Outer right eye corner", "Inner right eye corner", "Inner left eye corner", "Outer left eye corner")
        names += ("Nose tip", "Right mouth corner", "Left mouth corner")
        body = "\n".join(f"{name}\n{x} {y} {z}" for name, (x, y, z) in zip(names, points, strict=True))
        path.write_text(f"7 landmarks:\n{body}\n")


def _text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content)


FORMATS: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "p.npz": (_predictions, _read_all),
    "compressed.npz": (lambda path: _predictions(path, compressed=True), _read_all),
    "a.obj": (_obj, read_mesh),
    "meshlab.ply": (meshlab_ply, read_mesh),
    "own.ply": (lambda path: write_ply(path, Mesh(SQUARE, TRIANGLES), np.zeros((5, 3), np.uint8)), read_mesh),
    "ascii.ply": (_ascii_ply, read_mesh),
    "a.off": (_off, read_mesh),
    "a.stl": (_stl, read_mesh),
    "ascii.stl": (_ascii_stl, read_mesh),
    "mesh.npz": (lambda path: np.savez(path, vertices=SQUARE, triangles=TRIANGLES), read_mesh),
    "a.bnt": (_bnt, read_mesh),
    "r.json": (_result, read_results),
    "t.json": (_timing, read_timings),
    "t.csv": (
        lambda path: path.write_text("system,device,faces,ms\none,cpu,1,20\none,cpu,5,25.5\n") and None,
        read_timings,
    ),
    "g.csv": (lambda path: path.write_text("image,face,group\na.jpg,0,dark\nb.jpg,0,light\n") and None, read_groups),
    "plain.json": (_plain_json, from_json),
    "landmarks68.json": (_landmark_list, lambda path: read_landmark_folder(path.parent)),
    "aflw_lfpa.npz": (_lfpa, lambda path: read_aflw_lfpa(path.parent)),
    "a.npy": (lambda path: np.save(path, np.ones((4, 3))), read_npy),
    "a.mat": (lambda path: scipy.io.savemat(path, {"Pose_Para": np.ones((1, 7)), "name": "x"}), read_mat),
    "packed.mat": (lambda path: scipy.io.savemat(path, {"w": np.ones((9, 5))}, do_compression=True), read_mat),
    **{
        f"marks{suffix}": (_marks, lambda path: read_landmarks(path.with_suffix(".ply"), path.parent))
        for suffix in (".npy", ".txt", ".pp", ".lm3")
    },
}


def _try_mutations(folder: Path, name: str, count: int, seed: int) -> tuple[int, int]:
    """Read damaged copies of a file; return how many were read and how many were refused."""
    write, read = FORMATS[name]
    path = folder / name
    write(path)
    read(path)  # the undamaged file is read
    data = path.read_bytes()
    rng = np.random.default_rng(seed)
    refused = 0
    for number in range(count):
        path.write_bytes(mutations.mutate(data, rng))
        start = time.perf_counter()
        try:
            read(path)
        except Exception as error:
            refused += 1
            if not isinstance(error, ValueError) or path.name not in str(error):
                kept = folder / f"kept_{number}_{name}"
                kept.write_bytes(path.read_bytes())
                raise AssertionError(f"mutation {number} of {name} (kept as {kept}) raised {error!r}") from error
        assert time.perf_counter() - start < LONGEST_S
    return count - refused, refused


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_give_one_error_that_names_them(tmp_path, name):
    read, refused = _try_mutations(tmp_path, name, 40, seed=1)
    assert refused > 0
    assert read + refused == 40


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_ten_thousand_damaged_files(tmp_path, name):
    read, refused = _try_mutations(tmp_path, name, 10_000, seed=2)
    assert refused > 0
    assert read + refused == 10_000


def test_a_mesh_as_meshlab_writes_it_keeps_its_vertices(tmp_path):
    meshlab_ply(tmp_path / "a.ply")
    mesh = read_mesh(tmp_path / "a.ply")
    np.testing.assert_array_equal(mesh.vertices, SQUARE)  # not split at the seams of the texture
    np.testing.assert_array_equal(mesh.triangles, TRIANGLES)


@pytest.mark.parametrize("write", [_obj, _off, _stl, _ascii_stl, _ascii_ply])
def test_every_mesh_format_gives_the_same_surface(tmp_path, write):
    names = {_obj: "a.obj", _off: "a.off", _stl: "a.stl", _ascii_stl: "b.stl", _ascii_ply: "a.ply"}
    write(tmp_path / names[write])
    mesh = read_mesh(tmp_path / names[write])
    assert len(mesh.vertices) == 5
    np.testing.assert_array_equal(mesh.vertices[mesh.triangles], SQUARE[TRIANGLES])


def test_a_list_of_another_length_inside_a_binary_ply_is_refused(tmp_path):
    write_ply(tmp_path / "a.ply", Mesh(SQUARE, TRIANGLES), np.zeros((5, 3), np.uint8))
    data = bytearray((tmp_path / "a.ply").read_bytes())
    assert data[-13] == 3  # the count of the last face: one byte before three integers
    data[-13] = 2
    (tmp_path / "a.ply").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.ply must be a PLY file, got lists of several lengths"):
        read_mesh(tmp_path / "a.ply")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("v 1 2", "a vertex of 2 numbers in line 16"),
        ("f 1 2", "a face of 2 corners in line 16"),
        ("f 0 1 2", "name vertices"),
    ],
)
def test_a_bad_line_of_an_obj_is_named(tmp_path, line, message):
    _obj(tmp_path / "a.obj")
    text = (tmp_path / "a.obj").read_text()
    (tmp_path / "a.obj").write_text("# a face\n\n\n" + text + line + "\n")
    with pytest.raises(ValueError, match=message):
        read_mesh(tmp_path / "a.obj")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html></html>", "got a web page; download the file itself"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "got a Git LFS pointer; fetch"),
        (b"", "got an empty file"),
        (b"MATLAB 7.3 MAT-file, Platform: GLNXA64" + bytes(500), "got version 7.3; save it in MATLAB with `save -v7`"),
    ],
)
def test_files_that_are_no_matlab_files_are_named_for_what_they_are(tmp_path, content, message):
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_mat(tmp_path / "a.mat")


def test_a_damaged_array_of_vertices_is_found_by_its_check_sum(tmp_path):
    path = tmp_path / "p.npz"
    _predictions(path)
    data = bytearray(path.read_bytes())
    at = data.index(np.load(path)["vertices_px"][1].tobytes())
    data[at + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"p\.npz: vertices_px must be an undamaged array, got BadZipFile: Bad CRC-32"):
        read_predictions(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_matlab_arrays_are_those_that_scipy_reads(tmp_path, compressed):
    rng = np.random.default_rng(0)
    values = {
        "double": rng.normal(size=(3, 4)),
        "whole": np.arange(6.0).reshape(2, 3),  # MATLAB and SciPy may store it in fewer bytes
        "single": rng.normal(size=(2, 3, 4)).astype(np.float32),
        "bytes": np.arange(5, dtype=np.uint8)[None],
        "index": np.arange(7, dtype=np.int32)[:, None],
        "empty": np.empty((0, 3)),
        "text": "a face",
        "cell": np.array([1, "two"], dtype=object),
        "complex": np.ones((2, 2)) * 1j,
    }
    scipy.io.savemat(tmp_path / "a.mat", values, do_compression=compressed)
    found = read_mat(tmp_path / "a.mat")
    assert set(found) == set(values) - {"cell", "complex"}
    assert str(found["text"]) == "a face"
    for name in set(found) - {"text"}:
        np.testing.assert_array_equal(found[name], values[name])
        assert found[name].dtype == values[name].dtype


def test_real_matlab_files_are_read_as_by_scipy(shared_data):
    for path in sorted((shared_data / "bfm_aux").glob("*.mat")):
        expected = {name: value for name, value in scipy.io.loadmat(path).items() if not name.startswith("__")}
        found = read_mat(path)
        assert set(found) == set(expected)
        for name, value in found.items():
            np.testing.assert_array_equal(value, expected[name])
