"""Random changes of pictures: drawn on the CPU from a seed and the step, applied in batches on any device."""

import math
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from morphable.geometry.warping import flip_matrix, sampling_grid, similarity_matrix
from morphable_train.configs.stages import AugmentConfig

_LUMA = (0.299, 0.587, 0.114)
_LIGHT_PLACES = 3
"""Places across and down a picture between which light varies."""
_MAX_ERASED = 0.4
"""Largest side of a hidden patch, in picture sides."""


@dataclass(frozen=True)
class Changes:
    """What is done to each picture of a batch."""

    flipped: Bool[Tensor, " batch"]
    size: Float[Tensor, " batch"]
    """Uniform in [0, 1]: place in the logarithmic range of face sizes or zooms."""
    angle_rad: Float[Tensor, " batch"]
    shift: Float[Tensor, "batch 2"]
    """In [-1, 1], times the configured largest shift."""
    gain: Float[Tensor, "batch 3"]
    """Factor per color channel."""
    light: Float[Tensor, "batch rows cols"]
    """Logarithm of a smooth field of light, at a few places."""
    contrast: Float[Tensor, " batch"]
    saturation: Float[Tensor, " batch"]
    blurred: Bool[Tensor, " batch"]
    noise: Float[Tensor, " batch"]
    """Standard deviation."""
    erased: Bool[Tensor, " batch"]
    patch: Float[Tensor, "batch 4"]
    """Center and half sides of the hidden patch, in picture sides."""
    patch_color: Float[Tensor, "batch 3"]

    def __getitem__(self, index: slice) -> "Changes":
        return Changes(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def to(self, device: torch.device) -> "Changes":
        """Move to a device."""
        return Changes(**{f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)})


def draw_changes(generator: torch.Generator, count: int, config: AugmentConfig) -> Changes:
    """Draw the changes of a batch; always the same number of random numbers, whatever the configuration."""
    u = torch.rand(count, 24, generator=generator)
    light = torch.randn(count, _LIGHT_PLACES, _LIGHT_PLACES, generator=generator) * u[:, 22, None, None]
    signed = u * 2.0 - 1.0
    brightness = torch.exp(signed[:, 4] * math.log1p(config.brightness))[:, None]
    tint = torch.exp(signed[:, 5:8] * math.log1p(config.tint))
    gray = u[:, 10] < config.gray
    saturation = torch.exp(signed[:, 9] * math.log1p(config.saturation))
    return Changes(
        flipped=(u[:, 0] < 0.5) & config.flip,
        size=u[:, 1],
        angle_rad=signed[:, 2] * math.radians(config.angle_deg),
        shift=signed[:, 20:22],
        gain=brightness * tint,
        light=light * config.light,
        contrast=torch.exp(signed[:, 8] * math.log1p(config.contrast)),
        saturation=torch.where(gray, torch.zeros_like(saturation), saturation),
        blurred=u[:, 11] < config.blur,
        noise=u[:, 12].square() * config.noise,
        erased=u[:, 13] < config.erase,
        patch=torch.cat([u[:, 14:16], u[:, 16:18].square() * _MAX_ERASED / 2 + 0.02], 1),
        patch_color=torch.stack([u[:, 18], u[:, 19], u[:, 3]], 1),
    )


def log_between(position: Float[Tensor, " batch"], limits: tuple[float, float]) -> Float[Tensor, " batch"]:
    """Return numbers between two limits, evenly spread in their logarithm."""
    low, high = math.log(limits[0]), math.log(limits[1])
    return torch.exp(low + position * (high - low))


def crop_matrices(
    changes: Changes, config: AugmentConfig, *, crop_px: int, crop_face_px: float, input_px: int
) -> Float[Tensor, "batch 3 3"]:
    """Return where the augmentation of stage 1 puts the pixels of single-face crops."""
    count, device = len(changes.size), changes.size.device
    scale = log_between(changes.size, config.face_px) / crop_face_px
    target = (changes.shift * config.shift + 0.5) * input_px
    middle = torch.full((count, 2), crop_px / 2, device=device)
    moved = similarity_matrix(scale, changes.angle_rad, middle, target)
    return moved @ flips(changes, crop_px)


