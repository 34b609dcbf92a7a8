"""One pass of a per-face network for each found face, or for one person's views; scenes in, scenes out."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from morphable_reconstruct.faces.rows import concatenate_rows
from morphable_reconstruct.reconstructor.per_face.decoding import (
    scene_of_parameters,
    scene_of_position_maps,
    scene_of_views,
)
from morphable_reconstruct.reconstructor.per_face.weights import PerFaceNetwork
from morphable_reconstruct.scene import Scene
from morphable_regressors import crop_matrices, cut_crops
from morphable_regressors.dfmvr import repeat_views
from morphable_regressors.systems import ParameterRegressor, PositionMapRegressor

VIEWS = ("left", "front", "right")
"""What DF-MVR's inputs show: the person's left side, the front, the right side."""
FACES_PER_PASS = 32
_Picture = TypeVar("_Picture")


def reconstruct_each(network: PerFaceNetwork, scene: Scene) -> Scene:
    """Reconstruct every face of a scene anew from a crop of its own; DF-MVR sees one view three times."""
    if not len(scene):
        return scene
    parts = [
        _reconstruct_some(network, scene.take(np.arange(start, min(start + FACES_PER_PASS, len(scene)))))
        for start in range(0, len(scene), FACES_PER_PASS)
    ]
    return parts[0] if len(parts) == 1 else concatenate_rows(parts)


def reconstruct_views(
    network: PerFaceNetwork, pictures: Sequence[_Picture], detect: Callable[[Sequence[_Picture]], list[Scene]]
) -> Scene:
    """Reconstruct one person from up to three photographs with DF-MVR; see `Reconstructor.views`.

    Raises:
        ValueError: The network is another, there are no or more than three photographs, or one has no face.
    """
    if network.kind != "dfmvr":
        raise ValueError(f"per_face must be dfmvr to take views of one person, got {network.kind}; call it instead")
    if not 1 <= len(pictures) <= len(VIEWS):
        raise ValueError(
            f"views must be 1 to {len(VIEWS)} photographs of one person ({', '.join(VIEWS)}), got {len(pictures)}; "
            "leave some out"
        )
    largest = [_largest(scene) for scene in detect(pictures)]
    cut = [_crops(network, scene) for scene in largest]
    views = repeat_views(torch.cat([crops for crops, _ in cut])[None], len(VIEWS))
    front = min(1, len(pictures) - 1)
    with torch.inference_mode():
        placed = scene_of_views(network.system(views), network.crop, cut[front][1], largest[front], view=front)
    return _outside_inference_mode(placed)


def _reconstruct_some(network: PerFaceNetwork, scene: Scene) -> Scene:
    """Run the network on all faces of a scene at once."""
    crops, matrices = _crops(network, scene)
    with torch.inference_mode():
        if isinstance(network.system, ParameterRegressor):
            placed = scene_of_parameters(network.system.faces(crops), matrices, scene)
        elif isinstance(network.system, PositionMapRegressor):
            positions = network.system.positions(crops)
            placed = scene_of_position_maps(positions, matrices, scene, layout=network.system.layout)
        else:
            views = crops[:, None].expand(-1, len(VIEWS), -1, -1, -1)
            placed = scene_of_views(network.system(views), network.crop, matrices, scene, view=1)
    return _outside_inference_mode(placed)


def _crops(network: PerFaceNetwork, scene: Scene) -> tuple[Tensor, Float[Tensor, "faces 3 3"]]:
    """Crops around the faces' boxes, and the pixels of each from those of the photograph."""
    picture = torch.from_numpy(scene.image).permute(2, 0, 1).float() / 255.0
    matrices = crop_matrices(torch.from_numpy(scene.box_xyxy_px).float(), network.crop)
    return cut_crops(picture, matrices, network.crop.side_px), matrices


def _outside_inference_mode(scene: Scene) -> Scene:
    """Copy what a network gave to ordinary tensors; the detector's expectation does not hold for it."""
    surface = None if scene.surface_m is None else scene.surface_m.clone()
    return replace(scene, faces=scene.faces.map(torch.clone), surface_m=surface, landmarks68_std_px=None)


def _largest(scene: Scene) -> Scene:
    """The scene with the face of the largest box alone.

    Raises:
        ValueError: There is none.
    """
    if not len(scene):
        raise ValueError(
            f"views must each show a face, got none in {scene.name}; lower min_score or take another picture"
        )
    boxes = scene.box_xyxy_px
    return scene.take(np.array([np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).argmax()]))
