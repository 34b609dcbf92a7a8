"""Where scans, predictions and their seven landmarks lie in the folders of the public data sets."""

import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from morphable_evalkit.files import read_json, read_npy, read_text, refusing
from morphable_evalkit.scans.bosphorus import SEVEN_LANDMARKS, read_lm3
from morphable_evalkit.scans.mesh_files import MESH_SUFFIXES

Layout = Literal["now", "micc", "bosphorus", "folder"]

LANDMARK_FILE = "landmarks7.json"
"""Beside scans or predictions: relative path of a mesh to its seven points, in the mesh's own unit."""

_LANDMARK_SUFFIXES = (".lm3", ".pp", ".npy", ".txt", ".landmarks7.txt")
"""Files of landmarks beside a mesh; `reconstruct` writes the last one."""

_NOW_LISTS = ("imagepathsvalidation.txt", "imagepathstest.txt")
_PP_POINT = re.compile(r"<point\b[^>]*>")
_PP_AXIS = re.compile(r'\b([xyz])="([^"]+)"')


@dataclass(frozen=True, kw_only=True)
class ScanPaths:
    """Files of one comparison; nothing is read yet."""

    name: str
    subject: str
    group: str
    scan: Path
    scan_root: Path
    scan_landmarks: Path | None
    """Own file of the landmarks; in `landmarks7.json` of `scan_root` where absent."""
    prediction: Path | None
    """None if there is no predicted mesh: a counted failure."""
    prediction_root: Path


def find_scans(layout: Layout, scans: Path, predictions: Path, *, image_list: Path | None = None) -> list[ScanPaths]:
    """List the comparisons of a data set.

    Layouts (names of files may differ between releases; `folder` takes any):
        `now`: `imagepathsvalidation.txt`, `scans/SUBJECT/*.obj`, `scans_lmks_onlypp/SUBJECT/*.pp`; predictions
            `SUBJECT/CHALLENGE/IMAGE.{obj,ply}` with landmarks `IMAGE.npy` or `.txt` beside them.
        `micc`: `SUBJECT/Model/frontal{1,2}/**/*.{obj,ply}`; predictions `SUBJECT/SETTING/*.{obj,ply}`, each compared
            with every frontal scan of its subject.
        `bosphorus`: `**/NAME.bnt` with `NAME.lm3`; predictions at the same relative path with a mesh ending.
        `folder`: any meshes; predictions at the same relative path (Pixel-Face-like: `SUBJECT/EXPRESSION.obj`).

    Args:
        layout: Which.
        scans: Root of the data set.
        predictions: Root of the predicted meshes.
        image_list: NoW's list of images where it is not in the root.

    Raises:
        FileNotFoundError: A folder is missing or holds no scan.
        ValueError: A predicted mesh belongs to no scan.
    """
    for name, folder in (("scans", scans), ("preds", predictions)):
        if not folder.is_dir():
            raise FileNotFoundError(f"{name} must be a folder, got {folder}")
    finders: dict[str, Callable[[], Iterator[ScanPaths]]] = {
        "now": lambda: _now(scans, predictions, image_list),
        "micc": lambda: _micc(scans, predictions),
        "bosphorus": lambda: _mirrored(scans, predictions, (".bnt",)),
        "folder": lambda: _mirrored(scans, predictions, MESH_SUFFIXES),
    }
    found = list(finders[layout]())
    if not found:
        raise FileNotFoundError(f"scans must hold meshes in the layout of {layout!r}, got none in {scans}")
    used = {paths.prediction.with_suffix("") for paths in found if paths.prediction is not None}
    unknown = [mesh for mesh in _meshes(predictions, MESH_SUFFIXES) if mesh.with_suffix("") not in used]
    if unknown:
        names = ", ".join(str(mesh.relative_to(predictions)) for mesh in unknown[:3])
        raise ValueError(f"preds must belong to scans in {scans}, got {len(unknown)} that do not ({names})")
    return found


def read_landmarks(mesh: Path, root: Path, own_file: Path | None = None) -> Float[np.ndarray, "7 3"]:
    """Read the seven landmarks of a mesh: its own file beside it, else `landmarks7.json` of its root.

    Raises:
        FileNotFoundError: There are none.
        ValueError: They are not seven points.
    """
    candidates = [own_file] if own_file else [mesh.with_suffix(end) for end in _LANDMARK_SUFFIXES]
    for path in candidates:
        if path is not None and path.is_file():
            with refusing(path, "seven landmarks (x, y, z)"):
                return _seven(_read_points(path), path)
    listing = root / LANDMARK_FILE
    name = mesh.relative_to(root).as_posix()
    points = _listed_landmarks(listing).get(name) if listing.is_file() else None
    if points is None:
        raise FileNotFoundError(
            f"landmarks of {name} must be beside it ({', '.join(_LANDMARK_SUFFIXES)}) or in {listing}"
        )
    return _seven(np.array(points, dtype=np.float64), listing)


def _listed_landmarks(listing: Path) -> dict[str, tuple[tuple[float, float, float], ...]]:
    """Read a `landmarks7.json`."""
    return read_json(
        listing, dict[str, tuple[tuple[float, float, float], ...]], "the form {mesh: seven points [x, y, z]}"
    )


