"""Model files as people have them: re-saved, in other versions, with parts missing, or no model at all."""

import importlib.abc
import io
import pickle
import pickletools
import resource
import struct
import sys
import zlib
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse
import torch
from numpy.typing import NDArray

from morphable import MorphableModel
from morphable.cli import main
from morphable.importers import import_3ddfa, import_bfm, import_flame
from morphable.importers.flame import JOINT_CHANNELS
from morphable.importers.safe_pickle import load_arrays, load_pickle

SIDE = 12
COUNT = SIDE * SIDE
RNG = np.random.default_rng(1)


def bump() -> NDArray[np.float64]:
    """A symmetric face-like bump, meters: +y up, +z toward the viewer."""
    x, y = np.meshgrid(np.linspace(-0.08, 0.08, SIDE), np.linspace(0.1, -0.1, SIDE))
    z = 0.1 * np.sqrt(1 - (x / 0.1) ** 2) - 0.2 * y**2
    return np.stack([x, y, z], axis=-1).reshape(-1, 3)


def grid() -> NDArray[np.int64]:
    """Its triangles, counter-clockwise seen from the front."""
    corner = (np.arange(SIDE - 1)[:, None] * SIDE + np.arange(SIDE - 1)).reshape(-1)
    below = corner + SIDE
    return np.concatenate([np.stack([corner, below, corner + 1], 1), np.stack([corner + 1, below, below + 1], 1)])


def landmark_vertices() -> NDArray[np.int64]:
    """68 vertices: a jaw line along the rim, the others inside."""
    left = [SIDE * row for row in range(2, 10)]
    jaw = [*left, SIDE * 11 + 5, *(vertex + SIDE - 1 for vertex in reversed(left))]
    inner = [SIDE * (3 + i % 6) + 3 + i % 5 for i in range(51)]
    inner[31 - 17], inner[33 - 17], inner[35 - 17], inner[57 - 17] = (76, 77, 79, 101)
    return np.array(jaw + inner)


def flame_content(modes: int = 320) -> dict[str, object]:
    return {
        "v_template": bump(),
        "shapedirs": RNG.normal(size=(COUNT, 3, modes)) * 1e-3,
        "f": grid().astype(np.uint32),
        "bs_style": "lbs",
    }


def with_skeleton(content: dict[str, object]) -> dict[str, object]:
    """Five joints: root, neck, jaw, left eye, right eye."""
    weights = RNG.random((COUNT, 5))
    regressor = RNG.random((5, COUNT))
    return content | {
        "weights": weights / weights.sum(1, keepdims=True),
        "J_regressor": scipy.sparse.csc_matrix(regressor / regressor.sum(1, keepdims=True)),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.int64),
        "posedirs": RNG.normal(size=(COUNT, 3, 36)) * 1e-3,
    }


