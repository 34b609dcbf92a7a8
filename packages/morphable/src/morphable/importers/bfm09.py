"""Basel Face Model 2009 (Paysan et al., 2009) in the front crop of Deep3DFaceReconstruction (Deng et al., 2019)."""

from os import PathLike
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from morphable.files import reader, refusing
from morphable.importers.assemble import as_modes, outward, vertex_points, with_contour
from morphable.importers.matlab import load_matlab
from morphable.importers.mirror import with_mirror
from morphable.model_data import ModelData

METERS_PER_BFM_UNIT = 1e-6
METERS_PER_DECIMETER = 0.1
MAX_COLOR = 255.0
NUM_IDENTITY, NUM_EXPRESSION, NUM_ALBEDO = 80, 64, 80
CROPPED = "BFM_model_front.mat"
ORIGINAL = "01_MorphableModel.mat"
BESIDE_ORIGINAL = ("Exp_Pca.bin", "std_exp.txt", "BFM_front_idx.mat", "BFM_exp_idx.mat", "facemodel_info.mat")
INFO_NAMES = ("tri", "keypoints", "skinmask", "frontmask2_idx")
Arrays = dict[str, np.ndarray]


@reader("path must be of BFM 2009")
def import_bfm09(path: str | PathLike[str]) -> ModelData:
    """Read the front crop of BFM 2009 with FaceWarehouse's expressions: 80 identity, 64 expression, 80 albedo modes.

    Either from the finished crop, `BFM_model_front.mat`, or from what it is made of: `01_MorphableModel.mat` (from
    Basel), `Exp_Pca.bin` (from Guo et al.'s CoarseData), and Deep3DFaceReconstruction's `std_exp.txt`,
    `BFM_front_idx.mat`, `BFM_exp_idx.mat` and `facemodel_info.mat`. All coefficients are standard normal.

    Args:
        path: The folder, `BFM_model_front.mat`, or `01_MorphableModel.mat` with the others beside it.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is damaged or an array has the wrong shape.
    """
    path = Path(path)
    if path.is_file() and path.name != ORIGINAL:
        crop = _read_crop(path)
    elif (path / CROPPED).is_file():
        crop = _read_crop(path / CROPPED)
    else:
        crop = _make_crop(path.parent if path.name == ORIGINAL else path)
    vertices = torch.from_numpy(crop["meanshape"].reshape(-1, 3)).float()
    index = {
        name: torch.from_numpy(_from_one(path, name, crop[name], len(vertices)))
        for name in ("tri", "keypoints", "frontmask2_idx")
    }
    triangles = outward(index["tri"].reshape(-1, 3), vertices)
    in_front = torch.zeros(len(vertices), dtype=torch.bool)
    in_front[index["frontmask2_idx"]] = True
    data = ModelData(
        name="bfm09-front",
        license="Basel Face Model 2009 license (research only); not redistributable",
        source="https://faces.dmi.unibas.ch/bfm, cropped as in https://github.com/microsoft/Deep3DFaceReconstruction",
        mean=vertices - vertices.mean(0),
        identity_basis=as_modes(crop["idBase"], NUM_IDENTITY, 1.0),
        expression_basis=as_modes(crop["exBase"], NUM_EXPRESSION, 1.0),
        mean_albedo=torch.from_numpy(crop["meantex"].reshape(-1, 3) / MAX_COLOR).float(),
        albedo_basis=as_modes(crop["texBase"], NUM_ALBEDO, 1 / MAX_COLOR),
        triangles=triangles,
        expression_prior="normal",
        regions={"skin": torch.from_numpy(crop["skinmask"].reshape(-1) > 0), "face": in_front},
        landmarks={"ibug68_3d": vertex_points(index["keypoints"].numpy(), triangles)},
    )
    return with_mirror(with_contour(data))


def _read_crop(path: Path) -> Arrays:
    """Read the finished crop, decimeters to meters."""
    crop = load_matlab(path, ("meanshape", "meantex", "idBase", "exBase", "texBase", *INFO_NAMES))
    for name in ("meanshape", "idBase", "exBase"):
        crop[name] = crop[name] * METERS_PER_DECIMETER
    for name in ("idBase", "exBase", "texBase"):
        if crop[name].shape[0] != crop["meanshape"].size:
            wanted = crop["meanshape"].size
            raise ValueError(f"{path}: {name} must have {wanted} rows, got {crop[name].shape}")
    return crop


