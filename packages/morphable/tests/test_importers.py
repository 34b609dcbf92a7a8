"""Importers, on small files written here in the original formats and on the real ones where present."""

import gzip
import importlib.abc
import json
import pickle
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

import morphable
from morphable import IBUG68_FLIP, MorphableModel
from morphable.cli import main
from morphable.importers import import_3ddfa, import_bfm09, import_flame, import_ict
from morphable.importers.safe_pickle import load_arrays

DATA = Path(__file__).parents[3].parent / "shared/data"
RNG = np.random.default_rng(0)
SIDE = 12
COUNT = SIDE * SIDE


def bump() -> np.ndarray:
    """A symmetric face-like bump of 12 x 12 vertices, meters: +y up, +z toward the viewer."""
    x, y = np.meshgrid(np.linspace(-0.08, 0.08, SIDE), np.linspace(0.1, -0.1, SIDE))
    z = 0.1 * np.sqrt(1 - (x / 0.1) ** 2) - 0.2 * y**2
    return np.stack([x, y, z], axis=-1).reshape(-1, 3)


def grid() -> np.ndarray:
    """Its triangles, counter-clockwise seen from the front."""
    corner = (np.arange(SIDE - 1)[:, None] * SIDE + np.arange(SIDE - 1)).reshape(-1)
    below = corner + SIDE
    return np.concatenate([np.stack([corner, below, corner + 1], 1), np.stack([corner + 1, below, below + 1], 1)])


def landmark_vertices() -> np.ndarray:
    """68 vertices at about the right places: a jaw line along the rim, the others inside."""
    jaw = [SIDE * row for row in (2, 3, 4, 5, 6, 7, 8)] + [SIDE * 10 + 1, SIDE * 10 + 5, SIDE * 10 + 10]
    jaw = [*jaw[:8], SIDE * 11 + 4, *(SIDE * 10 + 10,), *(SIDE * row + SIDE - 1 for row in (8, 7, 6, 5, 4, 3, 2))]
    inner = [SIDE * (3 + i % 6) + 3 + i % 5 for i in range(51)]
    inner[31 - 17], inner[33 - 17], inner[35 - 17] = SIDE * 6 + 4, SIDE * 6 + 5, SIDE * 6 + 7
    inner[57 - 17] = SIDE * 8 + 5
    return np.array(jaw + inner)


def test_bump_is_seen_from_the_front():
    first, second, third = bump()[grid()].transpose(1, 0, 2)
    assert (np.cross(second - first, third - first)[:, 2] > 0).all()
    assert len(landmark_vertices()) == 68


# BFM 2009 as cropped by Deep3DFaceReconstruction -----------------------------------------------------------------


def bfm_columns(modes: int) -> np.ndarray:
    return RNG.normal(size=(3 * COUNT, modes))


def info_arrays() -> dict[str, np.ndarray]:
    """`facemodel_info.mat`: 1-based, stored as float32."""
    return {
        "tri": (grid()[:, ::-1] + 1).astype(np.float32),  # the wrong way round: the importer turns them
        "keypoints": (landmark_vertices()[None] + 1).astype(np.float32),
        "skinmask": (np.arange(COUNT)[None] % 2).astype(np.float32),
        "frontmask2_idx": np.arange(1, 11, dtype=np.float32)[:, None],
    }


@pytest.fixture
def bfm_crop(tmp_path) -> tuple[Path, dict[str, np.ndarray]]:
    arrays = {
        "meanshape": (bump() * 10).reshape(1, -1),  # decimeters
        "meantex": np.full((1, 3 * COUNT), 102.0),
        "idBase": bfm_columns(80),
        "exBase": bfm_columns(64),
        "texBase": bfm_columns(80),
        **info_arrays(),
    }
    scipy.io.savemat(tmp_path / "BFM_model_front.mat", arrays)
    return tmp_path, arrays