def on_vertices(vertex: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Triangle and weights of points at vertices."""
    is_corner = grid()[None] == vertex[:, None, None]
    triangle = is_corner.any(-1).argmax(-1)
    return triangle, is_corner[np.arange(len(vertex)), triangle].astype(np.float64)


# FLAME -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(6))
def test_resaved_flame_with_ordered_dictionary_is_read(tmp_path, protocol):
    content = flame_content()
    path = tmp_path / "generic_model.pkl"
    path.write_bytes(pickle.dumps(OrderedDict(content), protocol=protocol))
    data = import_flame(path, num_identity=5, num_expression=5)
    np.testing.assert_allclose(data.mean, bump() - bump().mean(0), atol=1e-6)
    np.testing.assert_allclose(data.identity_basis[4, 9], content["shapedirs"][9, :, 4], rtol=1e-5)


def test_arrays_in_fortran_order_and_big_endian_are_read(tmp_path):
    content = {"f": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "b": np.arange(3, dtype=">i4"), "t": "text"}
    for protocol in range(6):
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
        read = load_arrays(tmp_path / "x.pkl")
        np.testing.assert_array_equal(read["f"], [[0, 1, 2], [3, 4, 5]])
        np.testing.assert_array_equal(read["b"], [0, 1, 2])
        assert read["t"] == "text"


@pytest.mark.parametrize("protocol", [2, 5])
def test_deca_embedding_with_torch_tensors_is_read(tmp_path, protocol):
    triangle, weights = on_vertices(landmark_vertices())
    embedding = OrderedDict(
        static_lmk_faces_idx=triangle[17:],
        dynamic_lmk_faces_idx=torch.zeros(79, 17, dtype=torch.int64),
        dynamic_lmk_bary_coords=torch.rand(79, 17, 3),
        full_lmk_faces_idx=torch.from_numpy(triangle)[None],
        full_lmk_bary_coords=torch.nn.Parameter(torch.from_numpy(weights)[None].float(), requires_grad=False),
    )
    wrapped = np.array(embedding, dtype=object)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    path = tmp_path / "landmark_embedding.npy"
    path.write_bytes(header.getvalue() + pickle.dumps(wrapped, protocol=protocol))
    (tmp_path / "flame.pkl").write_bytes(pickle.dumps(flame_content()))
    data = import_flame(tmp_path / "flame.pkl", landmarks=path, num_identity=2, num_expression=2)
    model = MorphableModel(data)
    np.testing.assert_allclose(model.landmarks(model.mean), model.mean[landmark_vertices()], atol=1e-6)


def test_torch_tensor_that_looks_at_a_part_is_read(tmp_path):
    part = torch.arange(24.0).reshape(4, 6)[1:3, ::2]
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"part": part, "half": torch.ones(2).half()}))
    read = load_arrays(tmp_path / "x.pkl")
    np.testing.assert_array_equal(read["part"], [[6, 8, 10], [12, 14, 16]])
    np.testing.assert_array_equal(read["half"], [1, 1])


def inner_points(tmp_path: Path) -> Path:
    triangle, weights = on_vertices(landmark_vertices())
    path = tmp_path / "flame_static_embedding.pkl"
    path.write_bytes(pickle.dumps({"lmk_face_idx": triangle[17:], "lmk_b_coords": weights[17:]}, protocol=2))
    (tmp_path / "flame.pkl").write_bytes(pickle.dumps(flame_content()))
    return path


def test_static_embedding_gives_the_inner_51_points(tmp_path, capsys):
    path = inner_points(tmp_path)
    output = tmp_path / "model.safetensors"
    assert main(["convert", "flame", str(tmp_path / "flame.pkl"), "--landmarks", str(path), "-o", str(output)]) == 0
    assert "no 68 points (only ibug51)" in capsys.readouterr().err
    model = MorphableModel(import_flame(tmp_path / "flame.pkl", landmarks=path))
    np.testing.assert_allclose(model.landmarks(model.mean, "ibug51"), model.mean[landmark_vertices()[17:]], atol=1e-6)


def test_dynamic_embedding_beside_the_static_one_completes_the_68_points(tmp_path):
    path = inner_points(tmp_path)
    triangle, weights = on_vertices(landmark_vertices()[:17])
    rows = {"lmk_face_idx": np.stack([triangle, triangle * 0]), "lmk_b_coords": np.stack([weights, weights[::-1]])}
    np.save(tmp_path / "flame_dynamic_embedding.npy", np.array(rows, dtype=object))
    model = MorphableModel(import_flame(tmp_path / "flame.pkl", landmarks=path))
    np.testing.assert_allclose(model.landmarks(model.mean), model.mean[landmark_vertices()], atol=1e-6)


def test_embedding_of_another_mesh_is_refused(tmp_path):
    inner_points(tmp_path)
    embedding = {"lmk_face_idx": np.full(51, 9000), "lmk_b_coords": np.full((51, 3), 1 / 3)}
    (tmp_path / "other.pkl").write_bytes(pickle.dumps(embedding))
    with pytest.raises(ValueError, match=r"other\.pkl: lmk_face_idx must index 242 triangles, got up to 9000"):
        import_flame(tmp_path / "flame.pkl", landmarks=tmp_path / "other.pkl")


@pytest.mark.parametrize("index", [np.array(3), np.zeros((0, 51), int), np.zeros((2, 0), int)])
def test_embedding_of_another_shape_is_refused(tmp_path, index):
    inner_points(tmp_path)
    embedding = {"lmk_face_idx": index, "lmk_b_coords": np.full((51, 3), 1 / 3)}
    (tmp_path / "other.pkl").write_bytes(pickle.dumps(embedding))
    with pytest.raises(ValueError, match=r"other\.pkl: lmk_face_idx must "):
        import_flame(tmp_path / "flame.pkl", landmarks=tmp_path / "other.pkl")


def skinned(content: dict[str, object], joint: int, turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """FLAME's own skinning with one joint turned by an axis-angle vector (Rodrigues), correctives included."""
    angle = np.linalg.norm(turn)
    cross = np.cross(turn / angle, np.eye(3)).T
    rotation = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    joints = content["J_regressor"] @ content["v_template"]
    feature = np.zeros((4, 3, 3))
    feature[joint - 1] = rotation - np.eye(3)
    shaped = content["v_template"] + content["posedirs"] @ feature.reshape(-1)
    parents = content["kintree_table"][0]
    world = [(np.eye(3), joints[0])]
    for j in range(1, 5):
        above, place = world[parents[j]]
        local = rotation if j == joint else np.eye(3)
        world.append((above @ local, place + above @ (joints[j] - joints[parents[j]])))
    moved = [(turned @ (shaped - rest).T).T + place for (turned, place), rest in zip(world, joints, strict=True)]
    return (content["weights"].T[..., None] * np.stack(moved)).sum(0)


@pytest.mark.parametrize("protocol", [2, 5])
def test_joints_become_expression_modes_that_are_the_derivative_of_skinning(tmp_path, protocol):
    content = with_skeleton(flame_content())
    path = tmp_path / "flame.pkl"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    data = import_flame(path, num_identity=3, num_expression=4)
    assert data.expression_prior == "normal"
    assert data.expression_names[4:] == tuple(channel.name for channel in JOINT_CHANNELS)
    tiny = 1e-5
    for mode, channel in zip(data.expression_basis[4:], JOINT_CHANNELS, strict=True):
        turn = tiny * np.eye(3)[channel.axis]
        slope = (skinned(content, channel.joint, turn) - skinned(content, channel.joint, -turn)) / (2 * tiny)
        np.testing.assert_allclose(mode, channel.step_rad * slope, atol=1e-7)


def test_jaw_x_opens_the_mouth(tmp_path):
    content = with_skeleton(flame_content()) | {"posedirs": np.zeros((COUNT, 3, 36))}
    below = bump()[:, 1] < -0.05
    content["weights"] = np.where(below[:, None], np.eye(5)[2], np.eye(5)[0])
    back = np.zeros((5, COUNT))
    back[:, 0] = 1  # every joint at the first vertex, (-0.08, 0.1, 0.058)
    content["J_regressor"] = back
    (tmp_path / "flame.pkl").write_bytes(pickle.dumps(content))
    data = import_flame(tmp_path / "flame.pkl", num_identity=1, num_expression=1)
    jaw = data.expression_basis[1]
    assert (jaw[~torch.from_numpy(below)] == 0).all()
    # x axis times (x, y, z) is (0, -z, y): a chin 0.1 in front of the joint goes down by 0.2 * 0.1
    chin = COUNT - SIDE // 2
    np.testing.assert_allclose(jaw[chin, 1], -0.2 * (bump()[chin, 2] - bump()[0, 2]), atol=1e-7)


# Damaged and hostile pickles -------------------------------------------------------------------------------------


def array_program(shape: tuple[int, ...], code: str = "f8") -> bytes:
    """A pickled array of 8 bytes that claims another shape."""
    honest = pickle.dumps({"a": np.zeros(1)}, protocol=2)
    shape_of_one = pickle.dumps((1,), protocol=2)[2:-1]
    claimed = pickle.dumps(shape, protocol=2)[2:-1]
    assert shape_of_one in honest or b"K\x01\x85" in honest
    return honest.replace(b"K\x01\x85", claimed.split(b"q")[0], 1).replace(b"f8", code.encode())


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x04\x8e" + struct.pack("<Q", 10**11) + b"x.",
        b"\x80\x02X" + struct.pack("<I", 2**31 - 1) + b"x.",
        b"\x80\x02}r" + struct.pack("<I", 2**32 - 1) + b".",
        b"\x80\x04\x95" + struct.pack("<Q", 10**12) + b"}.",
        array_program((10**6, 10**6)),
        array_program((2**40,)),
    ],
    ids=["bytes8", "text", "memo", "frame", "shape2d", "shape1d"],
)
def test_lengths_a_file_cannot_hold_are_refused_without_reserving_memory(tmp_path, program):
    (tmp_path / "x.pkl").write_bytes(program)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"x\.pkl must be a complete pickle"):
        load_arrays(tmp_path / "x.pkl")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


