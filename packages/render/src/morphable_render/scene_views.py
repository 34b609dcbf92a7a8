"""A scene of faces from the front, from the right and from above (Fig. 1 and 12 of Zhang et al.)."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from morphable_render.rasterization import Backend
from morphable_render.scene import FaceImage, render_faces

View = Literal["front", "right", "top"]

DISTANCE_IN_RADII = 12.0
"""The views' camera stands this many scene radii away: nearly parallel rays, so that sizes can be compared."""

MARGIN = 0.92
"""Share of the picture's width or height, whichever is tighter, that the scene fills."""


@dataclass(frozen=True)
class SceneViews:
    """One scene in three views, each as large as it fits; depth and normals are in each view's own camera."""

    front: FaceImage
    right: FaceImage
    top: FaceImage


def view_rotation(view: View, like: Float[Tensor, "..."]) -> Float[Tensor, "3 3"]:
    """Return the rotation from the scene's camera frame to a view's.

    `front` looks the way the photograph's camera did; `right` stands on the picture's right and looks left;
    `top` stands above and looks down, far things up.
    """
    rows = {
        "front": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        "right": [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]],
        "top": [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]],
    }
    if view not in rows:
        raise ValueError(f"view must be one of {', '.join(rows)}, got {view!r}")
    return torch.tensor(rows[view], dtype=like.dtype, device=like.device)


def render_view(
    vertices_cam: Float[Tensor, "faces verts 3"],
    triangles: Int[Tensor, "tris 3"],
    colors: Float[Tensor, "faces verts 3"],
    *,
    view: View,
    background: Float[Tensor, "rows cols 3"],
    part_labels: Int[Tensor, " tris"] | None = None,
    backend: Backend | None = None,
) -> FaceImage:
    """Render a scene from one side, as large as it fits.

    Args:
        vertices_cam: Vertices of all faces in the photograph's camera frame, meters.
        triangles: Common triangles.
        colors: Vertex colors as they are to be shown; light them in the photograph's frame (`shade_sh`).
        view: Where to stand.
        background: Colors behind the faces; its size is the picture's.
        part_labels: Label of each triangle.
        backend: As in `rasterize`.

    >>> front = render_view(
    ...     vertices_cam[:1], model.triangles, albedo[:1], view="front", background=torch.zeros(64, 64, 3)
    ... )
    >>> front.rgb.shape
    torch.Size([64, 64, 3])
    """
    rows, cols, _ = background.shape
    points = vertices_cam.reshape(-1, 3)
    if len(points) == 0:
        points = vertices_cam.new_zeros(1, 3)
    center = (points.amin(0) + points.amax(0)) / 2
    radius = (points - center).norm(dim=-1).amax().clamp(min=1e-6)
    turned = (vertices_cam - center) @ view_rotation(view, vertices_cam).T
    placed = turned + torch.stack([0 * radius, 0 * radius, DISTANCE_IN_RADII * radius])
    extent = (placed[..., :2] / placed[..., 2:]).detach().abs().reshape(-1, 2)
    half = extent.new_tensor([cols / 2, rows / 2])
    focal_px = MARGIN * (half / extent.amax(0).clamp(min=1e-6)).amin() if len(extent) else half[0]
    return render_faces(
        placed,
        triangles,
        colors,
        focal_px=focal_px,
        background=background,
        part_labels=part_labels,
        backend=backend,
    )


def views(
    vertices_cam: Float[Tensor, "faces verts 3"],
    triangles: Int[Tensor, "tris 3"],
    colors: Float[Tensor, "faces verts 3"],
    *,
    background: Float[Tensor, "rows cols 3"],
) -> SceneViews:
    """Render front, right and top view of a scene; arguments as in `render_view`.

    >>> front = views(
    ...     vertices_cam[:1], model.triangles, albedo[:1], background=torch.zeros(64, 64, 3)
    ... )
    >>> front.front.rgb.shape
    torch.Size([64, 64, 3])
    """
    front, right, top = (
        render_view(vertices_cam, triangles, colors, view=view, background=background)
        for view in ("front", "right", "top")
    )
    return SceneViews(front, right, top)
