"""The seven landmarks of a scan comparison, and whether they can be right."""

import numpy as np
from jaxtyping import Float

from morphable_evalkit.scans.mesh import Mesh
from morphable_evalkit.scans.surface import TriangleSurface, nearest_vertices

LANDMARK_NAMES = (
    "outer right eye corner",
    "inner right eye corner",
    "inner left eye corner",
    "outer left eye corner",
    "nose bottom",
    "right mouth corner",
    "left mouth corner",
)
"""NoW's order; sides are the person's own."""

OUTER_RIGHT, INNER_RIGHT, INNER_LEFT, OUTER_LEFT, NOSE, RIGHT_MOUTH, LEFT_MOUTH = range(7)

_MAX_FIT = 0.15
"""Root mean square residual of the seven points' fit, in outer eye distances (about 14 mm), beyond which they are
refused. Two points in the wrong order leave 0.18 to 0.45, two different people 0.04, up to 0.12 with expressions."""
_NOTED_FIT = 0.10
_MAX_GAP = 0.20
"""Distance of a landmark from its own mesh, in outer eye distances (18 mm), beyond which it is refused."""
_NOTED_GAP = 0.05


def check_fit(
    moved: Float[np.ndarray, "7 3"], target: Float[np.ndarray, "7 3"], *, with_scale: bool
) -> tuple[str, ...]:
    """Check that the prediction's landmarks, moved onto the scan's by the best similarity, lie near them.

    Args:
        moved: The prediction's landmarks after the fit.
        target: The scan's.
        with_scale: Whether the fit could change the size; named in the message.

    Returns:
        A warning where the residual is large but possible.

    Raises:
        ValueError: The residual is larger than faces differ: another order, other points, another unit.
    """
    residual = np.linalg.norm(moved - target, axis=1)
    rms = float(np.sqrt((residual**2).mean()) / _eye_distance(target))
    worst = LANDMARK_NAMES[int(residual.argmax())]
    unit = "?" if with_scale else ", and is the unit right?"
    found = f"a residual of {100 * rms:.0f} % of the outer eye distance, largest at the {worst}"
    if rms > _MAX_FIT:
        raise ValueError(
            f"landmarks of scan and prediction must correspond, got {found}; are both in the order of eye corners "
            f"from the person's right to left, nose bottom, right and left mouth corner{unit}"
        )
    return (f"landmarks correspond badly: {found}",) if rms > _NOTED_FIT else ()


def check_on_mesh(landmarks: Float[np.ndarray, "7 3"], mesh: Mesh, side: str) -> tuple[str, ...]:
    """Check that landmarks lie on their own mesh.

    Args:
        landmarks: In the mesh's unit.
        mesh: A surface or a point cloud; vertices that are not finite are passed over.
        side: `scan` or `prediction`, for messages.

    Returns:
        A warning per landmark that lies off the mesh.

    Raises:
        ValueError: A landmark lies far off the mesh.
    """
    finite = np.isfinite(mesh.vertices).all(axis=1)
    gap = nearest_vertices(mesh.vertices[finite], landmarks)
    if gap.max() > _NOTED_GAP * _eye_distance(landmarks) and len(mesh.triangles) and finite[mesh.triangles].all():
        gap = TriangleSurface(mesh.vertices, mesh.triangles).closest(landmarks).distance
    share = gap / _eye_distance(landmarks)
    worst = int(share.argmax())
    if share[worst] > _MAX_GAP:
        raise ValueError(
            f"landmarks of the {side} must lie on its mesh, got the {LANDMARK_NAMES[worst]} "
            f"{100 * share[worst]:.0f} % of the outer eye distance away; do points and mesh share frame and unit?"
        )
    return tuple(
        f"landmark of the {side} off its mesh: the {LANDMARK_NAMES[i]} lies {100 * share[i]:.0f} % of the outer eye "
        "distance away"
        for i in np.flatnonzero(share > _NOTED_GAP)
    )


def _eye_distance(landmarks: Float[np.ndarray, "7 3"]) -> float:
    """Return the distance of the outer eye corners."""
    distance = float(np.linalg.norm(landmarks[OUTER_RIGHT] - landmarks[OUTER_LEFT]))
    if not distance > 0:
        raise ValueError("landmarks must have two outer eye corners, got both in one place")
    return distance