@pytest.mark.parametrize(
    "program",
    [
        b"ctorch\nload\n(S'x'\ntR.",
        b"ctorch._utils\n_import_dotted_name\n(S'os.system'\ntR.",
        b"ccollections\nnamedtuple\n(S'a'\nS'b'\ntR.",
        b"cnumpy\ndtype\n(S'V1000000000'\ntR.",
        b"cnumpy._core.numeric\n_frombuffer\n(C\x01ccnumpy\ndtype\n(S'O'\ntR(I1\ntS'C'\ntR.",
    ],
)
def test_other_names_of_the_same_modules_are_refused(tmp_path, program):
    pickletools.dis(program, out=io.StringIO())  # a valid program
    (tmp_path / "x.pkl").write_bytes(program)
    with pytest.raises(ValueError, match=r"x\.pkl must hold only arrays.*nothing was executed"):
        load_pickle(tmp_path / "x.pkl")


class Harmful:
    """Would create a file when unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return open, ("harm", "w")


def test_torch_storage_is_read_without_executing_either(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inner = pickle.dumps(Harmful(), protocol=2)
    program = b"\x80\x03ctorch.storage\n_load_from_bytes\nB" + struct.pack("<I", len(inner)) + inner + b"\x85R."
    (tmp_path / "x.pkl").write_bytes(program)
    with pytest.raises(ValueError, match=r"x\.pkl must be a complete pickle"):
        load_pickle("x.pkl")
    assert not (tmp_path / "harm").exists()


WRONG = {
    "page": (b"<!DOCTYPE html>\n<html><body>Please log in</body></html>", "a web page; download the file itself"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n", "Git LFS pointer"),
    "empty": (b"", "an empty file"),
}


@pytest.mark.parametrize("wrong", sorted(WRONG))
@pytest.mark.parametrize(("kind", "name"), [("bfm", "BFM_model_front.mat"), ("flame", "f.pkl"), ("bfm", "m.h5")])
def test_file_that_is_none_is_named_for_what_it_is(tmp_path, capsys, kind, name, wrong):
    content, words = WRONG[wrong]
    (tmp_path / name).write_bytes(content)
    assert main(["convert", kind, str(tmp_path / name), "-o", str(tmp_path / "x.safetensors")]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert name in message
    assert words in message


def test_matlab_73_file_is_named_with_the_way_out(tmp_path, capsys):
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    (tmp_path / "BFM_model_front.mat").write_bytes(header.ljust(512, b"\0") + b"\x89HDF\r\n\x1a\n")
    assert main(["convert", "bfm09", str(tmp_path), "-o", str(tmp_path / "x.safetensors")]) == 1
    assert "got version 7.3; save it with `save -v7`" in capsys.readouterr().err


# Basel models ----------------------------------------------------------------------------------------------------


def crop_arrays() -> dict[str, NDArray[np.float64]]:
    """`BFM_model_front.mat`, in decimeters, 1-based."""
    return {
        "meanshape": (bump() * 10).reshape(1, -1),
        "meantex": np.full((1, 3 * COUNT), 102.0),
        "idBase": RNG.normal(size=(3 * COUNT, 80)) * 1e-2,
        "exBase": RNG.normal(size=(3 * COUNT, 64)) * 1e-2,
        "texBase": RNG.normal(size=(3 * COUNT, 80)),
        "tri": grid() + 1.0,
        "keypoints": landmark_vertices()[None] + 1.0,
        "skinmask": np.ones((1, COUNT)),
        "frontmask2_idx": np.arange(1.0, 11)[:, None],
    }


@pytest.mark.parametrize("name", ["BFM_model_front.mat", "renamed.mat"])
def test_path_of_the_crop_itself_is_read(tmp_path, name):
    scipy.io.savemat(tmp_path / name, crop_arrays())
    data = import_bfm(tmp_path / name)
    assert (len(data.identity_basis), len(data.expression_basis)) == (80, 64)
    np.testing.assert_allclose(data.mean, bump() - bump().mean(0), atol=1e-6)


@pytest.mark.parametrize("field", ["tri", "keypoints", "frontmask2_idx"])
def test_index_outside_the_crop_is_refused(tmp_path, field):
    arrays = crop_arrays()
    arrays[field][0] = COUNT + 1
    scipy.io.savemat(tmp_path / "BFM_model_front.mat", arrays)
    with pytest.raises(ValueError, match=rf"{field} must index 144 vertices from 1, got up to 145"):
        import_bfm(tmp_path)


@pytest.mark.parametrize("as_file", [True, False])
def test_the_two_downloads_alone_are_told_what_is_missing_and_where_it_is(tmp_path, capsys, as_file):
    (tmp_path / "01_MorphableModel.mat").write_bytes(b"")
    (tmp_path / "Exp_Pca.bin").write_bytes(b"")
    source = tmp_path / "01_MorphableModel.mat" if as_file else tmp_path
    assert main(["convert", "bfm09", str(source), "-o", str(tmp_path / "x.safetensors")]) == 1
    message = capsys.readouterr().err
    assert "std_exp.txt, BFM_front_idx.mat, BFM_exp_idx.mat, facemodel_info.mat beside 01_MorphableModel" in message
    assert "Deep3DFaceReconstruction" in message
    assert message.count("\n") == 1


def write_statismo(path: Path, *, expression: bool = True) -> dict[str, NDArray[np.float64]]:
    """A file in the layout of `model2017-1_bfm_nomouth.h5`: millimeters, orthonormal modes with variances."""
    h5py = pytest.importorskip("h5py")
    bases = {name: np.linalg.qr(RNG.normal(size=(3 * COUNT, 6)))[0] for name in ("shape", "color", "expression")}
    means = {"shape": bump().reshape(-1) * 1e3, "color": np.full(3 * COUNT, 0.4), "expression": np.zeros(3 * COUNT)}
    with h5py.File(path, "w") as file:
        for name, basis in bases.items():
            if name == "expression" and not expression:
                continue
            file[f"{name}/model/mean"] = means[name].astype(np.float32)
            file[f"{name}/model/pcaBasis"] = basis.astype(np.float32)
            file[f"{name}/model/pcaVariance"] = np.arange(6.0, 0, -1)
            file[f"{name}/representer/cells"] = grid().T.astype(np.int32)
            file[f"{name}/representer/points"] = bump().T.astype(np.float32)
        file["metadata/landmarks/json"] = b"[]"
    return bases


def test_statismo_file_is_read_in_metres_per_standard_deviation(tmp_path):
    path = tmp_path / "model2017-1_bfm_nomouth.h5"
    bases = write_statismo(path)
    points = tmp_path / "points.txt"
    points.write_text("\n".join(map(str, landmark_vertices())))
    data = import_bfm(path, landmarks=points)
    assert data.expression_prior == "normal"
    np.testing.assert_allclose(data.mean, bump() - bump().mean(0), atol=1e-6)
    # mode 2 has variance 4: 2 standard deviations of 1 mm
    np.testing.assert_allclose(data.identity_basis[2, 5], bases["shape"][15:18, 2] * 2e-3, atol=1e-8)
    np.testing.assert_allclose(data.albedo_basis[2, 5], bases["color"][15:18, 2] * 2, atol=1e-6)
    np.testing.assert_allclose(data.mean_albedo, 0.4, rtol=1e-6)
    model = MorphableModel(data)
    np.testing.assert_allclose(model.landmarks(model.mean), model.mean[landmark_vertices()], atol=1e-6)


def test_statismo_file_without_expressions_or_points_is_read_and_said(tmp_path, capsys):
    path = tmp_path / "model2009-publicmm1-bfm.h5"
    write_statismo(path, expression=False)
    output = tmp_path / "x.safetensors"
    assert main(["convert", "bfm09", str(path), "-o", str(output)]) == 0
    assert "the model has no 68 points, which reconstruction and training need" in capsys.readouterr().err
    assert import_bfm(path).expression_basis.shape == (0, COUNT, 3)


def test_folder_of_statismo_files_asks_for_one(tmp_path):
    (tmp_path / "model2019_bfm.h5").write_bytes(b"")
    with pytest.raises(ValueError, match=r"one \.h5 file itself .* with model2019_bfm\.h5"):
        import_bfm(tmp_path)


def test_damaged_statismo_file_is_refused_by_name(tmp_path):
    path = tmp_path / "model2019_bfm.h5"
    write_statismo(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:3000])
    with pytest.raises(ValueError, match=r"model2019_bfm\.h5 must be a complete Basel model"):
        import_bfm(path)


class NoH5py(importlib.abc.MetaPathFinder):
    """Finds that h5py is not installed."""

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname.split(".")[0] == "h5py":
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def test_missing_h5py_is_named_with_the_command(tmp_path, monkeypatch):
    write_statismo(tmp_path / "m.h5")
    for name in [name for name in sys.modules if name.split(".")[0] == "h5py"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [NoH5py(), *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match=r"pip install '.*\(extra 'morphable\[convert\]'\)"):
        import_bfm(tmp_path / "m.h5")


@pytest.fixture
def tddfa_v2(tmp_path) -> tuple[Path, dict[str, NDArray[np.float32]]]:
    arrays = {
        "u": (bump() * 1e6).reshape(-1, 1).astype(np.float32),
        "w_shp": RNG.normal(size=(3 * COUNT, 40)).astype(np.float32),
        "w_exp": RNG.normal(size=(3 * COUNT, 10)).astype(np.float32),
        "keypoints": (3 * landmark_vertices()[:, None] + np.arange(3)).reshape(-1),
        "tri": np.zeros((3, 5), np.int64),
    }
    (tmp_path / "bfm_noneck_v3.pkl").write_bytes(pickle.dumps(arrays, protocol=4))
    (tmp_path / "tri.pkl").write_bytes(pickle.dumps(grid().astype(np.int32), protocol=4))
    return tmp_path / "bfm_noneck_v3.pkl", arrays


@pytest.mark.parametrize("as_file", [True, False])
def test_3ddfa_v2_pickle_is_read_with_the_triangles_beside_it(tddfa_v2, as_file):
    path, arrays = tddfa_v2
    data = import_3ddfa(path if as_file else path.parent)
    assert (len(data.identity_basis), len(data.expression_basis), len(data.triangles)) == (40, 10, len(grid()))
    np.testing.assert_allclose(data.mean, bump() - bump().mean(0), atol=1e-6)
    np.testing.assert_allclose(data.identity_basis[7, 2], arrays["w_shp"][6:9, 7] * 0.1, rtol=1e-5)


def test_3ddfa_v2_standard_deviations_scale_the_modes(tddfa_v2):
    path, arrays = tddfa_v2
    statistics = {"mean": np.zeros(62, np.float32), "std": np.arange(1, 63, dtype=np.float32)}
    (path.parent / "param_mean_std_62d_120x120.pkl").write_bytes(pickle.dumps(statistics))
    # parameter 12 + 7 has standard deviation 20
    np.testing.assert_allclose(import_3ddfa(path).identity_basis[7, 2], arrays["w_shp"][6:9, 7] * 20e-6, rtol=1e-5)


def test_3ddfa_v2_pickle_given_as_basel_model_names_the_command(tddfa_v2, capsys):
    assert main(["convert", "bfm09", str(tddfa_v2[0]), "-o", str(tddfa_v2[0].parent / "x.safetensors")]) == 1
    assert "run `morphable convert 3ddfa`" in capsys.readouterr().err


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", [0, 1, 77])
def test_matlab_file_with_another_type_of_numbers_is_refused_before_scipy_reads_it(tmp_path, kind, compressed):
    """SciPy's own reader ends the process on some of these."""
    stream = io.BytesIO()
    scipy.io.savemat(stream, crop_arrays())
    whole = stream.getvalue()
    tag = struct.pack("<II", 9, 8 * 3 * COUNT)
    damaged = whole.replace(tag, struct.pack("<II", kind, 8 * 3 * COUNT), 1)
    if compressed:
        (size,) = struct.unpack_from("<I", damaged, 132)
        packed = zlib.compress(damaged[128 : 136 + size])
        damaged = damaged[:128] + struct.pack("<II", 15, len(packed)) + packed
    (tmp_path / "BFM_model_front.mat").write_bytes(damaged)
    with pytest.raises(
        ValueError, match=rf"must be a complete MATLAB file .*: meanshape has 3456 bytes of type {kind}"
    ):
        import_bfm(tmp_path)


@pytest.mark.parametrize("index", [-1, COUNT, 2130706432])
def test_triangles_of_a_statismo_file_must_index_its_vertices(tmp_path, index):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "model2019_bfm.h5"
    write_statismo(path)
    with h5py.File(path, "r+") as file:
        file["shape/representer/cells"][1, 2] = index
    with pytest.raises(ValueError, match=rf"model2019_bfm\.h5: .*cells must hold 3 indices of {COUNT} vertices"):
        import_bfm(path)
