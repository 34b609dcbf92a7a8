"""Any Basel Face Model, told apart by what the file or folder holds."""

from os import PathLike
from pathlib import Path

from morphable.importers.bfm09 import CROPPED, ORIGINAL, import_bfm09
from morphable.importers.foreign import HDF5_MAGIC
from morphable.importers.statismo import import_statismo
from morphable.model_data import ModelData

PICKLE_SUFFIXES = (".pkl", ".pickle")


def import_bfm(path: str | PathLike[str], *, landmarks: str | PathLike[str] | None = None) -> ModelData:
    """Read a Basel Face Model as it is downloaded.

    Args:
        path: BFM 2009: `BFM_model_front.mat`, `01_MorphableModel.mat` or the folder of either, see `import_bfm09`.
            BFM 2017 or 2019: the `.h5` file, see `import_statismo`.
        landmarks: Vertex indices of the 68 points, for `.h5` files; see `import_statismo`.

    Raises:
        FileNotFoundError: If a file is missing.
        ModuleNotFoundError: If SciPy or h5py is needed and not installed.
        ValueError: If a file is of another kind, damaged, or an array has the wrong shape.
    """
    path = Path(path)
    if path.is_dir():
        if not any((path / name).is_file() for name in (CROPPED, ORIGINAL)) and any(path.glob("*.h5")):
            found = ", ".join(sorted(file.name for file in path.glob("*.h5")))
            raise ValueError(f"path must be one .h5 file itself (BFM 2017 or 2019), got the folder {path} with {found}")
        return import_bfm09(path)
    if path.suffix in PICKLE_SUFFIXES:
        raise ValueError(f"path must be a Basel model, got {path}; run `morphable convert 3ddfa` for 3DDFA's pickles")
    if path.is_file():
        with path.open("rb") as file:
            is_hdf5 = file.read(len(HDF5_MAGIC)) == HDF5_MAGIC
        if is_hdf5 or path.suffix == ".h5":
            return import_statismo(path, landmarks=landmarks)
    if landmarks is not None:
        raise ValueError(f"landmarks must be given only for .h5 files of Basel models, got {path}")
    return import_bfm09(path)