def flips(changes: Changes, width_px: int) -> Float[Tensor, "batch 3 3"]:
    """Return the mirror image where it was drawn, the identity elsewhere."""
    mirror = flip_matrix(torch.full_like(changes.size, float(width_px)))
    return torch.where(changes.flipped[:, None, None], mirror, torch.eye(3, device=mirror.device))


def warp_pictures(
    pictures: Float[Tensor, "batch 4 in_rows in_cols"], out_from_in: Float[Tensor, "batch 3 3"], out_px: int
) -> Float[Tensor, "batch 4 rows cols"]:
    """Resample pictures with their skin masks; outside, colors repeat the edge and there is no skin."""
    grid = sampling_grid(out_from_in, (pictures.shape[2], pictures.shape[3]), (out_px, out_px))
    warped = F.grid_sample(pictures, grid, "bilinear", "border", align_corners=False)
    inside = (grid.abs() <= 1.0).all(-1)[:, None]
    return torch.cat([warped[:, :3], warped[:, 3:] * inside], 1)


def recolor(
    pictures: Float[Tensor, "batch 4 rows cols"], changes: Changes, generator: torch.Generator
) -> Float[Tensor, "batch 4 rows cols"]:
    """Change colors, sharpness and noise, and hide patches; the skin mask loses what is hidden.

    Args:
        pictures: RGB in [0, 1] and the skin mask.
        changes: Drawn for these pictures, on their device.
        generator: For the noise, on the pictures' device.
    """
    image, skin = pictures[:, :3], pictures[:, 3:]
    luma = torch.tensor(_LUMA, device=image.device, dtype=image.dtype)[:, None, None]
    gray = (image * luma).sum(1, keepdim=True)
    image = gray + (image - gray) * _per_picture(changes.saturation)
    mean = image.mean((2, 3), keepdim=True)
    image = (mean + (image - mean) * _per_picture(changes.contrast)) * changes.gain[:, :, None, None]
    image = image * _light_field(changes.light, image.shape)
    image = torch.where(changes.blurred[:, None, None, None], _lose_resolution(image), image)
    noise = torch.randn(image.shape, generator=generator, device=image.device, dtype=image.dtype)
    image = image + noise * _per_picture(changes.noise)
    hidden = _patches(changes, (image.shape[2], image.shape[3]))[:, None]
    image = torch.where(hidden, changes.patch_color[:, :, None, None], image)
    return torch.cat([image.clamp(0.0, 1.0), skin * ~hidden], 1)


def _per_picture(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _light_field(light: Tensor, shape: torch.Size) -> Tensor:
    """Factors that vary smoothly over a picture."""
    return F.interpolate(light[:, None], size=shape[2:], mode="bicubic", align_corners=False).exp()


def _lose_resolution(image: Tensor) -> Tensor:
    """Halve and double the size: a picture from a worse camera."""
    small = F.avg_pool2d(image, 2)
    return F.interpolate(small, size=(image.shape[2], image.shape[3]), mode="bilinear", align_corners=False)


def _patches(changes: Changes, size_hw: tuple[int, int]) -> Bool[Tensor, "batch rows cols"]:
    """Where the hidden patches are."""
    device = changes.patch.device
    y = (torch.arange(size_hw[0], device=device) + 0.5) / size_hw[0]
    x = (torch.arange(size_hw[1], device=device) + 0.5) / size_hw[1]
    in_x = (x - changes.patch[:, :1]).abs() < changes.patch[:, 2:3]
    in_y = (y - changes.patch[:, 1:2]).abs() < changes.patch[:, 3:4]
    return in_y[:, :, None] & in_x[:, None, :] & changes.erased[:, None, None]
