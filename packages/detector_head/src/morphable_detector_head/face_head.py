"""A look at the pixels of each found face: an upright crop, cut by the network's own estimate, read by a small network.

The feature map of a whole picture gives a face a handful of samples, too few for lids, gaze and lips. Here the coarse
estimate (place, size, roll) cuts an upright crop of 224 x 224 samples out of the picture. A convolutional network
reads the crop at half that resolution, and a second, smaller one reads the band that holds the eyes at full
resolution. Both see the crop with its own mean and contrast taken out, so that exposure does not matter. What they
give replaces rotation, place, identity and expression of the estimate; albedo and light stay.

The crop has a camera of its own, which looks at the crop's center with the crop's roll. The head's rotation in that
camera does not depend on where in the picture the face is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from morphable import FaceParameters
from morphable.geometry import GLOBAL_FOCAL_PX, axes_flip
from morphable.landmarks import EYES

from .backbones import Backbone, BackboneName, build_backbone, describe_backbone

ANCHOR_M = (0.0, -0.010, 0.025)
"""Point of the model frame at the crop's center: the middle of the face, between its front and its ears."""
CROP_SIDE_M = 0.22
"""Side of the crop at the anchor's depth, meters: from above the brows to below the chin, with a margin."""
CROP_PX = 224
"""Samples along the crop's side."""
EYE_ROWS, EYE_COLS = slice(36, 100), slice(48, 176)
"""The band of the crop that holds the eyes."""
NUM_POINTS, NUM_IRISES = 87, 2
"""The 68 points on the surface (`ibug68_3d`), the 17 jaw points on the visible outline (`ibug68_contour`), and the
centers of the left and the right iris."""
SAME_FACE = 0.2
"""Faces whose crops' centers are nearer than this share of the crop's side are one face: 44 mm side by side."""
OUTSIDE = 0.5
"""Gray level of samples beyond the picture's border."""
_NEAREST_M = 0.05
_SPREAD, _LEAST_SPREAD = 0.5, 0.05
"""Standard deviation of a crop's colors as the networks see them, and the smallest that is stretched to it."""
_NUM_ROTATION, _NUM_PLACE = 6, 3
_LEAST_SCORE = 1e-6
_EYE_WIDTHS = (16, 32, 64, 96)
_EYE_FEATURES = 128
_EYE_CUTS = (5, 7, 8)
"""Modules of the eyes' network after which its features have strides 4, 8 and 16."""
_JOINT_WIDTH = 256
_POINT_GAIN = 10.0
"""Factor on points that are read again: a tenth of the crop's side counts as 1."""
_MAP_STRIDE_PX, _EYE_STRIDE_PX = 8, 4
"""Samples of the crop between cells of the maps, of the whole crop and of the eyes' band."""
SEARCH_STD = 0.04
"""Standard deviation of a point's prior about its rough place, in sides of the crop."""
_MAP_REACH = 1.1
"""Points may lie beyond the crop by this factor on the places of its cells."""
EYE_POINTS = (*EYES, NUM_POINTS - 2, NUM_POINTS - 1)
"""Points that are found in the eyes' band: the lids' and the irises'."""


@dataclass(frozen=True, kw_only=True)
class FaceHeadConfig:
    """Shape of the face head."""

    backbone: BackboneName = "mobilenet_v2_tf"
    """Network that reads the crop at 112 x 112."""
    width: int = 512
    """Features taken from the crop; the eyes' band adds 128."""
    activations: bool = True
    """Expression coefficients are activations, which lie in [0, 1]."""
    min_center_score: float = 0.1
    """Score of the center map that a cell needs before the head looks at it."""
    center_factor: float = 1.0
    """Factor on the logit of the center map's score in the logit of a face's score."""
    crop_factor: float = 0.0
    """Factor on the logit that the head gives to "this is a face"."""
    score_offset: float = 0.0
    """Term that is added to both."""

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width must be positive, got {self.width}")
        if not 0 <= self.min_center_score < 1:
            raise ValueError(f"min_center_score must be in [0, 1), got {self.min_center_score}")
        describe_backbone(self.backbone)


