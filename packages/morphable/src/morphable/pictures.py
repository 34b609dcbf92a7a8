"""Sheets of sampled faces, and meshes for other programs."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from morphable.faces import FaceParameters
from morphable.files import atomic_path
from morphable.mesh_files import MESH_SUFFIXES, write_meshes
from morphable.model import STATIC68, MorphableModel
from morphable.painting import contact_sheet, paint, turn


def draw_sheet(
    model: MorphableModel,
    path: Path,
    *,
    count: int = 12,
    seed: int = 0,
    yaw_degrees: float = 0.0,
    size_px: int = 256,
    neutral: bool = False,
    landmarks: bool = False,
) -> None:
    """Draw random faces of a model side by side and write the picture, with a progress bar.

    Args:
        model: Whose faces.
        path: Picture to write.
        count: Number of faces.
        seed: Of the random faces.
        yaw_degrees: Turn of the heads, positive to the viewer's right.
        size_px: Side of each face's picture.
        neutral: Without expressions.
        landmarks: Mark the 68 points, also hidden ones.
    """
    from rich.console import Console
    from rich.progress import track

    drawn = model.sample(count, torch.Generator().manual_seed(seed))
    expression = torch.zeros_like(drawn.expression) if neutral else drawn.expression
    with torch.no_grad():
        vertices, colors = model(drawn.identity, expression, drawn.albedo)
        points = model.landmarks(vertices).numpy() if landmarks and STATIC68 in model.landmark_schemes else None
    images = [
        paint(
            vertices[face].numpy(),
            model.triangles.numpy(),
            colors[face].numpy(),
            rotation_head=turn(math.radians(yaw_degrees)),
            size_px=size_px,
            points=None if points is None else points[face],
        )
        for face in track(range(count), "drawing", console=Console(stderr=True))
    ]
    with atomic_path(path) as temporary:
        contact_sheet(images, _columns(count)).save(temporary)


def export_mesh(
    model: MorphableModel,
    path: Path,
    *,
    seed: int | None = None,
    expression: Mapping[str, float] | None = None,
) -> None:
    """Write one face as a mesh with vertex colors, meters, +y up, +z out of the face.

    Args:
        model: Whose face.
        path: Mesh to write: .obj, .ply or .glb.
        seed: Of a random face; None for the mean face.
        expression: Activations by name.

    Raises:
        ValueError: If the suffix or an expression's name is unknown.
    """
    if path.suffix.lower() not in MESH_SUFFIXES:
        raise ValueError(f"output must end in {', '.join(MESH_SUFFIXES)}, got {path.name}")
    face = _face(model, seed, expression or {})
    with torch.no_grad():
        vertices, colors = model(face.identity[0], face.expression[0], face.albedo[0])
    write_meshes(path, model, {"face": vertices}, {"face": colors})


def part_counts(model: MorphableModel) -> dict[str, int]:
    """Return the number of triangles of each part."""
    counts = torch.bincount(model.part_labels, minlength=len(model.part_names)).tolist()
    return dict(zip(model.part_names, counts, strict=True))


def _columns(count: int) -> int:
    """Return a number of columns for a sheet that is about square or wide and leaves few places empty."""
    side = math.sqrt(count)
    return min(range(math.ceil(side), math.ceil(1.5 * side) + 1), key=lambda columns: -count % columns)


def _face(model: MorphableModel, seed: int | None, expression: Mapping[str, float]) -> FaceParameters:
    """Return the coefficients of the mean or a random face, with named expressions in place of random ones."""
    drawn = model.sample(1, torch.Generator().manual_seed(seed or 0))
    if seed is None:
        coefficients = (drawn.identity, drawn.expression, drawn.albedo)
        identity, expressions, albedo = (torch.zeros_like(values) for values in coefficients)
        drawn = replace(drawn, identity=identity, expression=expressions, albedo=albedo)
    if not expression:
        return drawn
    activations = torch.zeros_like(drawn.expression)
    for name, value in expression.items():
        if name not in model.expression_names:
            raise ValueError(f"expression must be one of {', '.join(model.expression_names)}, got {name!r}")
        activations[0, model.expression_names.index(name)] = value
    return replace(drawn, expression=activations)
