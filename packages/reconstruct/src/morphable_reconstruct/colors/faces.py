"""Albedo and light of the faces of a photograph, from its colors."""

from dataclasses import replace
from typing import TypeVar

import torch

from morphable_reconstruct.colors.estimate import estimate_colors
from morphable_reconstruct.colors.observe import observe
from morphable_reconstruct.colors.points import color_points
from morphable_reconstruct.colors.prior import light_prior
from morphable_reconstruct.faces.rows import SceneRows

_Rows = TypeVar("_Rows", bound=SceneRows)


def with_photo_colors(rows: _Rows) -> _Rows:
    """Return the same faces with albedo and light that fit the photograph best (`estimate_colors`)."""
    if not len(rows) or rows.model.num_albedo == 0:
        return rows
    faces, points = rows.faces, color_points(rows.model)
    x, y = rows.camera.principal_px.tolist()
    with torch.no_grad():
        observed = observe(
            rows.photo.pixels,
            points,
            identity=faces.identity,
            expression=faces.expression,
            rotation_head=faces.rotation_head,
            translation_m=faces.translation_m,
            focal_px=rows.camera.focal_px,
            principal_px=(x, y),
        )
        found = estimate_colors(
            observed.rgb,
            observed.visible,
            observed.normals,
            points.mean_albedo,
            points.albedo_modes,
            light_prior(),
        )
    return replace(rows, faces=replace(faces, albedo=found.albedo, illumination=found.illumination))
