"""What the face head learns from: crops of single faces, cut by erring estimates, and the truth in them."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from morphable import FaceParameters, MorphableModel
from morphable.geometry import camera_from_model, mirror_pose, rotation_from_vector
from morphable.landmarks import IBUG68_FLIP, NUM_JAW
from morphable_detector_head.face_head.crops import ANCHOR_M, CROP_PX, CropFrames, crop_frames, rotation_in_crop
from morphable_detector_head.face_head.network import NUM_IRISES
from morphable_train.data.order import seeded
from morphable_train.data.surface import SurfaceSample
from morphable_train.face_head.config import CropChanges, EstimateErrors
from morphable_train.face_head.faces import ExactFaces, PhotographedFaces, SyntheticFaces
from morphable_train.face_head.photography import photograph
from morphable_train.face_head.warp import NoisePool, cut_crop

_GROSS_FACTOR = 3.0
_LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class CropTruth:
    """What the face head should read from crops; frames and units are those of `FaceReading`."""

    identity: Float[Tensor, "faces id"]
    expression: Float[Tensor, "faces expr"]
    rotation_crop: Float[Tensor, "faces 3 3"]
    shift: Float[Tensor, "faces 2"]
    log_depth: Float[Tensor, " faces"]
    points: Float[Tensor, "faces points 2"]
    surface: Float[Tensor, "faces dense 2"]
    """Projections of the surface's sample, units of the crop's side."""
    frames: CropFrames


@dataclass(frozen=True)
class FaceCrops:
    """Crops with their truth."""

    pixels: UInt8[Tensor, "faces crop crop 3"]
    truth: CropTruth

    def images(self) -> Float[Tensor, "faces 3 crop crop"]:
        """Return RGB in [0, 1]."""
        return as_images(self.pixels)


@dataclass(frozen=True)
class KnownPoints:
    """What is known of crops of photographs."""

    points: Float[Tensor, "faces points 2"]
    """The head's points, units of the crop's side from its center; zeros where they are not known."""
    known: Bool[Tensor, "faces points"]
    frames: CropFrames


def as_images(pixels: UInt8[Tensor, "crops rows cols 3"]) -> Float[Tensor, "crops 3 rows cols"]:
    """Return RGB in [0, 1]."""
    return pixels.permute(0, 3, 1, 2).contiguous().float().mul_(1 / 255.0)


class CropMaker:
    """Cuts crops of synthetic faces; a crop depends on its face and a seed alone."""

    def __init__(
        self,
        data: SyntheticFaces | PhotographedFaces,
        model: MorphableModel,
        surface: SurfaceSample,
        errors: EstimateErrors,
        changes: CropChanges | None,
    ) -> None:
        """Prepare.

        Args:
            data: The faces.
            model: Mirrors coefficients.
            surface: Landmarks and a sample of the face's surface.
            errors: Of the estimates that cut the crops.
            changes: Of the pixels; None leaves them, and mirrors nothing.
        """
        self.data, self.model, self.surface, self.errors, self.changes = data, model, surface, errors, changes
        self._noise = NoisePool()

    @torch.no_grad()
    def __call__(self, index: Int[Tensor, " faces"], seed: int) -> FaceCrops:
        """Cut the crops of some faces."""
        pixels, faces, frames, _ = self.cut(index, seed)
        return FaceCrops(pixels, crop_truth(faces, frames, self.surface))

    def cut(
        self, index: Int[Tensor, " faces"], seed: int
    ) -> tuple[UInt8[Tensor, "faces crop crop 3"], ExactFaces, CropFrames, Bool[Tensor, " faces"]]:
        """Return the pixels, the faces as they lie in the crops' pictures, the frames, and who was mirrored."""
        generator = seeded(seed, 0, int(index[0]) if len(index) else 0)
        rng = np.random.default_rng(int(torch.randint(1 << 62, (1,), generator=generator)))
        flipped = torch.rand(len(index), generator=generator) < 0.5
        flipped &= self.changes is not None
        faces = _mirrored(self.data.faces[index], flipped, self.model)
        estimate = _erring(faces, self.errors, generator)
        frames = crop_frames(estimate, 1.0)  # in units of the focal length, which differs between pictures
        pixels = np.empty((len(index), CROP_PX, CROP_PX, 3), np.uint8)
        for row, face in enumerate(index.tolist()):
            self._cut(face, bool(flipped[row]), float(faces.focal_px[row]), _row(frames, row), rng, pixels[row])
        return torch.from_numpy(pixels), faces, frames, flipped

    def _cut(
        self,
        face: int,
        flipped: bool,
        focal_px: float,
        frame: tuple[np.ndarray, float, np.ndarray, np.ndarray],
        rng: np.random.Generator,
        out: np.ndarray,
    ) -> None:
        changes = self.changes
        shrink = 1.0
        if changes is not None and rng.random() < changes.coarse:
            shrink = float(np.exp(rng.uniform(0.0, math.log(changes.coarsest))))
        picture, shrunk = self.data.picture(face, shrink)
        rows, cols = picture.shape[:2]
        scale = focal_px * shrunk
        center, side, right, down = frame
        mirror = np.array([-1.0, 1.0]) if flipped else np.ones(2)
        center, right, down = center * mirror * scale, right * mirror, down * mirror
        side *= scale
        origin = center + np.array([cols, rows]) / 2 - (right + down) * side / 2
        limits = np.array([0.0, 0.0, cols, rows])
        color, noise_scale = np.eye(3, 4), 0.0
        if changes is not None:
            limits = _cut_limits(rng, changes, limits, center + np.array([cols, rows]) / 2, side)
            color, noise_scale = random_colors(rng, changes)
        step = side / CROP_PX
        start = self._noise.start(rng)
        cut_crop(picture, origin, right * step, down * step, limits, color, self._noise.values, start, noise_scale, out)
        if changes is not None:
            if rng.random() < changes.hidden:
                _hide(rng, out)
            photograph(out, changes, rng)