@dataclass(frozen=True)
class CropFrames:
    """Where the upright crops of faces lie in a picture, and the cameras that look at them."""

    center_px: Float[Tensor, "*batch 2"]
    """Relative to the principal point."""
    side_px: Float[Tensor, "*batch"]
    right: Float[Tensor, "*batch 2"]
    """Unit vector in the picture along the crop's rows."""
    down: Float[Tensor, "*batch 2"]
    """Unit vector in the picture along the crop's columns."""
    depth_m: Float[Tensor, "*batch"]
    """Estimated depth of the anchor."""
    focal_px: float = GLOBAL_FOCAL_PX

    @property
    def crop_from_camera(self) -> Float[Tensor, "*batch 3 3"]:
        """Rotation from the picture's camera to the crop's, which looks at the crop's center with the crop's roll."""
        ray = torch.cat([self.center_px / self.focal_px, torch.ones_like(self.side_px)[..., None]], -1)
        z = F.normalize(ray, dim=-1)
        across = torch.cat([self.right, torch.zeros_like(self.side_px)[..., None]], -1)
        x = F.normalize(across - (across * z).sum(-1, keepdim=True) * z, dim=-1)
        return torch.stack([x, torch.linalg.cross(z, x), z], -2)

    def to_crop(self, from_principal_px: Float[Tensor, "*batch points 2"]) -> Float[Tensor, "*batch points 2"]:
        """Return picture points in units of the crop's side, relative to its center, x right and y down."""
        offset = (from_principal_px - self.center_px[..., None, :]) / self.side_px[..., None, None]
        return offset @ torch.stack([self.right, self.down], -1)

    def to_picture(self, in_crop: Float[Tensor, "*batch points 2"]) -> Float[Tensor, "*batch points 2"]:
        """Return crop points (units of its side, relative to its center) in pixels from the principal point."""
        turned = in_crop @ torch.stack([self.right, self.down], -2)
        return turned * self.side_px[..., None, None] + self.center_px[..., None, :]


@dataclass(frozen=True)
class FaceReading:
    """What the face head reads from crops."""

    identity: Float[Tensor, "*batch id"]
    expression: Float[Tensor, "*batch expr"]
    """As it was regressed; `FaceHead.limited` limits activations to [0, 1]."""
    rotation_crop: Float[Tensor, "*batch 3 3"]
    """`R_head` in the crop's camera."""
    shift: Float[Tensor, "*batch 2"]
    """Anchor relative to the crop's center, in units of its side."""
    log_depth: Float[Tensor, "*batch"]
    """Logarithm of the anchor's depth over the estimated one."""
    points: Float[Tensor, "*batch points 2"]
    """`NUM_POINTS` landmarks in units of the crop's side, relative to its center."""
    log_std: Float[Tensor, "*batch points"]
    """Logarithm of the standard deviation of each coordinate of a point, units of the crop's side."""
    face_logit: Float[Tensor, "*batch"]
    """Logit of the probability that the crop shows a face where the estimate says."""


def crop_frames(faces: FaceParameters, focal_px: float = GLOBAL_FOCAL_PX) -> CropFrames:
    """Place upright crops by the estimated pose of faces."""
    rotation = _camera_from_model(faces.rotation_head)
    anchor = rotation @ rotation.new_tensor(ANCHOR_M) + faces.translation_m
    depth = anchor[..., 2].clamp(min=_NEAREST_M)
    ray = anchor[..., :2] / depth[..., None]
    up = rotation[..., :, 1]
    up_px = up[..., :2] - ray * up[..., 2:]
    down = F.normalize(-up_px + up_px.new_tensor((0.0, 1e-6)), dim=-1)
    right = torch.stack([down[..., 1], -down[..., 0]], -1)
    return CropFrames(ray * focal_px, CROP_SIDE_M * focal_px / depth, right, down, depth, focal_px)


def cut_crops(
    image: Float[Tensor, "batch 3 height width"], frames: CropFrames
) -> Float[Tensor, "batch top 3 crop crop"]:
    """Sample the crops of each picture's faces bilinearly; samples beyond the border are gray.

    Args:
        image: RGB in [0, 1].
        frames: Leading axes batch, top.
    """
    height, width = image.shape[-2:]
    batch, top = frames.side_px.shape
    along = (torch.arange(CROP_PX, device=image.device, dtype=torch.float32) + 0.5) / CROP_PX - 0.5
    right, down = (axis * frames.side_px[..., None] for axis in (frames.right, frames.down))
    place = torch.stack(
        [
            # one sum for each sample; a tensor of both sides would be fixed by an export
            ((frames.center_px[..., k, None] + right[..., k, None] * along) * (2.0 / side))[..., None, :]
            + (down[..., k, None] * along * (2.0 / side))[..., None]
            for k, side in enumerate((width, height))
        ],
        -1,
    ).view(batch, top, -1, 2)
    sampled = F.grid_sample(image.float() - OUTSIDE, place.flatten(1, 2)[:, :, None], align_corners=False)
    return (sampled + OUTSIDE).view(batch, 3, top, CROP_PX, CROP_PX).transpose(1, 2)


