"""What `morphable info`, `sample`, `convert`, `export` and `fit` take and do; tyro is imported with this module."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from morphable.fitted_scenes import check_suffix, fit_scene, read_faces, write_fit
from morphable.library import load_model
from morphable.model import STATIC68, MorphableModel
from morphable.model_data import ModelData
from morphable.model_file import write_model_file
from morphable.pictures import draw_sheet, export_mesh, part_counts

Model = Annotated[str, tyro.conf.arg(metavar="MODEL")]


@dataclass(frozen=True, kw_only=True)
class Info:
    """Print what a model consists of."""

    model: Positional[Model] = "open"
    """`open` or a model file."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON for machines."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Draw random faces of a model on a sheet."""

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Picture to write (.png, .jpg)."""
    model: Positional[Model] = "open"
    """`open` or a model file."""
    count: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 12
    """Number of faces."""
    seed: int = 0
    """The same seed gives the same faces."""
    yaw_degrees: float = 0.0
    """Turn of the heads; positive turns the nose to the picture's right."""
    size_px: int = 256
    """Side of each face's picture."""
    neutral: bool = False
    """Without expressions."""
    landmarks: bool = False
    """Mark the 68 points."""

    def __post_init__(self) -> None:
        for name in ("count", "size_px"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class Convert:
    """Convert another project's face model into a model file."""

    kind: Positional[Literal["bfm", "bfm09", "3ddfa", "ict", "flame"]]
    """Which model: any Basel model (bfm; bfm09 is the same), 3DDFA's, ICT-FaceKit's or FLAME's."""
    source: Positional[Path]
    """Folder or file to read."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Model file to write (.safetensors)."""
    landmarks: Path | None = None
    """The 68 points: FLAME's landmark embedding (landmark_embedding.npy); for a Basel model's .h5 file a text file with
    68 vertex indices."""
    half: bool = False
    """Store bases in half precision."""

    def __post_init__(self) -> None:
        if self.landmarks is not None and self.kind not in ("flame", "bfm", "bfm09"):
            raise ValueError(f"landmarks must be given only for flame and bfm, got kind {self.kind}")


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write one face as a mesh with vertex colors, in meters, +y up."""

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Mesh to write: .obj, .ply or .glb."""
    model: Positional[Model] = "open"
    """`open` or a model file."""
    seed: int | None = None
    """Random face; without a seed the mean face."""
    expression: dict[str, float] | None = None
    """Activations by name, e.g. `--expression jawOpen 0.7 mouthSmileLeft 0.5`; replaces a random expression."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Fit a face model to the faces of a scene that `reconstruct` saved, e.g. to get them in FLAME's topology."""

    model: Positional[Model]
    """The model to fit: a file that `morphable convert` wrote, or `open`."""
    scene: Positional[Path]
    """The scene: .npz (--save npz of reconstruct), or .json, which has the 68 points only."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """.glb, .ply or .obj: a mesh per face in the model's topology; .npz: coefficients, poses, vertices."""
    to: Literal["auto", "surface", "landmarks"] = "auto"
    """What to fit to: all of the faces' surface, or the 68 points in the picture; auto takes the surface if it is
    there."""

    def __post_init__(self) -> None:
        check_suffix(self.output)


Command = Info | Sample | Convert | Export | Fit
COMMANDS: dict[str, Callable[..., Command]] = {
    "info": Info,
    "sample": Sample,
    "convert": Convert,
    "export": Export,
    "fit": Fit,
}


def run(command: Command) -> None:
    """Carry out one command."""
    if isinstance(command, Info):
        print_info(load_model(command.model), as_json=command.as_json)
    elif isinstance(command, Sample):
        draw_sheet(
            load_model(command.model),
            command.output,
            count=command.count,
            seed=command.seed,
            yaw_degrees=command.yaw_degrees,
            size_px=command.size_px,
            neutral=command.neutral,
            landmarks=command.landmarks,
        )
    elif isinstance(command, Convert):
        convert(command)
    elif isinstance(command, Fit):
        fit(command)
    else:
        export_mesh(load_model(command.model), command.output, seed=command.seed, expression=command.expression)


def print_info(model: MorphableModel, *, as_json: bool) -> None:
    """Print a model's name, sizes and names."""
    facts: dict[str, object] = {
        "name": model.name,
        "license": model.license,
        "source": model.source,
        "vertices": model.num_vertices,
        "base_vertices": model.mean.shape[0],
        "triangles": model.triangles.shape[0],
        "identity_modes": model.num_identity,
        "expression_modes": model.num_expression,
        "albedo_modes": model.num_albedo,
        "expression_prior": model.expression_prior,
        "landmark_schemes": list(model.landmark_schemes),
        "regions": list(model.region_names),
        "parts": part_counts(model),
        "mirror_residual": model.mirror_residual,
        "expressions": list(model.expression_names),
    }
    if as_json:
        sys.stdout.write(json.dumps(facts, indent=2) + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        if isinstance(value, dict):
            shown = ", ".join(f"{part} {count}" for part, count in value.items())
        table.add_row(name.replace("_", " "), str(shown))
    Console().print(table, soft_wrap=False)


def convert(command: Convert) -> None:
    """Import a foreign model and write it as a model file."""
    from rich.console import Console

    from morphable import importers

    readers: dict[str, Callable[[Path], ModelData]] = {
        **dict.fromkeys(("bfm", "bfm09"), lambda path: importers.import_bfm(path, landmarks=command.landmarks)),
        "3ddfa": importers.import_3ddfa,
        "ict": importers.import_ict,
        "flame": lambda path: importers.import_flame(path, landmarks=command.landmarks),
    }
    with Console(stderr=True).status(f"reading {command.source}"):
        data = readers[command.kind](command.source)
        write_model_file(data, command.output, half=command.half)
    sys.stdout.write(f"{command.output}\n")
    for note in notes(data):
        sys.stderr.write(f"note: {note}\n")


def fit(command: Fit) -> None:
    """Fit a model to a scene, write the faces, and print how near they come."""
    faces = read_faces(command.scene)
    surface = command.to == "surface" or (command.to == "auto" and faces.vertices_cam_m is not None)
    model = load_model(command.model)
    fitted = fit_scene(model, faces, "surface" if surface else "landmarks")
    write_fit(fitted, model, command.output)
    for index, residual in enumerate(fitted.residual.tolist()):
        left = f"{1000 * residual:.2f} mm from the surface" if surface else f"{residual:.2f} px from the 68 points"
        sys.stdout.write(f"face {index}: {left} (root mean square)\n")
    sys.stdout.write(f"{command.output}\n")


def notes(data: ModelData) -> list[str]:
    """Return notes for the user of an imported model: its mirror, and what it lacks."""
    found = [
        f"mirrored {kind} coefficients are a least-squares fit that leaves {share:.1%} of the modes"
        for kind, share in data.mirror_residual.items()
    ]
    if data.identity_flip is None:
        found.append("the mesh is not bilateral, so its faces can't be mirrored; train with flips off")
    if STATIC68 not in data.landmarks:
        held = f" (only {', '.join(data.landmarks)})" if data.landmarks else ""
        found.append(f"the model has no 68 points{held}, which reconstruction and training need; see --landmarks")
    return found