class PhotographCropMaker:
    """Cuts crops of photographed faces; a crop depends on its face and a seed alone."""

    def __init__(
        self,
        data: PhotographedFaces,
        model: MorphableModel,
        surface: SurfaceSample,
        errors: EstimateErrors,
        changes: CropChanges,
    ) -> None:
        """Prepare; the arguments are those of `CropMaker`."""
        self.data = data
        self._maker = CropMaker(data, model, surface, errors, changes)

    @torch.no_grad()
    def __call__(
        self, index: Int[Tensor, " faces"], seed: int
    ) -> tuple[UInt8[Tensor, "faces crop crop 3"], KnownPoints]:
        """Cut the crops of some faces."""
        pixels, _, frames, flipped = self._maker.cut(index, seed)
        landmarks = self.data.landmarks[index]
        mirrored = landmarks[:, IBUG68_FLIP] * landmarks.new_tensor([-1.0, 1.0])
        landmarks = frames.to_crop(torch.where(flipped[:, None, None], mirrored, landmarks))
        on_outline = self.data.on_outline[index, None]
        jaw, others = landmarks[:, :NUM_JAW], landmarks[:, NUM_JAW:]
        none = torch.zeros_like(jaw)
        points = [
            torch.where(on_outline[..., None], none, jaw),
            others,
            torch.where(on_outline[..., None], jaw, none),
            none[:, :NUM_IRISES],
        ]
        static, outline = (chosen.expand(-1, NUM_JAW) for chosen in (~on_outline, on_outline))
        always = torch.ones_like(others[..., 0], dtype=torch.bool)
        never = torch.zeros_like(always[:, :NUM_IRISES])
        return pixels, KnownPoints(torch.cat(points, 1), torch.cat([static, always, outline, never], 1), frames)


def crop_truth(faces: ExactFaces, frames: CropFrames, surface: SurfaceSample) -> CropTruth:
    """Return the truth of crops whose frames are in units of the focal length."""
    anchor = faces.rotation_head.new_tensor(ANCHOR_M)
    at = camera_from_model(anchor.expand(len(faces), 1, 3), faces.rotation_head, faces.translation_m)
    points_cam = camera_from_model(
        surface.decode_shape(faces.identity, faces.expression), faces.rotation_head, faces.translation_m
    )
    return CropTruth(
        identity=faces.identity,
        expression=faces.expression,
        rotation_crop=rotation_in_crop(faces.rotation_head, frames),
        shift=frames.to_crop(at[..., :2] / at[..., 2:])[:, 0],
        log_depth=(at[:, 0, 2] / frames.depth_m).log(),
        points=project_points(points_cam, frames, surface),
        surface=project_surface(points_cam, frames, surface),
        frames=frames,
    )


def project_points(points_cam: Tensor, frames: CropFrames, surface: SurfaceSample) -> Float[Tensor, "faces points 2"]:
    """Project the head's `NUM_POINTS` points; frames are in units of the focal length."""
    groups = surface.groups(points_cam)
    outline = surface.contour_landmarks(points_cam)[:, :NUM_JAW]
    points = torch.cat([groups.landmarks, outline, groups.irises], 1)
    return frames.to_crop(points[..., :2] / points[..., 2:].clamp(min=1e-2))


def project_surface(points_cam: Tensor, frames: CropFrames, surface: SurfaceSample) -> Float[Tensor, "faces dense 2"]:
    """Project the sample of the surface; frames are in units of the focal length."""
    dense = surface.groups(points_cam).dense
    return frames.to_crop(dense[..., :2] / dense[..., 2:].clamp(min=1e-2))


