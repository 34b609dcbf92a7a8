"""The network that reads faces from upright crops.

The feature map of a whole picture gives a face a handful of samples, too few for lids, gaze and lips. Here a residual
network reads the crop at half its resolution, and 2 smaller ones read the bands that hold the eyes and the mouth at
full resolution. All see the crop with its own mean and contrast taken out, so that exposure does not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from morphable.landmarks import BROWS, EYES, MOUTH

from .crops import CROP_PX
from .layers import Pyramid, gathered, start_small
from .maps import PointMaps, mean_positions
from .reading import FaceReading, finite_logit

EYE_ROWS, EYE_COLS = slice(32, 112), slice(48, 176)
"""The band of the crop that holds eyes and brows."""
MOUTH_ROWS, MOUTH_COLS = slice(104, 184), slice(40, 184)
"""The band of the crop that holds the mouth."""
NUM_POINTS, NUM_IRISES = 87, 2
"""The 68 points on the surface (`ibug68_3d`), the 17 jaw points on the visible outline (`ibug68_contour`), and the
centers of the left and the right iris."""
_SPREAD, _LEAST_SPREAD = 0.5, 0.05
"""Standard deviation of a crop's colors as the networks see them, and the smallest that is stretched to it."""
_NUM_ROTATION, _NUM_PLACE = 6, 3
_CROP_WIDTHS, _CROP_BLOCKS = (16, 32, 64, 128, 256), (1, 2, 2, 1)
"""Channels of the crop's network at strides 2 to 32 of its own input, and blocks of each stage after the first."""
_BAND_WIDTHS, _BAND_BLOCKS = (16, 24, 48, 96), (1, 1, 1)
"""The same of a band's network."""
_BAND_FEATURES = 128
_JOINT_WIDTH = 512
_POINT_GAIN = 10.0
"""Factor on points that are read again: a tenth of the crop's side counts as 1."""
_MAP_STRIDE_PX, _BAND_STRIDE_PX = 8, 4
"""Samples of the crop between cells of the maps, of the whole crop and of the bands."""
_MAP_REACH = 1.1
"""Points may lie beyond the crop by this factor on the places of its cells."""
EYE_POINTS = (*BROWS, *EYES, NUM_POINTS - 2, NUM_POINTS - 1)
"""Points that are found in the eyes' band: the brows', the lids' and the irises'."""
MOUTH_POINTS = tuple(MOUTH)
"""Points that are found in the mouth's band."""
CROP_POINTS = tuple(k for k in range(NUM_POINTS) if k not in EYE_POINTS + MOUTH_POINTS)
"""Points that are found in the whole crop: those of jaw, outline and nose."""
_IN_ORDER = [(CROP_POINTS + EYE_POINTS + MOUTH_POINTS).index(k) for k in range(NUM_POINTS)]
_WHOLE = slice(0, CROP_PX)


@dataclass(frozen=True, kw_only=True)
class FaceHeadConfig:
    """Shape of the face head."""

    width: int = 512
    """Features taken from the whole crop; each band adds 128."""
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