def corrected(estimate: FaceParameters, frames: CropFrames, reading: FaceReading) -> FaceParameters:
    """Return an estimate with pose, identity and expression as they were read from the crops."""
    turn = _flipped(frames.crop_from_camera)
    rotation = turn.mT @ reading.rotation_crop
    anchor = reading.rotation_crop.new_tensor(ANCHOR_M)
    depth = frames.depth_m * reading.log_depth.exp()
    place = frames.to_picture(reading.shift[..., None, :])[..., 0, :] / frames.focal_px
    at = torch.cat([place, torch.ones_like(place[..., :1])], -1) * depth[..., None]
    translation = at - _camera_from_model(rotation) @ anchor
    return replace(
        estimate,
        identity=reading.identity,
        expression=reading.expression,
        rotation_head=rotation,
        translation_m=translation,
    )


def repeated(
    faces: FaceParameters, score: Float[Tensor, "batch top"], focal_px: float = GLOBAL_FOCAL_PX
) -> Bool[Tensor, "batch top"]:
    """Return which faces of each picture lie on one with a higher score: several cells may lead to one face."""
    frames = crop_frames(faces, focal_px)
    apart = (frames.center_px[:, :, None] - frames.center_px[:, None]).norm(dim=-1)
    near = apart < SAME_FACE * frames.side_px[:, None]
    return (near & (score[:, None] > score[:, :, None])).any(-1)