def _now(scans: Path, predictions: Path, image_list: Path | None) -> Iterator[ScanPaths]:
    """NoW: one comparison per listed image."""
    lists = [image_list] if image_list else [scans / name for name in _NOW_LISTS]
    listing = next((path for path in lists if path.is_file()), None)
    if listing is None:
        raise FileNotFoundError(f"scans must hold {' or '.join(_NOW_LISTS)}, got {scans}; pass --image-list")
    for image in read_text(listing).split():
        subject, challenge = image.split("/")[:2]
        scan = _one(scans / "scans" / subject, ".obj", ".ply")
        marks = sorted((scans / "scans_lmks_onlypp" / subject).glob("*.pp"))
        yield ScanPaths(
            name=image,
            subject=subject,
            group=challenge,
            scan=scan,
            scan_root=scans,
            scan_landmarks=marks[0] if marks else None,
            prediction=_existing((predictions / image).with_suffix("")),
            prediction_root=predictions,
        )


def _micc(scans: Path, predictions: Path) -> Iterator[ScanPaths]:
    """MICC: every prediction of a subject against every frontal scan of it."""
    for subject in sorted(path for path in scans.iterdir() if (path / "Model").is_dir()):
        frontal = [mesh for mesh in _meshes(subject / "Model", MESH_SUFFIXES) if _is_frontal(mesh, subject)]
        own = predictions / subject.name
        meshes = _meshes(own, MESH_SUFFIXES) if own.is_dir() else []
        for scan in frontal:
            for mesh in meshes or (None,):
                yield ScanPaths(
                    name=(mesh.relative_to(predictions) if mesh else scan.relative_to(scans)).as_posix(),
                    subject=subject.name,
                    group=mesh.relative_to(own).parts[0] if mesh and mesh.parent != own else "",
                    scan=scan,
                    scan_root=scans,
                    scan_landmarks=None,
                    prediction=mesh,
                    prediction_root=predictions,
                )


def _is_frontal(mesh: Path, subject: Path) -> bool:
    """Whether a scan was taken from the front (`frontal1`, `frontal2`)."""
    return any(part.startswith("frontal") for part in mesh.relative_to(subject).parts)


def _mirrored(scans: Path, predictions: Path, suffixes: tuple[str, ...]) -> Iterator[ScanPaths]:
    """Predictions at the scans' relative paths."""
    for scan in _meshes(scans, suffixes):
        relative = scan.relative_to(scans)
        yield ScanPaths(
            name=relative.with_suffix("").as_posix(),
            subject=relative.parts[0] if len(relative.parts) > 1 else relative.stem,
            group="",
            scan=scan,
            scan_root=scans,
            scan_landmarks=None,
            prediction=_existing((predictions / relative).with_suffix("")),
            prediction_root=predictions,
        )


def _meshes(root: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Mesh files below a folder, sorted; hidden files and folders, and archives of other arrays, are left out."""
    found = [path for path in root.rglob("*") if path.suffix.lower() in suffixes and _may_be_mesh(path)]
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts))


def _existing(stem: Path) -> Path | None:
    """The mesh file of a path without ending, if there is one."""
    paths = [stem.with_name(stem.name + end) for end in MESH_SUFFIXES]
    return next((path for path in paths if path.is_file() and _may_be_mesh(path)), None)


def _may_be_mesh(path: Path) -> bool:
    """Tell a mesh as .npz from a prediction file or other arrays; a damaged file is left to its reader."""
    if path.suffix.lower() != ".npz" or not zipfile.is_zipfile(path):
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return "vertices.npy" in archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return True


def _one(folder: Path, *suffixes: str) -> Path:
    """The only mesh of a folder."""
    found = _meshes(folder, suffixes) if folder.is_dir() else []
    if len(found) != 1:
        raise FileNotFoundError(f"{folder} must hold one scan, got {len(found)}")
    return found[0]


def _read_points(path: Path) -> Float[np.ndarray, "points 3"]:
    """Read points by the file's ending."""
    if path.suffix == ".npy":
        return read_npy(path).astype(np.float64).reshape(-1, 3)
    if path.suffix == ".lm3":
        named = read_lm3(path)
        missing = [name for name in SEVEN_LANDMARKS if name not in named]
        if missing:
            raise ValueError(f"{path} must hold {', '.join(SEVEN_LANDMARKS)}, got none for {', '.join(missing)}")
        return np.array([named[name] for name in SEVEN_LANDMARKS])
    if path.suffix == ".pp":
        points = [dict(_PP_AXIS.findall(entry)) for entry in _PP_POINT.findall(read_text(path))]
        return np.array([[float(point[axis]) for axis in "xyz"] for point in points]).reshape(-1, 3)
    return np.array(read_text(path).replace(",", " ").split(), dtype=np.float64).reshape(-1, 3)


def _seven(points: Float[np.ndarray, "points 3"], path: Path) -> Float[np.ndarray, "7 3"]:
    """Check the count."""
    if points.shape != (7, 3):
        raise ValueError(f"{path} must hold 7 points (eye corners, nose bottom, mouth corners), got {points.shape}")
    return points