def test_bfm_crop_is_in_metres_and_colours_in_0_to_1(bfm_crop):
    folder, arrays = bfm_crop
    model = MorphableModel(import_bfm09(folder))
    assert (model.num_identity, model.num_expression, model.num_albedo) == (80, 64, 80)
    assert model.expression_prior == "normal"
    np.testing.assert_allclose(model.mean, bump() - bump().mean(0), atol=1e-6)
    # column 3 of idBase, vertex 5: entries 15..17, decimeters to meters
    np.testing.assert_allclose(model.identity_basis[3, 5], arrays["idBase"][15:18, 3] / 10, rtol=1e-5)
    np.testing.assert_allclose(model.albedo_basis[3, 5], arrays["texBase"][15:18, 3] / 255, rtol=1e-5)
    torch.testing.assert_close(model.mean_albedo, torch.full((COUNT, 3), 0.4))  # 102 / 255
    np.testing.assert_allclose(model.landmarks(model.mean), model.mean[landmark_vertices()], atol=1e-7)
    assert model.region("skin").nonzero()[:, 0].tolist() == list(range(1, COUNT, 2))
    assert model.region("face").nonzero()[:, 0].tolist() == list(range(10))
    assert bool((model.normals(model.mean)[:, 2] > 0).all())  # triangles were turned to face outward


def test_bfm_original_files_give_the_crop(tmp_path):
    # The original has COUNT + 2 vertices, the expressions' COUNT + 1 (drop original vertex 0), the crop COUNT
    # (drop expression vertex 0), all 1-based, in micrometers.
    original = np.concatenate([np.zeros((2, 3)), bump()]) * 1e6
    modes = {name: RNG.normal(size=(3 * (COUNT + 2), 90)) for name in ("shapePC", "texPC")}
    ev = {"shapeEV": np.arange(1.0, 91)[:, None], "texEV": np.arange(2.0, 92)[:, None]}
    basel = modes | ev | {"shapeMU": original.reshape(-1, 1), "texMU": np.full((3 * (COUNT + 2), 1), 51.0)}
    scipy.io.savemat(tmp_path / "01_MorphableModel.mat", basel)
    expressions = RNG.normal(size=(79, 3 * (COUNT + 1))).astype("<f4")
    header = np.int32(79).tobytes() + np.zeros(3 * (COUNT + 1), "<f4").tobytes()
    (tmp_path / "Exp_Pca.bin").write_bytes(header + expressions.tobytes())
    std = np.arange(100.0, 179)
    (tmp_path / "std_exp.txt").write_text(" ".join(map(str, std)))
    scipy.io.savemat(tmp_path / "BFM_exp_idx.mat", {"trimIndex": np.arange(2, COUNT + 3, dtype=np.uint16)[:, None]})
    scipy.io.savemat(tmp_path / "BFM_front_idx.mat", {"idx": np.arange(2, COUNT + 2, dtype=np.float32)[:, None]})
    scipy.io.savemat(tmp_path / "facemodel_info.mat", info_arrays())
    model = MorphableModel(import_bfm09(tmp_path))
    np.testing.assert_allclose(model.mean, bump() - bump().mean(0), atol=1e-6)
    # crop vertex 5 is original vertex 7 (entries 21..23); mode 3 has standard deviation 4; micrometers
    np.testing.assert_allclose(model.identity_basis[3, 5], modes["shapePC"][21:24, 3] * 4e-6, rtol=1e-5)
    np.testing.assert_allclose(model.albedo_basis[3, 5], modes["texPC"][21:24, 3] * 5 / 255, rtol=1e-5)
    # ... and expression vertex 6 (entries 18..20), standard deviation 103
    np.testing.assert_allclose(model.expression_basis[3, 5], expressions[3, 18:21] * 103e-6, rtol=1e-5)
    torch.testing.assert_close(model.mean_albedo, torch.full((COUNT, 3), 0.2))
    (tmp_path / "Exp_Pca.bin").write_bytes(header + expressions.tobytes()[:-4])
    with pytest.raises(ValueError, match=r"Exp_Pca\.bin must hold \d+ bytes \(79 modes, 145 vertices\)"):
        import_bfm09(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "bfm_aux").is_dir(), reason="shared/data/bfm_aux is not here")
