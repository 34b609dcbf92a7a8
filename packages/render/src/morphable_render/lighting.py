"""Spherical-harmonics lighting with Deep3DFaceReconstruction's constants."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from morphable.geometry import axes_flip

LOBE = (math.pi, 2 * math.pi / math.sqrt(3), 2 * math.pi / math.sqrt(8))
"""Factor per band; a Lambert cosine lobe has (pi, 2 pi/3, pi/4), relative to which
band 1 is scaled by sqrt(3) and band 2 by 2 sqrt(2)."""

BASIS = (
    1 / math.sqrt(4 * math.pi),
    math.sqrt(3) / math.sqrt(4 * math.pi),
    3 * math.sqrt(5) / math.sqrt(12 * math.pi),
)
"""Normalization of the polynomials per band."""

AMBIENT = 0.8
"""Added to the constant band of every color channel: all-zero coefficients mean soft white light."""


def sh_basis(normals: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 9"]:
    """Evaluate the nine functions, lobe factors included.

    Order: `1, -y, z, -x, xy, -yz, (3z^2-1)/(2 sqrt 3), -xz, (x^2-y^2)/2`.

    Args:
        normals: Unit vectors, y up, z toward the viewer (`R_head` times the model-frame normal).
    """
    x, y, z = normals.unbind(-1)
    zero, one, two = (lobe * basis for lobe, basis in zip(LOBE, BASIS, strict=True))
    zonal = two / (2 * math.sqrt(3)) * (3 * z * z - 1)
    linear = [-one * y, one * z, -one * x]
    quadratic = [two * x * y, -two * y * z, zonal, -two * x * z, two / 2 * (x * x - y * y)]
    return torch.stack([torch.full_like(x, zero), *linear, *quadratic], dim=-1)


def irradiance_sh(
    normals: Float[Tensor, "*batch points 3"], illumination: Float[Tensor, "*#batch 9 3"]
) -> Float[Tensor, "*batch points 3"]:
    """Evaluate the light that reaches each normal, per color channel.

    Args:
        normals: Unit vectors, y up, z toward the viewer.
        illumination: Coefficients per band and RGB channel. `AMBIENT` is added to the first band.
    """
    # The offset as an addition after the product: `illumination` stays a plain leaf for autograd.
    return sh_basis(normals) @ illumination + AMBIENT * LOBE[0] * BASIS[0]


def shade_sh(
    albedo: Float[Tensor, "*batch points 3"],
    normals: Float[Tensor, "*batch points 3"],
    illumination: Float[Tensor, "*#batch 9 3"],
) -> Float[Tensor, "*batch points 3"]:
    """Color a surface under spherical-harmonics light.

    Args:
        albedo: sRGB-encoded reflectance in [0, 1].
        normals: Unit vectors, y up, z toward the viewer: model-frame normals times `R_head`, or
            `lighting_normals` of camera-frame ones.
        illumination: Coefficients per band and RGB channel; zeros are soft white light.

    Returns:
        sRGB-encoded colors, not clamped: clamping here would kill gradients of bright and dark pixels.

    >>> shade_sh(torch.tensor([[0.2, 0.4, 0.6]]), torch.tensor([[0.0, 0.0, 1.0]]), torch.zeros(9, 3))
    tensor([[0.1418, 0.2836, 0.4254]])
    """
    return albedo * irradiance_sh(normals, illumination)


def lighting_normals(normals_cam: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Turn camera-frame normals (y down, z into the scene) into the lighting frame (y up, z to the viewer)."""
    return normals_cam * axes_flip(normals_cam)


def mirror_illumination(illumination: Float[Tensor, "*batch 9 3"]) -> Float[Tensor, "*batch 9 3"]:
    """Return the light of the mirrored scene: the functions that are odd in x (-x, xy, -xz) change sign."""
    sign = torch.tensor([1, 1, 1, -1, -1, 1, 1, -1, 1], dtype=illumination.dtype, device=illumination.device)
    return illumination * sign[:, None]


def rotate_sh(illumination: Float[Tensor, "*batch 9 3"], rotation: Float[Tensor, "3 3"]) -> Float[Tensor, "*batch 9 3"]:
    """Return the light after a turn of everything: turned normals get the color that they had.

    Args:
        illumination: Coefficients per band and RGB channel.
        rotation: In the frame of the normals, y up, z toward the viewer.

    >>> light = torch.randn(9, 3)
    >>> about_z = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    >>> normal = torch.tensor([[0.6, 0.0, 0.8]])
    >>> turned = irradiance_sh(normal @ about_z.T, rotate_sh(light, about_z))
    >>> torch.allclose(turned, irradiance_sh(normal, light), atol=1e-5)
    True
    """
    places = torch.arange(32, dtype=torch.float64)  # a spiral over the sphere: more directions than functions
    height = 1 - (2 * places + 1) / len(places)
    angle, radius = math.pi * (3 - math.sqrt(5)) * places, (1 - height.square()).sqrt()
    before = torch.stack([radius * angle.cos(), radius * angle.sin(), height], -1)
    after = before @ rotation.double().cpu().T
    matrix = torch.linalg.pinv(sh_basis(after)) @ sh_basis(before)
    return matrix.to(illumination) @ illumination