class FaceHead(nn.Module):
    """Reads faces from upright crops."""

    mean_points: Tensor
    crop_places: Tensor
    eye_places: Tensor
    mouth_places: Tensor

    def __init__(self, config: FaceHeadConfig, *, num_identity: int, num_expression: int) -> None:
        super().__init__()
        self.config = config
        self.sizes = (num_identity, num_expression, _NUM_ROTATION, _NUM_PLACE, NUM_POINTS, 1)
        self.crop, self.eyes, self.mouth = (
            Pyramid(widths, blocks)
            for widths, blocks in ((_CROP_WIDTHS, _CROP_BLOCKS), *[(_BAND_WIDTHS, _BAND_BLOCKS)] * 2)
        )
        self.crop_features = gathered(_CROP_WIDTHS[-1], config.width, _cells(_WHOLE, _WHOLE, 2 << len(_CROP_WIDTHS)))
        self.eye_features, self.mouth_features = (
            gathered(_BAND_WIDTHS[-1], _BAND_FEATURES, _cells(rows, cols, 1 << len(_BAND_WIDTHS)))
            for rows, cols in ((EYE_ROWS, EYE_COLS), (MOUTH_ROWS, MOUTH_COLS))
        )
        self.crop_maps = PointMaps(_CROP_WIDTHS[1:], len(CROP_POINTS))
        self.eye_maps = PointMaps(_BAND_WIDTHS[1:], len(EYE_POINTS))
        self.mouth_maps = PointMaps(_BAND_WIDTHS[1:], len(MOUTH_POINTS))
        seen = config.width + 2 * _BAND_FEATURES
        self.rough = start_small(nn.Linear(seen, 2 * NUM_POINTS))
        seen += 2 * NUM_POINTS
        self.output = start_small(nn.Linear(seen, sum(self.sizes)))
        self.joint = nn.Sequential(
            nn.Linear(seen, _JOINT_WIDTH), nn.ReLU(inplace=True), start_small(nn.Linear(_JOINT_WIDTH, sum(self.sizes)))
        )
        self.register_buffer("mean_points", torch.zeros(NUM_POINTS, 2))
        places = _MAP_REACH * _cell_places(_WHOLE, _WHOLE, _MAP_STRIDE_PX)
        self.register_buffer("crop_places", places, persistent=False)
        self.register_buffer("eye_places", _cell_places(EYE_ROWS, EYE_COLS, _BAND_STRIDE_PX), persistent=False)
        self.register_buffer("mouth_places", _cell_places(MOUTH_ROWS, MOUTH_COLS, _BAND_STRIDE_PX), persistent=False)

    def forward(self, crops: Float[Tensor, "*batch 3 crop crop"]) -> Float[Tensor, "*batch channels"]:
        """Read faces from crops of RGB in [0, 1]; `reading` gives the channels their meaning."""
        leading = crops.shape[:-3]
        flat = crops.reshape(-1, *crops.shape[-3:])
        half = F.avg_pool2d(flat, 2)
        level = half.mean((1, 2, 3), keepdim=True)
        spread = (half - level).square().mean((1, 2, 3), keepdim=True).sqrt()
        gain = _SPREAD / spread.clamp(min=_LEAST_SPREAD)
        whole = self.crop((half - level) * gain)
        eyes = self.eyes((flat[:, :, EYE_ROWS, EYE_COLS] - level) * gain)
        mouth = self.mouth((flat[:, :, MOUTH_ROWS, MOUTH_COLS] - level) * gain)
        features = torch.cat(
            [self.crop_features(whole[-1]), self.eye_features(eyes[-1]), self.mouth_features(mouth[-1])], 1
        )
        rough = self.rough(features).float()
        points = self._points(rough.unflatten(-1, (NUM_POINTS, 2)), whole, eyes, mouth).flatten(1)
        features = torch.cat([features, (_POINT_GAIN * points.detach()).to(features.dtype)], 1)
        channels = self.output(features) + self.joint(features)
        return torch.cat([channels.float(), points, rough], -1).reshape(*leading, -1)

    def _points(
        self, offsets: Tensor, whole: Sequence[Tensor], eyes: Sequence[Tensor], mouth: Sequence[Tensor]
    ) -> Float[Tensor, "batch points 2"]:
        """Landmarks relative to their mean places, each from the finest features that show it."""
        rough = self.mean_points + offsets
        found = [
            mean_positions(maps(levels), places, rough[:, list(points)])
            for maps, levels, places, points in (
                (self.crop_maps, whole, self.crop_places, CROP_POINTS),
                (self.eye_maps, eyes, self.eye_places, EYE_POINTS),
                (self.mouth_maps, mouth, self.mouth_places, MOUTH_POINTS),
            )
        ]
        return torch.cat(found, 1)[:, _IN_ORDER] - self.mean_points

    def reading(self, channels: Float[Tensor, "*batch channels"]) -> FaceReading:
        """Give the network's output its meaning, in float32."""
        parts = channels.float().split([*self.sizes, 2 * NUM_POINTS, 2 * NUM_POINTS], -1)
        identity, expression, rotation, place, log_std, face_logit, points, rough = parts
        return FaceReading(
            identity=identity,
            expression=expression,
            rotation_crop=_orthonormal(rotation),
            shift=place[..., :2],
            log_depth=place[..., 2],
            points=self.mean_points + points.unflatten(-1, (NUM_POINTS, 2)),
            rough_points=self.mean_points + rough.unflatten(-1, (NUM_POINTS, 2)),
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


def _cells(rows: slice, cols: slice, stride: int) -> tuple[int, int]:
    """Rows and columns of cells."""
    return -((rows.start - rows.stop) // stride), -((cols.start - cols.stop) // stride)


def _cell_places(rows: slice, cols: slice, stride: int) -> Float[Tensor, "cells 2"]:
    """Centers (x, y) of the cells of a part of the crop, in units of its side from its center."""
    y, x = (torch.arange(part.start, part.stop, stride).float() + stride / 2 for part in (rows, cols))
    return torch.stack([x.repeat(len(y)), y.repeat_interleave(len(x))], -1) / CROP_PX - 0.5


def _orthonormal(raw: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation from corrections to its first two columns (Zhou et al., CVPR 2019); zeros give the identity."""
    first = F.normalize(raw[..., :3] + raw.new_tensor((1.0, 0.0, 0.0)), dim=-1)
    second = raw[..., 3:] + raw.new_tensor((0.0, 1.0, 0.0))
    second = F.normalize(second - (first * second).sum(-1, keepdim=True) * first, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)


def build_face_head(config: FaceHeadConfig, *, num_identity: int, num_expression: int) -> FaceHead:
    """Build a face head with random weights."""
    return FaceHead(config, num_identity=num_identity, num_expression=num_expression)