def test_real_bfm_index_files_fit_together(tmp_path):
    """The real index files with made-up geometry: sizes, 1-based indices and topology as published."""
    for name in ("BFM_front_idx.mat", "BFM_exp_idx.mat", "facemodel_info.mat", "std_exp.txt"):
        shutil.copy(DATA / "bfm_aux" / name, tmp_path)
    original, expression = 53490, 53215
    sphere = RNG.normal(size=(original, 3))
    sphere *= 1e5 / np.linalg.norm(sphere, axis=-1, keepdims=True)
    modes = {name: np.ones((3 * original, 1), np.float32) for name in ("shapePC", "texPC")}
    ev = {"shapeEV": np.ones((1, 1)), "texEV": np.ones((1, 1))}
    mean = {"shapeMU": sphere.reshape(-1, 1), "texMU": np.ones((3 * original, 1))}
    scipy.io.savemat(tmp_path / "01_MorphableModel.mat", modes | ev | mean)
    count = np.int32(1).tobytes()
    (tmp_path / "Exp_Pca.bin").write_bytes(count + np.ones(2 * 3 * expression, "<f4").tobytes())
    data = import_bfm09(tmp_path)
    assert data.mean.shape == (35709, 3)
    assert data.triangles.shape == (70789, 3)
    # std_exp.txt begins 453980: a mode of ones moves by 0.45398 m
    torch.testing.assert_close(data.expression_basis, torch.full((1, 35709, 3), 0.45398))
    assert int(data.regions["face"].sum()) == 27660


def test_damaged_bfm_names_file_and_field(bfm_crop):
    folder, arrays = bfm_crop
    path = folder / "BFM_model_front.mat"
    scipy.io.savemat(path, arrays | {"exBase": np.zeros((5, 64))})
    with pytest.raises(ValueError, match=rf"BFM_model_front\.mat: exBase must have {3 * COUNT} rows, got \(5, 64\)"):
        import_bfm09(folder)
    scipy.io.savemat(path, {name: array for name, array in arrays.items() if name != "texBase"})
    with pytest.raises(ValueError, match=r"BFM_model_front\.mat must hold a numeric array texBase"):
        import_bfm09(folder)
    scipy.io.savemat(path, arrays | {"idBase": np.full((3 * COUNT, 80), np.nan)})
    with pytest.raises(ValueError, match="identity_basis must be finite"):
        import_bfm09(folder)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"BFM_model_front\.mat must be a complete MATLAB file"):
        import_bfm09(folder)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"BFM_model_front\.mat or 01_MorphableModel\.mat"):
        import_bfm09(folder)