def _make_crop(folder: Path) -> Arrays:
    """Combine the original files as Deep3DFaceReconstruction does."""
    if not (folder / ORIGINAL).is_file():
        raise FileNotFoundError(f"folder must hold {CROPPED} or {ORIGINAL}, got {folder} without")
    missing = [name for name in BESIDE_ORIGINAL if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"folder must hold {', '.join(missing)} beside {ORIGINAL}, got {folder} without; "
            "Exp_Pca.bin is in Guo et al.'s CoarseData, the others in the folder BFM of "
            "https://github.com/microsoft/Deep3DFaceReconstruction"
        )
    names = ("shapeMU", "shapePC", "shapeEV", "texMU", "texPC", "texEV")
    basel = load_matlab(folder / ORIGINAL, names)
    of_original = _indices(folder / "BFM_exp_idx.mat", "trimIndex", basel["shapeMU"].size // 3)
    of_expression = _indices(folder / "BFM_front_idx.mat", "idx", len(of_original))
    of_shape = of_original[of_expression]
    expression = _read_expressions(folder / "Exp_Pca.bin", len(of_original))
    with refusing("standard deviations must be numbers", folder / "std_exp.txt"):
        std = np.loadtxt(folder / "std_exp.txt").reshape(-1)
    if std.size < expression.shape[1]:
        raise ValueError(f"{folder / 'std_exp.txt'} must hold {expression.shape[1]} numbers, got {std.size}")
    info = load_matlab(folder / "facemodel_info.mat", INFO_NAMES)
    id_scale, tex_scale = (basel[name].reshape(-1)[None] for name in ("shapeEV", "texEV"))
    return info | {
        "meanshape": _rows(basel["shapeMU"], of_shape) * METERS_PER_BFM_UNIT,
        "idBase": _rows((basel["shapePC"] * id_scale)[:, :NUM_IDENTITY], of_shape) * METERS_PER_BFM_UNIT,
        "exBase": _rows(expression * std[: expression.shape[1]], of_expression) * METERS_PER_BFM_UNIT,
        "meantex": _rows(basel["texMU"], of_shape),
        "texBase": _rows((basel["texPC"] * tex_scale)[:, :NUM_ALBEDO], of_shape),
    }


def _indices(path: Path, name: str, count: int) -> Int[np.ndarray, " indices"]:
    """Read vertex indices, 1-based in the file."""
    return _from_one(path, name, load_matlab(path, (name,))[name], count)


def _from_one(path: Path, name: str, stored: np.ndarray, count: int) -> Int[np.ndarray, " indices"]:
    """Turn vertex indices that count from 1 into ours, in one row."""
    index = stored.reshape(-1).astype(np.int64) - 1
    if index.size and (index.min() < 0 or index.max() >= count):
        raise ValueError(f"{path}: {name} must index {count} vertices from 1, got up to {index.max() + 1}")
    return index


def _rows(columns: np.ndarray, vertex: Int[np.ndarray, " verts"]) -> Float[np.ndarray, "rows modes"]:
    """Keep the coordinates of some vertices of a matrix whose rows are x, y, z of each vertex in turn."""
    return columns.reshape(-1, 3, columns.shape[-1])[vertex].reshape(3 * len(vertex), -1)


def _read_expressions(path: Path, num_vertices: int) -> Float[np.ndarray, "rows modes"]:
    """Read `Exp_Pca.bin`: the number of modes (int32), the mean, then the modes one after the other (float32)."""
    raw = path.read_bytes()
    count = int(np.frombuffer(raw[:4], "<i4")[0]) if len(raw) >= 4 else 0
    rows = 3 * num_vertices
    wanted = 4 + 4 * rows * (1 + count)
    if count < 1 or len(raw) < wanted:
        raise ValueError(f"{path} must hold {wanted} bytes ({count} modes, {num_vertices} vertices), got {len(raw)}")
    modes = np.frombuffer(raw, "<f4", count * rows, offset=4 + 4 * rows)
    return modes.reshape(count, rows).T.astype(np.float64)
