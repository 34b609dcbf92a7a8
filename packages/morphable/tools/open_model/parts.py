"""Name every quad's part and soft masks of the face, from zones, edge loops and the reach of MakeHuman's sliders."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .source import BaseMesh
from .topology import Head, Subdivision, nearer_to_first, rim_halves

PART_NAMES = (
    "skin", "left_brow", "right_brow", "left_eye", "right_eye", "nose", "upper_lip", "lower_lip",
    "inner_mouth", "ears", "neck", "scalp",
)  # fmt: skip
VERMILION_RINGS = 6
"""Edge loops between the parting of the lips and the border of their red."""
BROW_LINE = np.array(
    [[0.0095, 0.7380], [0.015, 0.7403], [0.021, 0.7423], [0.027, 0.7438], [0.033, 0.7447], [0.039, 0.7450],
     [0.045, 0.7440], [0.051, 0.7412], [0.0575, 0.7368]]
)  # fmt: skip
"""Middle line of the person's left brow in the base mesh (x, y), meters."""
BROW_HALF_WIDTH = np.array([0.0042, 0.0045, 0.0043, 0.004, 0.0036, 0.0033, 0.003, 0.0026, 0.002])
HAIR_LINE = np.array([[0.0, 0.792], [0.03, 0.790], [0.048, 0.780], [0.058, 0.766], [0.066, 0.742], [0.072, 0.735]])
"""Hair line in the base mesh (|x|, y), meters, from the middle of the forehead to above the ear."""
NECK_LEVEL = 0.62


BROW_EDGE, NOSE_EDGE = 0.42, 0.75
"""Where the soft masks of brows and nose become parts."""
_MOUTH = ("mouth_cavity", "helper-tongue", "helper-upper-teeth", "helper-lower-teeth")
ZONES_OF = {"left_eye": ("eye_cavity_left",), "right_eye": ("eye_cavity_right",), "inner_mouth": _MOUTH}
"""Zones a part may lie in, where not on the outside."""


@dataclass(frozen=True)
class Masks:
    """Per base vertex, 0 to 1."""

    ears: NDArray[np.float64]
    nose: NDArray[np.float64]
    brows: NDArray[np.float64]
    scalp: NDArray[np.float64]
    neck: NDArray[np.float64]
    mouth_ring: NDArray[np.int64]
    """Edge loops from the parting of the lips; large elsewhere and inside the mouth."""
    upper: NDArray[np.bool_]
    """Above the parting of the lips."""


def reach(base: BaseMesh, head: Head, labels: list[str]) -> NDArray[np.float64]:
    """How far each vertex moves under some local changes, relative to the farthest."""
    rows = [base.model.blendshape_labels.index(f"local_change:{label}") for label in labels]
    moved = base.blend(np.ones((1, len(rows))), head.base_index, rows)[0]
    length = np.linalg.norm(moved, axis=1)
    return length / length.max()


def find_masks(base: BaseMesh, head: Head) -> Masks:
    """Compute the masks once, on the template."""
    x, y, z = head.template.T
    ring = mouth_rings(head)
    border = np.flatnonzero(ring == 0)
    side = np.abs(x)
    neck_points = np.isin(np.arange(len(x)), head.quads[head.zone == "neck"])
    hair_y = np.interp(side, HAIR_LINE[:, 0], HAIR_LINE[:, 1])
    ears = np.clip((reach(base, head, ["l-ear-trans-up", "r-ear-trans-up"]) - 0.6) / 0.3, 0.0, 1.0)
    behind = z < 0.045
    scalp = np.clip((y - hair_y) / 0.004 + 0.5, 0.0, 1.0)
    nape = np.clip((y - 0.655) / 0.004 + 0.5, 0.0, 1.0) * np.clip((0.03 - z) / 0.006, 0.0, 1.0)
    scalp = np.where(behind, np.maximum(scalp, nape), scalp) * (1 - ears)
    jaw_y = np.interp(z, [-0.02, 0.03, 0.06, 0.10, 0.15], [0.665, 0.655, 0.632, 0.613, 0.600])
    neck = np.maximum(neck_points.astype(float), np.clip((jaw_y - y) / 0.004 + 0.5, 0.0, 1.0)) * (1 - scalp)
    return Masks(
        ears=ears,
        nose=reach(base, head, ["nose-trans-up"]),
        brows=brow_mask(side, y, z),
        scalp=scalp,
        neck=neck,
        mouth_ring=ring,
        upper=nearer_to_first(head, *rim_halves(head, border)),
    )


def brow_mask(side: NDArray[np.float64], y: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 on the middle line of the brow, 0.5 at its edge, 0 at twice its half width."""
    middle = np.interp(side, BROW_LINE[:, 0], BROW_LINE[:, 1])
    width = np.interp(side, BROW_LINE[:, 0], BROW_HALF_WIDTH)
    across = np.clip(1.0 - np.abs(y - middle) / (2 * width), 0.0, 1.0)
    ends = np.clip((side - 0.0075) / 0.004, 0.0, 1.0) * np.clip((0.0605 - side) / 0.004, 0.0, 1.0)
    return across * ends * (z > 0.08)


def mouth_rings(head: Head) -> NDArray[np.int64]:
    """Number of edge loops between each vertex and the mouth's inner border, on the outside of the head."""
    outside = head.quads[head.zone == "head"]
    inner = np.intersect1d(outside, head.quads[head.zone == "mouth_cavity"])
    ring = np.full(len(head.template), 99)
    ring[inner] = 0
    for level in range(1, 12):
        near = (ring[outside] < level).any(1)
        touched = np.unique(outside[near])
        ring[touched[ring[touched] == 99]] = level
    return ring


def label_quads(head: Head, masks: Masks, subdivision: Subdivision) -> NDArray[np.int64]:
    """Part of every subdivided quad."""
    quads, parent = subdivision.quads, subdivision.parent
    zone = head.zone[parent]

    def share(name: str) -> NDArray[np.float64]:
        return np.asarray(subdivision.matrix @ getattr(masks, name))[quads].mean(1)

    side = np.asarray(subdivision.matrix @ head.template)[quads][..., 0].mean(1)
    lips = lip_quads(head, masks)[parent]
    upper = masks.upper[head.quads].mean(1)[parent] > 0.5
    brows = share("brows") > BROW_EDGE
    chosen = {
        "scalp": share("scalp") > 0.5,
        "neck": (share("neck") > 0.5) | (zone == "neck"),
        "ears": share("ears") > 0.5,
        "nose": share("nose") > NOSE_EDGE,
        "left_brow": brows & (side > 0),
        "right_brow": brows & (side < 0),
        "upper_lip": lips & upper,
        "lower_lip": lips & ~upper,
        "left_eye": zone == "eye_cavity_left",
        "right_eye": zone == "eye_cavity_right",
        "inner_mouth": np.isin(zone, _MOUTH),
    }
    part = np.full(len(quads), PART_NAMES.index("skin"))
    for name, mask in chosen.items():
        part[mask & np.isin(zone, ZONES_OF.get(name, ("head", "neck")))] = PART_NAMES.index(name)
    return part


def lip_quads(head: Head, masks: Masks) -> NDArray[np.bool_]:
    """Quads of the red of the lips."""
    return (masks.mouth_ring[head.quads].max(1) <= VERMILION_RINGS) & (head.zone == "head")