class NoSciPy(importlib.abc.MetaPathFinder):
    """Finds that SciPy is not installed."""

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname.split(".")[0] == "scipy":
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def test_missing_scipy_is_named_with_the_command(bfm_crop, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "scipy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [NoSciPy(), *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match=r"pip install '.*\(extra 'morphable\[convert\]'\)"):
        import_bfm09(bfm_crop[0])


# 3DDFA -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def tddfa(tmp_path) -> Path:
    vertices = (bump() * 1e6).reshape(-1, 1)
    vertex = landmark_vertices()
    arrays = {
        "u_shp": vertices * 0.75,
        "u_exp": vertices * 0.25,
        "w_shp_sim": bfm_columns(40),
        "w_exp_sim": bfm_columns(10),
        "keypoints_sim": (3 * vertex[:, None] + np.arange(3)).reshape(-1),
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    scipy.io.savemat(tmp_path / "tri.mat", {"tri": (grid() + 1).T.astype(np.float64)})
    return tmp_path


def test_3ddfa_arrays(tddfa):
    model = MorphableModel(import_3ddfa(tddfa))
    assert (model.num_identity, model.num_expression, model.num_albedo) == (40, 10, 0)
    np.testing.assert_allclose(model.mean, bump() - bump().mean(0), atol=1e-6)
    np.testing.assert_allclose(model.landmarks(model.mean), model.mean[landmark_vertices()], atol=1e-7)
    shape, expression = (np.load(tddfa / f"w_{kind}_sim.npy") for kind in ("shp", "exp"))
    # without standard deviations: 1e5 units of 1e-6 m, and 1 unit
    np.testing.assert_allclose(model.identity_basis[7, 2], shape[6:9, 7] * 0.1, rtol=1e-5)
    np.testing.assert_allclose(model.expression_basis[7, 2], expression[6:9, 7] * 1e-6, rtol=1e-5)
    assert model.decode_albedo(torch.zeros(2, 0)).shape == (2, COUNT, 3)


def test_3ddfa_standard_deviations_scale_the_modes(tddfa):
    std = np.arange(1.0, 63.0)
    (tddfa / "param_whitening.pkl").write_bytes(pickle.dumps({"param_mean": std, "param_std": std}))
    data = import_3ddfa(tddfa)
    shape = np.load(tddfa / "w_shp_sim.npy")
    # parameter 12 + 7 has standard deviation 20
    np.testing.assert_allclose(data.identity_basis[7, 2], shape[6:9, 7] * 20e-6, rtol=1e-5)


def test_triangles_of_3ddfa_of_another_shape_are_refused(tddfa):
    (tddfa / "tri.mat").unlink()
    for shape in ((), (0,), (3,), (5, 4)):
        np.save(tddfa / "tri.npy", np.zeros(shape))
        with pytest.raises(ValueError, match=r"tri\.npy must hold three corners a triangle, got "):
            import_3ddfa(tddfa)


def test_damaged_3ddfa_names_the_file(tddfa):
    np.save(tddfa / "w_exp_sim.npy", np.zeros((6, 10)))
    with pytest.raises(ValueError, match=r"w_exp_sim\.npy must have one row per coordinate \(432\), got \(6, 10\)"):
        import_3ddfa(tddfa)
    (tddfa / "w_exp_sim.npy").write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(ValueError, match=r"complete numeric \.npy file, got .*w_exp_sim\.npy"):
        import_3ddfa(tddfa)
    (tddfa / "w_exp_sim.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"w_exp_sim\.npy"):
        import_3ddfa(tddfa)


# FLAME -----------------------------------------------------------------------------------------------------------


class Ch:
    """Pickles like a chumpy array: class `chumpy.ch.Ch`, its value in the state's `x`."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = x


@pytest.fixture
def chumpy(monkeypatch) -> None:
    """A stand-in module, so that pickles can be written; removed again before they are read."""
    module = types.ModuleType("chumpy.ch")
    module.Ch = Ch
    monkeypatch.setattr(Ch, "__module__", "chumpy.ch")
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)


def flame_content() -> dict[str, object]:
    return {
        "v_template": bump(),
        "shapedirs": RNG.normal(size=(COUNT, 3, 400)) * 1e-3,
        "f": grid().astype(np.uint32),
        "bs_style": "lbs",
        "weights": np.zeros((COUNT, 5)),
    }


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_flame_pickle_with_chumpy_arrays(tmp_path, chumpy, monkeypatch, protocol):
    content = flame_content()
    wrapped = content | {"v_template": Ch(content["v_template"]), "shapedirs": Ch(content["shapedirs"])}
    (tmp_path / "generic_model.pkl").write_bytes(pickle.dumps(wrapped, protocol=protocol))
    monkeypatch.delitem(sys.modules, "chumpy.ch")
    monkeypatch.delitem(sys.modules, "chumpy")
    model = MorphableModel(import_flame(tmp_path / "generic_model.pkl", num_identity=20))
    assert (model.num_identity, model.num_expression) == (20, 50)
    np.testing.assert_allclose(model.mean, bump() - bump().mean(0), atol=1e-6)
    np.testing.assert_allclose(model.identity_basis[4, 9], content["shapedirs"][9, :, 4], rtol=1e-5)
    np.testing.assert_allclose(model.expression_basis[4, 9], content["shapedirs"][9, :, 304], rtol=1e-5)
    assert "chumpy" not in sys.modules


def test_flame_npz_with_landmarks(tmp_path):
    content = flame_content()
    np.savez(tmp_path / "flame.npz", **{k: v for k, v in content.items() if isinstance(v, np.ndarray)})
    corners = [list(row) for row in grid()]
    triangle = np.array([next(i for i, c in enumerate(corners) if v in c) for v in landmark_vertices()])
    weights = (grid()[triangle] == landmark_vertices()[:, None]).astype(np.float64)
    embedding = {"full_lmk_faces_idx": triangle[None], "full_lmk_bary_coords": weights[None]}
    np.save(tmp_path / "landmark_embedding.npy", embedding, allow_pickle=True)
    model = MorphableModel(import_flame(tmp_path / "flame.npz", landmarks=tmp_path / "landmark_embedding.npy"))
    np.testing.assert_allclose(model.landmarks(model.mean), model.mean[landmark_vertices()], atol=1e-6)
    assert model.contour_landmarks(model.mean + torch.tensor([0.0, 0, 1])).shape == (68, 3)


def test_damaged_flame_names_file_and_field(tmp_path):
    path = tmp_path / "flame.pkl"
    for change, message in [
        ({"shapedirs": np.zeros((COUNT, 3, 100))}, r"flame\.pkl: shapedirs must have shape"),
        ({"v_template": np.zeros(3)}, r"flame\.pkl: v_template must be a numeric array with 2 axes"),
        ({"f": "none"}, r"flame\.pkl: f must be a numeric array with 2 axes, got str"),
        ({"v_template": np.full((COUNT, 3), np.nan)}, "mean must be finite"),
    ]:
        path.write_bytes(pickle.dumps(flame_content() | change))
        with pytest.raises(ValueError, match=message):
            import_flame(path)
    path.write_bytes(pickle.dumps(flame_content())[:-100])
    with pytest.raises(ValueError, match=r"flame\.pkl must be a complete pickle"):
        import_flame(path)
    with pytest.raises(FileNotFoundError, match=r"none\.pkl"):
        import_flame(tmp_path / "none.pkl")


class Harmful:
    """Would create a file when unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return open, (self.path, "w")


class HarmfulState:
    """Would do so from the state of an allowed object."""

    def __reduce__(self) -> tuple[object, ...]:
        return np.ndarray, ((1,),), Harmful("harm")


@pytest.mark.parametrize("how", ["entry", "nested", "state"])
def test_foreign_class_is_refused_and_nothing_runs(tmp_path, how, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    harm = tmp_path / "harm"
    harmful = {"entry": Harmful(str(harm)), "nested": [({"a": Harmful(str(harm))},)], "state": HarmfulState()}[how]
    (tmp_path / "flame.pkl").write_bytes(pickle.dumps(flame_content() | {"J": harmful}))
    assert main(["convert", "flame", "flame.pkl", "-o", "out.safetensors"]) == 1
    message = capsys.readouterr().err
    assert "flame.pkl must hold only arrays, got a pickle with" in message.replace("\n", " ")
    assert "open" in message
    assert not harm.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["flame.pkl"]


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(S'touch harm'\ntR.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cbuiltins\nobject\n(I0\ntS'b'\ntR.",
        b"ccopyreg\n_reconstructor\n(cnumpy\nndarray\ncbuiltins\nobject\nNtR.",
        b"\x80\x04\x8c\x08chumpy.x\x94\x8c\x06os.sys\x94\x93\x94.",
    ],
)
def test_hand_written_programs_are_refused(tmp_path, program):
    (tmp_path / "x.pkl").write_bytes(program)
    with pytest.raises(ValueError, match=r"x\.pkl must"):
        load_arrays(tmp_path / "x.pkl")


# ICT-FaceKit -----------------------------------------------------------------------------------------------------


def write_obj(path: Path, vertices: np.ndarray) -> None:
    """A mesh of quads with texture and two materials, in centimeters."""
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in vertices * 100]
    lines += [f"vt {u:.4f} {v:.4f}" for v in np.linspace(1, 0, SIDE) for u in np.linspace(0, 1, SIDE)]
    for row in range(SIDE - 1):
        lines.append(f"usemtl {'M_Face' if row < 6 else 'M_ScleraLeft'}")
        for a in range(row * SIDE + 1, row * SIDE + SIDE):
            lines.append("f " + " ".join(f"{v}/{v}" for v in (a, a + SIDE, a + SIDE + 1, a + 1)))
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        file.write("\n".join(["# comment", "mtllib x.mtl", *lines]) + "\n")


@pytest.fixture
def ict(tmp_path) -> Path:
    base = bump()
    lift = np.zeros_like(base)
    lift[: COUNT // 2, 1] = 0.01
    left = lift * (base[:, :1] > 0)
    right = lift * (base[:, :1] < 0)
    write_obj(tmp_path / "generic_neutral_mesh.obj", base)
    write_obj(tmp_path / "identity000.obj", base + lift)
    write_obj(tmp_path / "identity001.obj.gz", base + left - right)
    write_obj(tmp_path / "browUp_L.obj", base + left)
    write_obj(tmp_path / "browUp_R.obj", base + right)
    indices = {
        "expressions": ["browUp_L", "browUp_R", "jawOpen"],
        "idx_to_landmark_verts": landmark_vertices().tolist(),
    }
    (tmp_path / "vertex_indices.json").write_text(json.dumps(indices))
    return tmp_path


def test_ict_folder(ict):
    model = MorphableModel(import_ict(ict))
    assert model.expression_names == ("browUp_L", "browUp_R")
    assert model.part_names == ("face", "sclera_left")
    assert (model.part_labels == 1).sum() == 2 * 5 * (SIDE - 1)
    np.testing.assert_allclose(model.mean, bump() - bump().mean(0), atol=1e-6)
    moved = model.decode_shape(torch.tensor([1.0, 0.0]), torch.zeros(2)) - model.mean
    np.testing.assert_allclose(moved[0], [0, 0.01, 0], atol=1e-6)
    # top-left vertex has vt (0, 1), v upwards: our (0, 0)
    first = model.uv_triangles[(model.triangles == 0).any(-1)][0][(model.triangles[0] == 0)]
    np.testing.assert_allclose(model.uv[first[0]], [0, 0], atol=1e-6)
    # the symmetric and the antisymmetric mode, and the pair of expressions
    assert model.identity_flip is not None
    assert model.identity_flip.tolist() == [1, -1]
    assert model.expression_flip is not None
    assert model.expression_flip.tolist() == [1, 0]


def test_ict_face_mirrors(ict):
    model = MorphableModel(import_ict(ict))
    identity, expression = torch.tensor([0.3, -1.0]), torch.tensor([0.5, 0.1])
    flipped = model.decode_shape(model.flip_identity(identity), model.flip_expression(expression))
    torch.testing.assert_close(flipped, model.mirror(model.decode_shape(identity, expression)), atol=1e-6, rtol=0)


def test_damaged_ict_names_the_file(ict):
    indices = json.loads((ict / "vertex_indices.json").read_text())
    write = (ict / "identity000.obj").write_text
    text = (ict / "identity000.obj").read_text()
    write("v 1 2 3\n")
    with pytest.raises(ValueError, match=r"identity000\.obj must have the neutral mesh's 144 vertices, got 1"):
        import_ict(ict)
    write(text.replace("v ", "v nonsense ", 1))
    with pytest.raises(ValueError, match=r"identity000\.obj must hold three numbers per vertex"):
        import_ict(ict)
    write(text)
    (ict / "generic_neutral_mesh.obj").write_text("v 1 2 3\nf 1 a 3\n")
    with pytest.raises(ValueError, match=r"generic_neutral_mesh\.obj: line 2 must be a Wavefront statement"):
        import_ict(ict)
    (ict / "generic_neutral_mesh.obj").write_text(text)
    (ict / "vertex_indices.json").write_text("{")
    with pytest.raises(ValueError, match=r"must be a JSON object, got .*vertex_indices\.json"):
        import_ict(ict)
    for name, values in {"expressions": (5, None, [["browUp_L"]], {}), "idx_to_landmark_verts": (None, ["a"])}.items():
        for value in values:
            (ict / "vertex_indices.json").write_text(json.dumps({**indices, name: value}))
            with pytest.raises(ValueError, match=rf"vertex_indices\.json must hold {name}, a list of"):
                import_ict(ict)
    (ict / "vertex_indices.json").write_text(json.dumps(indices))
    packed = (ict / "identity001.obj.gz").read_bytes()
    damaged = (packed[: len(packed) // 2], packed[:-4], packed[:99] + b"\xa5" * 99 + packed[198:], b"v 1 2 3", b"")
    for body in damaged:
        (ict / "identity001.obj.gz").write_bytes(body)
        with pytest.raises(ValueError, match=r"identity001\.obj\.gz"):
            import_ict(ict)


def test_real_ict_sample(ict_head, tmp_path):
    model = ict_head
    assert (model.num_vertices, model.num_identity, model.num_expression) == (26719, 5, 5)
    points = model.landmarks(model.mean)
    # the head is symmetric, and its interocular distance (outer corners) is that of an adult
    torch.testing.assert_close(points[IBUG68_FLIP] * torch.tensor([-1.0, 1, 1]), points, atol=3e-4, rtol=0)
    assert 0.08 < float((points[36] - points[45]).norm()) < 0.10
    assert bool(((model.uv >= 0) & (model.uv <= 1)).all())
    assert model.identity_flip is not None
    model.save(tmp_path / "ict.safetensors")
    again = morphable.load_model(tmp_path / "ict.safetensors")
    c = torch.ones(5)
    assert torch.equal(again.decode_shape(c, c / 2), model.decode_shape(c, c / 2))


@pytest.mark.parametrize("kind", ["bfm09", "3ddfa", "flame", "ict"])
def test_convert_round_trips(kind, request, tmp_path, capsys):
    if kind == "flame":
        source = tmp_path / "flame.pkl"
        source.write_bytes(pickle.dumps(flame_content()))
    else:
        fixture = request.getfixturevalue({"bfm09": "bfm_crop", "3ddfa": "tddfa", "ict": "ict"}[kind])
        source = fixture[0] if isinstance(fixture, tuple) else fixture
    output = tmp_path / "model.safetensors"
    assert main(["convert", kind, str(source), "-o", str(output)]) == 0
    assert capsys.readouterr().out.strip() == str(output)
    reader = {"bfm09": import_bfm09, "3ddfa": import_3ddfa, "flame": import_flame, "ict": import_ict}[kind]
    direct, loaded = MorphableModel(reader(source)), morphable.load_model(output)
    assert (loaded.name, loaded.license) == (direct.name, direct.license)
    identity = torch.randn(2, direct.num_identity, generator=torch.Generator().manual_seed(0))
    expression = torch.rand(2, direct.num_expression, generator=torch.Generator().manual_seed(1))
    assert torch.equal(loaded.decode_shape(identity, expression), direct.decode_shape(identity, expression))


def test_pickled_scalars_and_bytes_are_read(tmp_path):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"a": np.float32(2.5), "b": b"xy", "c": [1, "two"]}, protocol=2))
    assert load_arrays(tmp_path / "x.pkl") == {"a": np.float32(2.5), "b": b"xy", "c": [1, "two"]}
