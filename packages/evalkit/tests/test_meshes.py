import struct

import numpy as np
import pytest

from morphable_evalkit.scans.bosphorus import read_bnt, read_lm3
from morphable_evalkit.scans.mesh import Mesh
from morphable_evalkit.scans.mesh_files import read_mesh, write_ply

SQUARE = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])


def test_obj_reads_polygons_colors_texture_indices_and_negative_ones(tmp_path):
    path = tmp_path / "a.obj"
    lines = ["# x", "mtllib a.mtl", "v 0 0 0 0.1 0.2 0.3", "v 1 0 0", "v 1 1 0", "v 0 1 0", "vt 0 0"]
    lines += ["f 1/1/1 2//2 3 4", "f -4 -3 -2"]
    path.write_text("\n".join(lines))
    mesh = read_mesh(path)
    np.testing.assert_array_equal(mesh.vertices, SQUARE)
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2]]


@pytest.mark.parametrize("order", ["<", ">"])
def test_binary_ply(tmp_path, order):
    names = {"<": "binary_little_endian", ">": "binary_big_endian"}
    header = ["ply", f"format {names[order]} 1.0", "comment c", "element vertex 4"]
    header += ["property float x", "property float y", "property double z", "property uchar red", "element face 1"]
    header += ["property uchar flags", "property list uchar int vertex_indices", "end_header", ""]
    body = b"".join(struct.pack(f"{order}ffdB", *v, 7) for v in SQUARE) + struct.pack(f"{order}BBiii", 9, 3, 0, 1, 2)
    (tmp_path / "a.ply").write_bytes("\n".join(header).encode() + body)
    mesh = read_mesh(tmp_path / "a.ply")
    np.testing.assert_array_equal(mesh.vertices, SQUARE)
    assert mesh.triangles.tolist() == [[0, 1, 2]]


def test_ascii_ply_with_a_polygon(tmp_path):
    text = "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
    text += "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    text += "\n".join(" ".join(map(str, v)) for v in SQUARE) + "\n4 0 1 2 3\n"
    (tmp_path / "a.ply").write_text(text)
    assert read_mesh(tmp_path / "a.ply").triangles.tolist() == [[0, 1, 2], [0, 2, 3]]


def test_written_ply_and_npz_are_read_back(tmp_path):
    mesh = Mesh(SQUARE, np.array([[0, 1, 2], [0, 2, 3]]))
    write_ply(tmp_path / "a.ply", mesh, np.zeros((4, 3), np.uint8))
    again = read_mesh(tmp_path / "a.ply")
    np.testing.assert_array_equal(again.vertices, SQUARE)
    np.testing.assert_array_equal(again.triangles, mesh.triangles)
    np.savez(tmp_path / "a.npz", vertices=SQUARE, triangles=mesh.triangles)
    np.testing.assert_array_equal(read_mesh(tmp_path / "a.npz").vertices, SQUARE)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="mesh must exist"):
        read_mesh(tmp_path / "a.obj")
    (tmp_path / "a.xyz").write_text("x")
    with pytest.raises(ValueError, match="must end in"):
        read_mesh(tmp_path / "a.xyz")
    (tmp_path / "a.ply").write_text("nothing")
    with pytest.raises(ValueError, match="must be a PLY file"):
        read_mesh(tmp_path / "a.ply")
    (tmp_path / "a.obj").write_text("v 0 0 zero\n")
    with pytest.raises(ValueError, match="must be a Wavefront OBJ"):
        read_mesh(tmp_path / "a.obj")
    (tmp_path / "a.obj").write_text("v 0 0 0\nf 1 2 3\n")
    with pytest.raises(ValueError, match="name vertices below 1"):
        read_mesh(tmp_path / "a.obj")
    (tmp_path / "a.obj").write_text("")
    with pytest.raises(ValueError, match="must hold vertices"):
        read_mesh(tmp_path / "a.obj")


def _bnt(rows: int, columns: int, xyz: np.ndarray) -> bytes:
    values = np.concatenate([xyz.reshape(3, -1), np.zeros((2, rows * columns))])
    name = b"face.png"
    header = struct.pack("<HHdH", rows, columns, -1e9, len(name)) + name
    return header + struct.pack("<I", values.size) + values.astype("<f8").tobytes()


def test_range_image_joins_neighbors_but_not_over_holes_and_depth_steps(tmp_path):
    x, y = np.meshgrid(np.arange(4.0), np.arange(3.0))
    xyz = np.stack([x, y, np.zeros((3, 4))])
    (tmp_path / "a.bnt").write_bytes(_bnt(3, 4, xyz))
    assert read_mesh(tmp_path / "a.bnt").triangles.shape == (12, 3)
    xyz[2, 0, 0] = -1e9  # background: the corner quad's two triangles go
    (tmp_path / "a.bnt").write_bytes(_bnt(3, 4, xyz))
    holed = read_mesh(tmp_path / "a.bnt")
    assert (len(holed.vertices), len(holed.triangles)) == (11, 10)
    xyz[2, 0, 0], xyz[2, :, 2:] = 0.0, 50.0  # a step between columns 1 and 2: that strip's four triangles go
    (tmp_path / "a.bnt").write_bytes(_bnt(3, 4, xyz))
    assert len(read_mesh(tmp_path / "a.bnt").triangles) == 8


def test_broken_range_image_is_refused(tmp_path):
    data = _bnt(2, 2, np.zeros((3, 2, 2)))
    (tmp_path / "a.bnt").write_bytes(data[:-8])
    with pytest.raises(ValueError, match=r"must be a Bosphorus \.bnt file"):
        read_bnt(tmp_path / "a.bnt")


def test_named_landmarks(tmp_path):
    (tmp_path / "a.lm3").write_text("# BOSPHORUS\n\n2 landmarks:\nNose tip\n1 2 3\nChin middle\n4.5 5 6\n")
    assert read_lm3(tmp_path / "a.lm3")["Chin middle"].tolist() == [4.5, 5.0, 6.0]
