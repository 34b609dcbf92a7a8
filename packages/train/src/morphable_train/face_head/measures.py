"""How well a face head reads held-out synthetic faces."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from morphable import MorphableModel
from morphable.geometry import fit_similarity
from morphable_detector_head.face_head.network import NUM_IRISES, FaceHead
from morphable_detector_head.face_head.reading import FaceReading, corrected
from morphable_train.data.surface import SurfaceSample
from morphable_train.face_head.crops import CropMaker, CropTruth, in_camera, project_points
from morphable_train.face_head.objective import no_estimate

_BATCH = 50
_ACTIONS = (
    "jawOpen", "mouthSmileLeft", "mouthPucker", "mouthFunnel", "eyeBlinkLeft", "browInnerUp", "browDownLeft",
    "eyeLookInLeft", "eyeLookUpLeft", "cheekPuff", "noseSneerLeft",
)  # fmt: skip
_PAIRS = ("eyeBlink", "mouthSmile")


@torch.no_grad()
def measure(head: FaceHead, maker: CropMaker, model: MorphableModel, surface: SurfaceSample) -> dict[str, float]:
    """Return errors and correlations over all faces of a maker, each cut once by an erring estimate."""
    read: list[tuple[FaceReading, CropTruth]] = []
    for start in range(0, len(maker.data), _BATCH):
        index = torch.arange(start, min(start + _BATCH, len(maker.data)))
        crops = maker(index, seed=1)
        read.append((head.reading(head(crops.images())), crops.truth))
    return _shape(read, surface) | _pose(read, surface) | _actions(read, model.expression_names)


def _joined(read: list[tuple[FaceReading, CropTruth]], which: int, name: str) -> Tensor:
    return torch.cat([getattr(pair[which], name) for pair in read])


def _shape(read: list[tuple[FaceReading, CropTruth]], surface: SurfaceSample) -> dict[str, float]:
    """Neutral shape after a similarity, beside the mean face."""
    found, known = _joined(read, 0, "identity"), _joined(read, 1, "identity")
    none = known.new_zeros(len(known), surface.expression_basis.shape[0])
    dense = [surface.groups(surface.decode_shape(i, none)).dense for i in (known, found, known.new_zeros(known.shape))]
    error, mean_face = (after_similarity(dense[0], other).mean() for other in dense[1:])
    spread = found.square().mean().sqrt()
    return {"shape_mm": float(error) * 1e3, "shape_ratio": float(error / mean_face), "identity_rms": float(spread)}


def after_similarity(
    truth: Float[Tensor, "faces points 3"], other: Float[Tensor, "faces points 3"]
) -> Float[Tensor, " faces"]:
    """Return the mean distance of points after the similarity of least squares."""
    scale, rotation, shift = fit_similarity(other, truth)
    moved = scale[:, None, None] * other @ rotation.mT + shift[:, None]
    return (moved - truth).norm(dim=-1).mean(-1)


def _pose(read: list[tuple[FaceReading, CropTruth]], surface: SurfaceSample) -> dict[str, float]:
    rotation, goal = _joined(read, 0, "rotation_crop"), _joined(read, 1, "rotation_crop")
    cosine = ((rotation.mT @ goal).diagonal(dim1=1, dim2=2).sum(1) - 1) / 2
    direct, through_mesh, sigma = [], [], []
    for reading, truth in read:
        found = corrected(no_estimate(reading), truth.frames, reading)
        mesh = project_points(
            in_camera(surface.decode_shape(found.identity, found.expression), found), truth.frames, surface
        )
        box = truth.points[:, :68]
        size = (box.amax(1) - box.amin(1)).prod(1).sqrt()[:, None]
        direct.append((reading.points - truth.points).norm(dim=-1) / size)
        through_mesh.append((mesh - truth.points).norm(dim=-1) / size)
        sigma.append((reading.points - truth.points).square().mean(-1) / (2 * reading.log_std).exp())
    return {
        "rotation_deg": float(torch.rad2deg(cosine.clamp(-1, 1).arccos()).median()),
        "points_nme": float(torch.cat(direct)[:, :68].mean()),
        "irises_nme": float(torch.cat(direct)[:, -NUM_IRISES:].mean()),
        "mesh_nme": float(torch.cat(through_mesh)[:, :68].mean()),
        "squared_z": float(torch.cat(sigma).mean()),
        "shift": float((_joined(read, 0, "shift") - _joined(read, 1, "shift")).norm(dim=-1).mean()),
        "log_depth": float((_joined(read, 0, "log_depth") - _joined(read, 1, "log_depth")).abs().mean()),
    }


def _actions(read: list[tuple[FaceReading, CropTruth]], names: tuple[str, ...]) -> dict[str, float]:
    found = _joined(read, 0, "expression").clamp(0, 1).numpy()
    known = _joined(read, 1, "expression").numpy()

    def correlation(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a, b)[0, 1]) if a.std() > 1e-6 and b.std() > 1e-6 else 0.0

    out = {f"r_{a}": correlation(found[:, names.index(a)], known[:, names.index(a)]) for a in _ACTIONS if a in names}
    for pair in _PAIRS:
        if f"{pair}Left" in names:
            left, right = names.index(f"{pair}Left"), names.index(f"{pair}Right")
            difference = [values[:, left] - values[:, right] for values in (found, known)]
            out[f"r_{pair}LeftMinusRight"] = correlation(*difference)
    return out
