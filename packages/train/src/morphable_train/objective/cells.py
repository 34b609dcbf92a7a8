"""Which cells of the network's output are trained to describe which face."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from morphable_detector_head import encode_centers
from morphable_detector_head.decode import STRIDE_PX, cell_centers
from morphable_train.data.batch import FaceTargets


@dataclass(frozen=True)
class CellTargets:
    """Cells per picture, padded to `top`, and the center map.

    The paper's Figure 10 shows that cells near a center describe the face nearly as well as the center itself. Here
    they are trained to: besides its center cell, a face is described from cells drawn around it, so that a peak that
    is off by a cell, or moves between frames, gives the same face.
    """

    cell: Int[Tensor, "batch top"]
    face: Int[Tensor, "batch top"]
    """Index into the batch's list of faces."""
    valid: Bool[Tensor, "batch top"]
    """False on padding, outside the picture, and where another face is nearer."""
    is_center: Bool[Tensor, "batch top"]
    """The face's own center cell."""
    heatmap: Float[Tensor, "batch rows cols"]
    """1 at centers; with `gaussian`, less around them."""
    center_weight: Float[Tensor, "batch rows cols"]
    """0 where a face may be that nobody labeled, 1 elsewhere."""

    def cell_px(self) -> Float[Tensor, "batch top 2"]:
        """Return the pixel positions of the cells' centers."""
        return cell_centers(self.cell, self.heatmap.shape[2])


def encode_cells(
    faces: FaceTargets,
    spread: Float[Tensor, "faces neighbors 2"],
    *,
    complete: Bool[Tensor, " batch"],
    size_hw: tuple[int, int],
    neighbourhood: float,
    kind: Literal["binary", "gaussian"] = "gaussian",
) -> CellTargets:
    """Choose the cells of a batch.

    Args:
        faces: The faces.
        spread: Standard normal numbers: where the neighboring cells lie.
        complete: Pictures whose faces are all labeled; of the others only labeled faces teach the center map.
        size_hw: Height and width of the input.
        neighbourhood: Standard deviation of the neighbors' distance, in face sizes.
        kind: Shape of the center map around centers.
    """
    num_images = len(complete)
    rows, cols = size_hw[0] // STRIDE_PX, size_hw[1] // STRIDE_PX
    slot, slots = _slots(faces.image_index, num_images)
    heatmap, owns_center = _center_map(faces, slot, (num_images, slots), size_hw, kind)
    center, size = faces.centers_px(), faces.sizes_px()
    drawn = center[:, None] + spread * (size * neighbourhood)[:, None, None]
    points = torch.cat([center[:, None], drawn], 1)
    col_row = (points / STRIDE_PX).floor().long()
    last = torch.tensor([cols - 1, rows - 1], device=points.device)
    inside = ((col_row >= 0) & (col_row <= last)).all(-1)
    col_row = torch.minimum(col_row.clamp(min=0), last)
    own = _is_nearest(faces, (col_row + 0.5) * STRIDE_PX, center, size) & inside
    own[:, 0] = owns_center
    width = points.shape[1]
    column = slot[:, None] * width + torch.arange(width, device=slot.device)
    row = faces.image_index[:, None].expand_as(column)
    empty = torch.zeros(num_images, slots * width, dtype=torch.long, device=slot.device)
    face = torch.arange(len(faces), device=slot.device)[:, None].expand_as(column)
    first = torch.zeros_like(own)
    first[:, 0] = True
    return CellTargets(
        cell=empty.index_put((row, column), col_row[..., 1] * cols + col_row[..., 0]),
        face=empty.index_put((row, column), face),
        valid=empty.bool().index_put((row, column), own),
        is_center=empty.bool().index_put((row, column), own & first),
        heatmap=heatmap,
        center_weight=_center_weight(faces, complete, rows, cols),
    )


def _slots(image_index: Tensor, num_images: int) -> tuple[Tensor, int]:
    """Number each face within its picture; and the largest number of faces of a picture (at least 1)."""
    same = image_index[:, None] == image_index[None, :]
    slot = same.tril(-1).sum(1)
    counts = torch.bincount(image_index, minlength=num_images)
    return slot, max(1, int(counts.max())) if len(image_index) else 1


def _center_map(
    faces: FaceTargets,
    slot: Tensor,
    shape: tuple[int, int],
    size_hw: tuple[int, int],
    kind: Literal["binary", "gaussian"],
) -> tuple[Tensor, Tensor]:
    """The heatmap, and which faces have a center cell of their own."""
    where = (faces.image_index, slot)
    box = faces.landmarks68_px.new_zeros(*shape, 4).index_put(where, faces.boxes_px())
    present = torch.zeros(shape, dtype=torch.bool, device=slot.device)
    present = present.index_put(where, torch.ones_like(slot, dtype=torch.bool))
    targets = encode_centers(box, present, size_hw, kind=kind)
    return targets.heatmap, targets.valid[where]


def _center_weight(faces: FaceTargets, complete: Tensor, rows: int, cols: int) -> Tensor:
    """1 in the cells of complete pictures and in those within labeled boxes."""
    box = faces.boxes_px() / STRIDE_PX
    x = torch.arange(cols, device=box.device) + 0.5
    y = torch.arange(rows, device=box.device) + 0.5
    in_x = (x > box[:, :1]) & (x < box[:, 2:3])
    in_y = (y > box[:, 1:2]) & (y < box[:, 3:])
    inside = (in_y[:, :, None] & in_x[:, None, :]).float()
    taught = inside.new_zeros(len(complete), rows, cols).index_put((faces.image_index,), inside, accumulate=True)
    return ((taught > 0) | complete[:, None, None]).float()


def _is_nearest(faces: FaceTargets, cell_px: Tensor, center: Tensor, size: Tensor) -> Tensor:
    """Whether no other face of the picture is nearer to a cell, in its own sizes."""
    distance = (cell_px[:, :, None] - center[None, None]).norm(dim=-1) / size
    other = faces.image_index[:, None] != faces.image_index[None, :]
    distance = distance.masked_fill(other[:, None, :], torch.inf)
    own = distance.diagonal(dim1=0, dim2=2).T
    return (own[..., None] <= distance).all(-1)


@dataclass(frozen=True)
class Counts:
    """What sums are divided by: numbers of the whole step, over all its parts and processes."""

    cells: Float[Tensor, ""]
    """Supervised cells."""
    centers: Float[Tensor, ""]
    """Faces with a center cell of their own."""
    pictures: Float[Tensor, ""]
    """Pictures with such a face and visible skin."""

    def stacked(self) -> Float[Tensor, " 3"]:
        """Return the numbers, to be summed over processes."""
        return torch.stack([self.cells, self.centers, self.pictures])


def count_cells(cells: CellTargets, skin: Float[Tensor, "batch 1 rows cols"]) -> Counts:
    """Count what a batch supervises.

    Args:
        cells: Its cells.
        skin: Its skin masks.
    """
    shown = cells.is_center.any(1) & (skin.flatten(1).amax(1) > 0)
    return Counts(cells.valid.sum().float(), cells.is_center.sum().float(), shown.sum().float())