def in_camera(points: Float[Tensor, "faces points 3"], faces: FaceParameters) -> Float[Tensor, "faces points 3"]:
    """Bring model-frame points into the camera."""
    return camera_from_model(points, faces.rotation_head, faces.translation_m)


def _mirrored(faces: ExactFaces, flipped: Bool[Tensor, " faces"], model: MorphableModel) -> ExactFaces:
    rotation, translation = mirror_pose(faces.rotation_head, faces.translation_m)
    chosen = flipped[:, None]
    return replace(
        faces,
        identity=torch.where(chosen, model.flip_identity(faces.identity), faces.identity),
        expression=torch.where(chosen, model.flip_expression(faces.expression), faces.expression),
        rotation_head=torch.where(chosen[..., None], rotation, faces.rotation_head),
        translation_m=torch.where(chosen, translation, faces.translation_m),
    )


def _erring(faces: ExactFaces, errors: EstimateErrors, generator: torch.Generator) -> FaceParameters:
    """Draw estimates about the truth."""
    count = len(faces)
    draw = torch.randn(count, 6, generator=generator)
    gross = 1.0 + (_GROSS_FACTOR - 1.0) * (torch.rand(count, 1, generator=generator) < errors.gross_share)
    draw = draw * gross
    turn = rotation_from_vector(draw[:, :3] * math.radians(errors.angle_deg))
    rotation = turn @ faces.rotation_head
    anchor = faces.rotation_head.new_tensor(ANCHOR_M).expand(count, 1, 3)
    at = camera_from_model(anchor, faces.rotation_head, faces.translation_m)[:, 0]
    frames = crop_frames(_parameters(faces, faces.rotation_head, faces.translation_m), 1.0)
    depth = at[:, 2] * (draw[:, 3] * errors.log_depth).exp()
    ray = at[:, :2] / at[:, 2:] + draw[:, 4:] * errors.shift * frames.side_px[:, None]
    moved = torch.cat([ray, torch.ones_like(depth)[:, None]], 1) * depth[:, None]
    offset = camera_from_model(anchor, rotation, torch.zeros_like(at))[:, 0]
    return _parameters(faces, rotation, moved - offset)


def _parameters(faces: ExactFaces, rotation: Tensor, translation: Tensor) -> FaceParameters:
    none = rotation.new_zeros
    return FaceParameters(
        identity=faces.identity,
        expression=faces.expression,
        albedo=none(len(faces), 0),
        rotation_head=rotation,
        translation_m=translation,
        illumination=none(len(faces), 9, 3),
    )


def _row(frames: CropFrames, row: int) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
    center, right, down = (value[row].double().numpy() for value in (frames.center_px, frames.right, frames.down))
    return center, float(frames.side_px[row]), right, down


def _cut_limits(
    rng: np.random.Generator, changes: CropChanges, limits: np.ndarray, center: np.ndarray, side: float
) -> np.ndarray:
    """Move one border of the picture into the crop, as in a picture that cuts the face."""
    if rng.random() >= changes.cut:
        return limits
    out = limits.copy()
    border = int(rng.integers(4))
    inward = rng.uniform(-0.02, 0.35) * side
    out[border] = center[border % 2] + (inward if border >= 2 else -inward)
    return out


def random_colors(rng: np.random.Generator, changes: CropChanges) -> tuple[np.ndarray, float]:
    """Affine map of colors in 0 to 255, and the noise."""
    matrix = np.diag(1.0 + rng.uniform(-changes.tint, changes.tint, 3))
    saturation = 0.0 if rng.random() < changes.gray else rng.uniform(0.6, 1.25)
    matrix = (saturation * np.eye(3) + (1.0 - saturation) * _LUMA[None]) @ matrix
    gain = 1.0 + rng.uniform(-changes.contrast, changes.contrast)
    offset = rng.uniform(-changes.contrast, changes.contrast) * 127.0 + 127.0 * (1.0 - gain)
    return np.concatenate([matrix * gain, np.full((3, 1), offset)], 1), float(255.0 * changes.noise * rng.random() ** 2)


def _hide(rng: np.random.Generator, out: np.ndarray) -> None:
    """Cover a patch with a flat, slightly uneven color."""
    sides = (rng.uniform(0.04, 0.28, 2) * CROP_PX).astype(int)
    top, left = (rng.uniform(0.1, 0.9, 2) * CROP_PX - sides / 2).astype(int).clip(0)
    color = rng.uniform(0, 255, 3)
    patch = out[top : top + sides[0], left : left + sides[1]]
    ramp = np.linspace(-1, 1, patch.shape[1])[None, :, None] * rng.uniform(-40, 40)
    patch[:] = (color + ramp).clip(0, 255).astype(np.uint8)
