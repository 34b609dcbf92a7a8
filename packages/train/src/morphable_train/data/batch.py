"""What one training step sees: pictures, and the faces in them as one flat list."""

from dataclasses import dataclass, fields, replace
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from morphable import FaceParameters


def tight_boxes(
    points_px: Float[Tensor, "faces points 2"], known: Bool[Tensor, "faces points"]
) -> Float[Tensor, "faces 4"]:
    """Return the tight boxes (left, top, right, bottom) of the known points; not finite for faces without any."""
    low = points_px.masked_fill(~known[..., None], torch.inf).amin(1)
    high = points_px.masked_fill(~known[..., None], -torch.inf).amax(1)
    return torch.cat([low, high], 1)


@dataclass(frozen=True)
class FaceTargets:
    """The faces of a batch of pictures, in the network's input pixels and camera."""

    image_index: Int[Tensor, " faces"]
    landmarks68_px: Float[Tensor, "faces 68 2"]
    landmark_weight: Float[Tensor, "faces 68"]
    """0 where a point is not annotated."""
    dense_px: Float[Tensor, "faces dense 2"]
    """Where the picture shows the dense surface points (`SurfaceSample.few`), hidden ones included; of exact
    faces. What a longer lens or a zoom did to the perspective is in them, and in no pose under the network's camera."""
    contour: Bool[Tensor, " faces"]
    """Jaw points lie on the visible silhouette."""
    exact: Bool[Tensor, " faces"]
    """Coefficients and pose are known; zeros that mean nothing elsewhere."""
    identity: Float[Tensor, "faces id"]
    expression: Float[Tensor, "faces expr"]
    rotation_head: Float[Tensor, "faces 3 3"]
    translation_m: Float[Tensor, "faces 3"]

    def __len__(self) -> int:
        return len(self.image_index)

    def select(self, index: Int[Tensor, " chosen"] | Bool[Tensor, " faces"]) -> "FaceTargets":
        """Return some of the faces."""
        return FaceTargets(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def parameters(self) -> FaceParameters:
        """Return the faces without albedo and in soft white light, which labels do not give."""
        count = len(self)
        return FaceParameters(
            identity=self.identity,
            expression=self.expression,
            albedo=self.identity.new_zeros(count, 0),
            rotation_head=self.rotation_head,
            translation_m=self.translation_m,
            illumination=self.identity.new_zeros(count, 9, 3),
        )

    def boxes_px(self) -> Float[Tensor, "faces 4"]:
        """Return the tight boxes (left, top, right, bottom) of the annotated points."""
        return tight_boxes(self.landmarks68_px, self.landmark_weight > 0)

    def drawn_px(self) -> Float[Tensor, "faces 68 2"]:
        """Return the points to be drawn: those that are not annotated are not a number."""
        return self.landmarks68_px.masked_fill(self.landmark_weight[..., None] <= 0, torch.nan)

    def centers_px(self) -> Float[Tensor, "faces 2"]:
        """Return the middle of the boxes: where the heatmap has its peaks."""
        box = self.boxes_px()
        return (box[:, :2] + box[:, 2:]) / 2

    def sizes_px(self) -> Float[Tensor, " faces"]:
        """Return the square root of the boxes' areas, the unit of the landmark errors (at least a pixel)."""
        box = self.boxes_px()
        return (box[:, 2:] - box[:, :2]).clamp(min=1.0).prod(-1).sqrt()


@dataclass(frozen=True)
class Batch:
    """Pictures with their faces."""

    image: Float[Tensor, "batch 3 rows cols"]
    """sRGB-encoded, in [0, 1]."""
    skin: Float[Tensor, "batch 1 rows cols"]
    """Visible skin of the faces, in [0, 1]; all zero where it is not known (no photometric term there)."""
    faces: FaceTargets
    complete: Bool[Tensor, " batch"]
    """Every face of the picture is labeled: what is no labeled face is background."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the pictures."""
        return self.image.shape[2], self.image.shape[3]

    def split(self, parts: int) -> list["Batch"]:
        """Cut into parts of nearly equal numbers of pictures; empty parts are left out."""
        bounds = [round(i * len(self.image) / parts) for i in range(parts + 1)]
        return [self._rows(a, b) for a, b in pairwise(bounds) if b > a]

    def _rows(self, start: int, stop: int) -> "Batch":
        inside = (self.faces.image_index >= start) & (self.faces.image_index < stop)
        faces = self.faces.select(inside)
        faces = replace(faces, image_index=faces.image_index - start)
        return Batch(self.image[start:stop], self.skin[start:stop], faces, self.complete[start:stop])

    def tensors(self) -> dict[str, Tensor]:
        """Return everything by name, to be saved or moved."""
        faces = {f"faces.{f.name}": getattr(self.faces, f.name) for f in fields(self.faces)}
        return {"image": self.image, "skin": self.skin, "complete": self.complete, **faces}
