"""Reading and binding of proxy meshes."""

from pathlib import Path

import numpy as np
import pytest

from morphable_synth.assets.proxies import HM08_VERTICES, read_obj, read_proxy

OBJ = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nf 1/1 2/2 3/3 4/4\n"
HEADER = "basemesh hm08\nx_scale 0 1 2.0\ny_scale 0 2 2.0\nz_scale 0 3 2.0\nobj_file quad.obj\n"
ROWS = "verts 0\n0\n1 2 3 0.5 0.25 0.25 1.0 2.0 4.0\n1\n2\ndelete_verts\n5 7 - 9\n"


def _write(folder: Path, rows: str = ROWS, obj: str = OBJ) -> Path:
    (folder / "quad.obj").write_text(obj)
    (folder / "quad.mhclo").write_text(HEADER + rows)
    return folder / "quad.mhclo"


def test_quad_becomes_two_triangles_with_v_down(tmp_path: Path):
    triangles, uv, vertices = read_obj(_write(tmp_path).with_suffix(".obj"))
    assert vertices == 4
    np.testing.assert_array_equal(triangles, [[0, 1, 2], [0, 2, 3]])
    np.testing.assert_allclose(uv[0], [[0, 1], [1, 1], [1, 0]])


def test_bound_point_matches_hand_calculation(tmp_path: Path):
    mesh = read_proxy(_write(tmp_path))
    body = np.zeros((HM08_VERTICES, 3), np.float32)
    body[1], body[2], body[3] = [2, 0, 0], [0, 1, 0], [0, 0, 0.5]
    # scale = |x0 - x1| / 2, |y0 - y2| / 2, |z0 - z3| / 2 = 1, 0.5, 0.25
    # point = 0.5 * (2, 0, 0) + 0.25 * (0, 1, 0) + 0.25 * (0, 0, 0.5) + (1 * 1, 2 * 0.5, 4 * 0.25)
    np.testing.assert_allclose(mesh.bind(body)[1], [2.0, 1.25, 1.125])
    np.testing.assert_allclose(mesh.bind(body)[2], [2, 0, 0])
    np.testing.assert_array_equal(mesh.hides, [5, 7, 8, 9])


def test_bound_mesh_scales_with_the_body(tmp_path: Path):
    mesh = read_proxy(_write(tmp_path))
    body = np.random.default_rng(0).normal(size=(HM08_VERTICES, 3)).astype(np.float32)
    np.testing.assert_allclose(mesh.bind(body * 3), mesh.bind(body) * 3, rtol=1e-4, atol=1e-5)


def test_subset_keeps_the_positions_of_its_triangles(tmp_path: Path):
    mesh = read_proxy(_write(tmp_path))
    body = np.random.default_rng(1).normal(size=(HM08_VERTICES, 3)).astype(np.float32)
    part = mesh.subset(np.array([False, True]))
    np.testing.assert_array_equal(part.bind(body)[part.triangles[0]], mesh.bind(body)[mesh.triangles[1]])


def test_malformed_files_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="must bind at least one vertex"):
        read_proxy(_write(tmp_path, rows=""))
    with pytest.raises(ValueError, match="must bind each of the 4 vertices"):
        read_proxy(_write(tmp_path, rows="verts 0\n1\n"))
    with pytest.raises(ValueError, match="must refer to hm08 vertices"):
        read_proxy(_write(tmp_path, rows="verts 0\n99999\n1\n1\n1\n"))
    (tmp_path / "torn.json").write_text("{")
    with pytest.raises(ValueError, match="malformed"):
        read_proxy(tmp_path / "torn.json")
    with pytest.raises(FileNotFoundError):
        read_proxy(tmp_path / "absent.mhclo")