def finite_logit(score: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Return the logit of a score in [0, 1], which stays finite at its ends."""
    return torch.logit(score.clamp(_LEAST_SCORE, 1 - _LEAST_SCORE))


def rotation_in_crop(rotation: Float[Tensor, "*batch 3 3"], frames: CropFrames) -> Float[Tensor, "*batch 3 3"]:
    """Return `R_head` in the crops' cameras."""
    return _flipped(frames.crop_from_camera) @ rotation


def _camera_from_model(rotation: Tensor) -> Tensor:
    """`diag(1, -1, -1) @ R_head`."""
    return axes_flip(rotation)[:, None] * rotation


def _flipped(rotation: Tensor) -> Tensor:
    """A camera rotation in the head's axes: `diag(1, -1, -1)` on both sides."""
    sign = axes_flip(rotation)
    return rotation * sign[:, None] * sign


class _Block(nn.Module):
    """An inverted residual: widen, look around, narrow (MobileNetV2)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = 3 * inputs
        self.layers = nn.Sequential(
            *_convolution(inputs, wide, 1),
            *_convolution(wide, wide, 3, stride=stride, groups=wide),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.keeps_shape = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """Convolve."""
        out = self.layers(features)
        return features + out if self.keeps_shape else out


def _convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> Iterator[nn.Module]:
    yield nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    yield nn.BatchNorm2d(outputs)
    yield nn.ReLU6(inplace=True)


class PointMaps(nn.Module):
    """A map of logits for each point on the finest of some levels of features, each half as fine as the one before.

    A convolution finds the same edge wherever it lies, which a linear layer on pooled features must learn anew for
    every place.
    """

    def __init__(self, channels: Sequence[int], points: int, width: int = 64) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.smooth = nn.ModuleList(_separable(width) for _ in channels[1:])
        self.maps = _start_small(nn.Conv2d(width, points, 1))

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Return the maps, from levels finest first."""
        out = self.lateral[-1](levels[-1])
        for k in reversed(range(len(self.smooth))):
            out = F.interpolate(out, size=levels[k].shape[-2:], mode="nearest") + self.lateral[k](levels[k])
            out = self.smooth[k](out)
        return self.maps(out)


def mean_positions(
    logits: Float[Tensor, "batch points rows cols"],
    where: Float[Tensor, "cells 2"],
    rough: Float[Tensor, "batch points 2"],
) -> Float[Tensor, "batch points 2"]:
    """Return the mean position of each point under the softmax of its map, near a rough estimate.

    Args:
        logits: Maps; constant ones leave the rough estimate, but for the grain of the cells.
        where: Position of each cell, row by row.
        rough: About where the points lie: a Gaussian prior of standard deviation `SEARCH_STD`.
    """
    apart = (rough[:, :, None] - where).square().sum(-1)
    return (logits.float().flatten(2) - apart / (2 * SEARCH_STD**2)).softmax(-1) @ where


class FaceHead(nn.Module):
    """Reads faces from upright crops."""

    mean_points: Tensor
    cell_places: Tensor
    eye_cell_places: Tensor

    def __init__(self, config: FaceHeadConfig, *, num_identity: int, num_expression: int, backbone: Backbone) -> None:
        super().__init__()
        spec = describe_backbone(config.backbone)
        self.config, self.backbone = config, backbone
        self.sizes = (num_identity, num_expression, _NUM_ROTATION, _NUM_PLACE, NUM_POINTS, 1)
        cells = CROP_PX // 2 // spec.strides[2]
        self.neck = nn.Sequential(
            *_convolution(spec.channels[2], config.width // 2, 1),
            nn.Conv2d(config.width // 2, config.width, cells, groups=config.width // 2, bias=False),
            nn.BatchNorm2d(config.width),
            nn.ReLU(inplace=True),
            nn.Flatten(),
        )
        self.eyes = _eye_network()
        self.maps = PointMaps((spec.fine_channels, *spec.channels), NUM_POINTS)
        self.eye_maps = PointMaps(_EYE_WIDTHS[1:], len(EYE_POINTS))
        self.rough = _start_small(nn.Linear(config.width + _EYE_FEATURES, 2 * NUM_POINTS))
        self.output = _start_small(nn.Linear(config.width, sum(self.sizes)))
        self.eye_output = _start_small(nn.Linear(_EYE_FEATURES, num_expression))
        self.joint = nn.Sequential(
            nn.Linear(config.width + _EYE_FEATURES + 2 * NUM_POINTS, _JOINT_WIDTH),
            nn.ReLU(inplace=True),
            _start_small(nn.Linear(_JOINT_WIDTH, sum(self.sizes))),
        )
        self.register_buffer("mean_points", torch.zeros(NUM_POINTS, 2))
        whole_crop = slice(0, CROP_PX)
        places = _MAP_REACH * _cell_places(whole_crop, whole_crop, _MAP_STRIDE_PX)
        self.register_buffer("cell_places", places, persistent=False)
        self.register_buffer("eye_cell_places", _cell_places(EYE_ROWS, EYE_COLS, _EYE_STRIDE_PX), persistent=False)

    def forward(self, crops: Float[Tensor, "*batch 3 crop crop"]) -> Float[Tensor, "*batch channels"]:
        """Read faces from crops of RGB in [0, 1]; `reading` gives the channels their meaning."""
        leading = crops.shape[:-3]
        flat = crops.reshape(-1, *crops.shape[-3:])
        half = F.avg_pool2d(flat, 2)
        level, spread = half.mean((1, 2, 3), keepdim=True), half.std((1, 2, 3), keepdim=True)
        gain = _SPREAD / spread.clamp(min=_LEAST_SPREAD)
        levels = self.backbone((half - level) * gain)
        eye_levels = self._eye_levels((flat[:, :, EYE_ROWS, EYE_COLS] - level) * gain)
        whole, eyes = self.neck(levels[3]), self.eyes[_EYE_CUTS[2] :](eye_levels[2])
        both = torch.cat([whole, eyes], 1)
        points = self._points(self.rough(both), levels, eye_levels).flatten(1)
        seen = (_POINT_GAIN * points.detach()).to(both.dtype)
        channels = self.output(whole) + self.joint(torch.cat([both, seen], 1))
        before, of_eyes = self.sizes[0], self.eye_output(eyes)
        after = channels.shape[1] - before - of_eyes.shape[1]
        identity, expression, rest = channels.split([before, of_eyes.shape[1], after], -1)
        out = torch.cat([identity, expression + of_eyes, rest, points.to(rest.dtype)], -1)
        return out.reshape(*leading, -1)

    def _eye_levels(self, band: Tensor) -> list[Tensor]:
        """Features of the eyes' band after each cut, at strides 4, 8 and 16."""
        levels, start = [], 0
        for cut in _EYE_CUTS:
            band = self.eyes[start:cut](band)
            levels.append(band)
            start = cut
        return levels

    def _points(
        self, offsets: Tensor, levels: Sequence[Tensor], eye_levels: Sequence[Tensor]
    ) -> Float[Tensor, "batch points 2"]:
        """Landmarks relative to their mean places; lids and irises as the eyes' band shows them."""
        rough = self.mean_points + offsets.float().unflatten(-1, (NUM_POINTS, 2))
        points = mean_positions(self.maps(levels), self.cell_places, rough)
        of_eyes = mean_positions(self.eye_maps(eye_levels), self.eye_cell_places, rough[:, list(EYE_POINTS)])
        lids, irises = of_eyes.split([len(EYE_POINTS) - NUM_IRISES, NUM_IRISES], 1)
        before, after = points[:, : EYES.start], points[:, EYES.stop : NUM_POINTS - NUM_IRISES]
        return torch.cat([before, lids, after, irises], 1) - self.mean_points

    def reading(self, channels: Float[Tensor, "*batch channels"]) -> FaceReading:
        """Give the network's output its meaning, in float32."""
        parts = channels.float().split([*self.sizes, 2 * NUM_POINTS], -1)
        identity, expression, rotation, place, log_std, face_logit, points = parts
        return FaceReading(
            identity=identity,
            expression=expression,
            rotation_crop=_orthonormal(rotation),
            shift=place[..., :2],
            log_depth=place[..., 2],
            points=self.mean_points + points.unflatten(-1, (NUM_POINTS, 2)),
            log_std=log_std + _LOG_STD_START,
            face_logit=face_logit[..., 0],
        )

    def face_score(self, center_score: Float[Tensor, "*batch"], reading: FaceReading) -> Float[Tensor, "*batch"]:
        """Return the probability of a face from the center map's score and what the head has seen."""
        config = self.config
        weighted = config.center_factor * finite_logit(center_score) + config.crop_factor * reading.face_logit
        return (weighted + config.score_offset).sigmoid()

    def limited(self, reading: FaceReading) -> FaceReading:
        """Return a reading whose activations lie in [0, 1]."""
        return replace(reading, expression=reading.expression.clamp(0, 1)) if self.config.activations else reading


_LOG_STD_START = -4.0
"""Where the logarithms of the standard deviations start: 1.8 % of the crop's side."""


def _separable(width: int) -> nn.Sequential:
    """Look around in each channel, then mix the channels."""
    return nn.Sequential(*_convolution(width, width, 3, groups=width), *_convolution(width, width, 1))


def _cell_places(rows: slice, cols: slice, stride: int) -> Float[Tensor, "cells 2"]:
    """Centers (x, y) of the cells of a part of the crop, in units of its side from its center."""
    y, x = (torch.arange(part.start, part.stop, stride).float() + stride / 2 for part in (rows, cols))
    return torch.stack([x.repeat(len(y)), y.repeat_interleave(len(x))], -1) / CROP_PX - 0.5


_Layer = TypeVar("_Layer", nn.Linear, nn.Conv2d)


def _start_small(layer: _Layer) -> _Layer:
    nn.init.normal_(layer.weight, std=1e-3)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def _eye_network() -> nn.Sequential:
    """From the eyes' band to features."""
    first, second, third, fourth = _EYE_WIDTHS
    rows, cols = ((band.stop - band.start) // 16 for band in (EYE_ROWS, EYE_COLS))
    return nn.Sequential(
        *_convolution(3, first, 3, stride=2),
        _Block(first, second, 2),
        _Block(second, second, 1),
        _Block(second, third, 2),
        _Block(third, third, 1),
        _Block(third, fourth, 2),
        *_convolution(fourth, _EYE_FEATURES, 1),
        nn.Conv2d(_EYE_FEATURES, _EYE_FEATURES, (rows, cols), groups=_EYE_FEATURES, bias=False),
        nn.BatchNorm2d(_EYE_FEATURES),
        nn.ReLU(inplace=True),
        nn.Flatten(),
    )


def _orthonormal(raw: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation from corrections to its first two columns (Zhou et al., CVPR 2019); zeros give the identity."""
    first = F.normalize(raw[..., :3] + raw.new_tensor((1.0, 0.0, 0.0)), dim=-1)
    second = raw[..., 3:] + raw.new_tensor((0.0, 1.0, 0.0))
    second = F.normalize(second - (first * second).sum(-1, keepdim=True) * first, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)


def build_face_head(config: FaceHeadConfig, *, num_identity: int, num_expression: int) -> FaceHead:
    """Build a face head with random weights."""
    backbone = build_backbone(config.backbone)
    return FaceHead(config, num_identity=num_identity, num_expression=num_expression, backbone=backbone)
