import math

import numpy as np
import pytest
import torch

from morphable_render import shade_sh
from morphable_render.lighting import (
    AMBIENT,
    BASIS,
    LOBE,
    irradiance_sh,
    lighting_normals,
    mirror_illumination,
    rotate_sh,
    sh_basis,
)


def unit(count, seed=0):
    vectors = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(vectors, dim=-1)


def test_zero_light_is_soft_white_by_hand():
    # pi * 0.8 / sqrt(4 pi) = 0.8 sqrt(pi) / 2 = 0.70898
    shaded = shade_sh(torch.full((2, 3), 0.5).double(), unit(2), torch.zeros(9, 3).double())
    torch.testing.assert_close(shaded, torch.full((2, 3), 0.5 * 0.8 * math.sqrt(math.pi) / 2).double())


def test_basis_on_an_axis_by_hand():
    # z = 1: 1, z and 3z^2-1 = 2 remain. 2 pi/sqrt3 * sqrt3/sqrt(4 pi) = sqrt(pi); the zonal is
    # 2 pi/sqrt8 * 3 sqrt5/sqrt(12 pi) * 2/(2 sqrt3)
    zonal = 2 * math.pi / math.sqrt(8) * 3 * math.sqrt(5) / math.sqrt(12 * math.pi) / math.sqrt(3)
    expected = torch.tensor([math.sqrt(math.pi) / 2, 0, math.sqrt(math.pi), 0, 0, 0, zonal, 0, 0]).double()
    torch.testing.assert_close(sh_basis(torch.tensor([0.0, 0.0, 1.0]).double()), expected)


def test_against_a_numeric_lambert_integral():
    """A radiance of one orthonormal band, integrated over the hemisphere, gives our basis / (1, sqrt3, 2 sqrt2)."""
    theta = (np.arange(400) + 0.5) * np.pi / 400
    phi = (np.arange(800) + 0.5) * 2 * np.pi / 800
    theta, phi = (x.ravel() for x in np.meshgrid(theta, phi, indexing="ij"))
    directions = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1)
    area = np.sin(theta) * (np.pi / 400) * (2 * np.pi / 800)
    x, y, z = directions.T
    # Orthonormal real harmonics with the signs of the module's order.
    polynomial = np.stack(
        [np.ones_like(x), -y, z, -x, x * y, -y * z, (3 * z * z - 1) / (2 * math.sqrt(3)), -x * z, (x * x - y * y) / 2],
        -1,
    )
    radiance = polynomial * np.array([BASIS[0]] + [BASIS[1]] * 3 + [BASIS[2]] * 5)
    np.testing.assert_allclose((radiance**2 * area[:, None]).sum(0), 1.0, atol=1e-4)
    normals = unit(20).numpy()
    cosine = np.maximum(normals @ directions.T, 0)
    irradiance = cosine @ (radiance * area[:, None])
    factor = np.array([1.0] + [math.sqrt(3)] * 3 + [2 * math.sqrt(2)] * 5)
    # 400 x 800 directions: 1e-5 of quadrature error
    np.testing.assert_allclose(sh_basis(torch.as_tensor(normals)).numpy(), irradiance * factor, atol=1e-4)
    np.testing.assert_allclose(np.array(LOBE) / [np.pi, 2 * np.pi / 3, np.pi / 4], [1, math.sqrt(3), 2 * math.sqrt(2)])


def test_light_is_linear_and_per_channel():
    normals, light = unit(5), torch.randn(9, 3, generator=torch.Generator().manual_seed(1)).double()
    ambient = irradiance_sh(normals, torch.zeros_like(light))
    torch.testing.assert_close(
        irradiance_sh(normals, 3 * light) - ambient, 3 * (irradiance_sh(normals, light) - ambient)
    )
    only_red = torch.zeros_like(light)
    only_red[:, 0] = light[:, 0]
    torch.testing.assert_close(irradiance_sh(normals, only_red)[:, 1:], ambient[:, 1:])
    with_offset = light.clone()
    with_offset[0] += AMBIENT
    torch.testing.assert_close(irradiance_sh(normals, light), sh_basis(normals) @ with_offset)


def test_batched_light_equals_single():
    normals, light = unit(12).unflatten(0, (3, 4)), torch.randn(3, 9, 3).double()
    albedo = torch.rand(3, 4, 3).double()
    batched = shade_sh(albedo, normals, light)
    torch.testing.assert_close(batched[2], shade_sh(albedo[2], normals[2], light[2]))


def test_lighting_normals_flip_y_and_z():
    assert lighting_normals(torch.tensor([1.0, 2.0, 3.0])).tolist() == [1.0, -2.0, -3.0]


def test_gradients():
    inputs = [torch.rand(4, 3).double(), unit(4), torch.randn(9, 3).double()]
    assert torch.autograd.gradcheck(shade_sh, [x.requires_grad_() for x in inputs])


def test_wrong_number_of_bands_is_refused():
    with pytest.raises(Exception, match="illumination"):
        shade_sh(torch.rand(4, 3), torch.rand(4, 3), torch.rand(27))


def test_mirrored_light_shines_from_the_other_side():
    generator = torch.Generator().manual_seed(0)
    light = torch.randn(2, 9, 3, generator=generator)
    normals = torch.nn.functional.normalize(torch.randn(2, 5, 3, generator=generator), dim=-1)
    mirrored = normals * torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(irradiance_sh(mirrored, mirror_illumination(light)), irradiance_sh(normals, light))


def test_turned_normals_in_turned_light_keep_their_colors():
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64))[0]
    rotation = rotation * torch.linalg.det(rotation)
    light = torch.randn(2, 9, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    normals = unit(50).expand(2, 50, 3)
    turned = irradiance_sh(normals @ rotation.T, rotate_sh(light, rotation))
    torch.testing.assert_close(turned, irradiance_sh(normals, light))
    torch.testing.assert_close(rotate_sh(rotate_sh(light, rotation), rotation.T), light)
