"""`PerFaceReconstructor`: boxes by the single-shot network, then one pass of a per-face network for each face."""

import os
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from morphable import MorphableModel
from morphable_reconstruct.extras import require
from morphable_reconstruct.faces.face import Face
from morphable_reconstruct.photographs.reading import ImageSource, Photograph
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.per_face.decoding import (
    face_of_views,
    faces_of_parameters,
    faces_of_position_maps,
)
from morphable_reconstruct.reconstructor.per_face.weights import load_per_face
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.scene import Scene

VIEWS = ("left", "front", "right")
"""What DF-MVR's inputs show: the person's left side, the front, the right side."""
FACES_PER_PASS = 32


class PerFaceReconstructor(Reconstructor):
    """The conventional pipeline: detect, crop, one forward pass per face. Scenes are those of `Reconstructor`."""

    def __init__(
        self,
        network: str | os.PathLike[str],
        *,
        weights: str | os.PathLike[str] = "mobile",
        model: MorphableModel | str | os.PathLike[str] | None = None,
        config: ReconstructConfig | None = None,
    ) -> None:
        """Load both networks.

        Args:
            network: `mobile_frnet`, `prnet` or `dfmvr` where their weights are bundled, or the path of a weights file.
            weights: The single-shot network that finds the faces; see `Reconstructor`.
            model: The face model; by default the open one.
            config: Options of the detection.

        Raises:
            FileNotFoundError: The weights or the model are not there.
            ImportError: `morphable-regressors` is not installed.
            ValueError: They are damaged, of another version, or do not belong together.
        """
        super().__init__(weights, model=model, config=config)
        self.network = load_per_face(network, self.model)

    def reconstruct(self, photos: Sequence[Photograph]) -> list[Scene]:
        """Find the faces of photographs already read and reconstruct each; DF-MVR sees one view three times."""
        return [scene.with_faces(self._regressed(scene)) for scene in super().reconstruct(photos)]

    def reconstruct_views(self, pictures: Sequence[ImageSource | Photograph]) -> Scene:
        """Reconstruct one person from up to three photographs with DF-MVR.

        Args:
            pictures: Left, front, right; the largest face of each is taken. With two, the last stands for the third
                as well; one is taken for the front.

        Returns:
            The scene of the front photograph (of the second, or the only one) with this one face.

        Raises:
            ValueError: The network is another, there are no or more than three photographs, or one has no face.
        """
        if self.network.kind != "dfmvr":
            raise ValueError(
                f"network must be dfmvr to take views of one face, got {self.network.kind}; call it instead"
            )
        if not 1 <= len(pictures) <= len(VIEWS):
            raise ValueError(
                f"views must be 1 to {len(VIEWS)} photographs of one person ({', '.join(VIEWS)}), got {len(pictures)}; "
                "leave some out"
            )
        scenes = super().reconstruct([self.load(picture) for picture in pictures])
        largest = [_largest(scene) for scene in scenes]
        cut = [self._crops(scene, (face,)) for scene, face in zip(scenes, largest, strict=True)]
        regressors = require("morphable_regressors", extra="per-face")
        views = regressors.repeat_views(torch.cat([crop for crop, _ in cut])[None], len(VIEWS))[0]
        front = min(1, len(pictures) - 1)
        with torch.inference_mode():
            face = self._of_views(views, cut[front][1][0], largest[front], view=front)
        return scenes[front].with_faces((face,))

    def _regressed(self, scene: Scene) -> tuple[Face, ...]:
        """One pass per face, several faces in a batch."""
        results: list[Face] = []
        for start in range(0, len(scene.faces), FACES_PER_PASS):
            faces = scene.faces[start : start + FACES_PER_PASS]
            crops, matrices = self._crops(scene, faces)
            with torch.inference_mode():
                results += self._regress(crops, matrices, faces)
        return tuple(results)

    def _crops(self, scene: Scene, faces: Sequence[Face]) -> tuple[Tensor, Tensor]:
        """Crops around the faces' boxes, and the pixels of each from those of the photograph."""
        regressors = require("morphable_regressors", extra="per-face")
        picture = torch.from_numpy(scene.image).permute(2, 0, 1).float() / 255.0
        boxes = torch.from_numpy(np.stack([face.box_xyxy_px for face in faces])).float()
        matrices = regressors.crop_matrices(boxes, self.network.crop)
        return regressors.cut_crops(picture, matrices, self.network.crop.side_px), matrices

    def _regress(self, crops: Tensor, matrices: Tensor, faces: Sequence[Face]) -> Sequence[Face]:
        """Run the network on some faces of one photograph."""
        system = self.network.system
        if self.network.kind == "mobile_frnet":
            return faces_of_parameters(system, crops, matrices, faces)
        if self.network.kind == "prnet":
            return faces_of_position_maps(system, crops, matrices, faces)
        return [
            self._of_views(crop.expand(len(VIEWS), -1, -1, -1), matrix, face, view=1)
            for crop, matrix, face in zip(crops, matrices, faces, strict=True)
        ]

    def _of_views(self, views: Tensor, matrix: Tensor, face: Face, *, view: int) -> Face:
        return face_of_views(self.network.system, views, self.network.crop, matrix, face, view=view)


def _largest(scene: Scene) -> Face:
    """The face with the largest box.

    Raises:
        ValueError: There is none.
    """
    if not scene.faces:
        raise ValueError(
            f"views must each show a face, got none in {scene.name}; lower min_score or take another picture"
        )
    return max(scene.faces, key=lambda face: float(np.prod(face.box_xyxy_px[2:] - face.box_xyxy_px[:2])))
