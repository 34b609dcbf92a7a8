"""The open model's skin: 1,000 sampled colors."""

import torch
from torch import Tensor

import morphable

NUM_PEOPLE = 1000
ITA_CLASSES = (-30.0, 10.0, 28.0, 41.0, 55.0)
"""Borders of the six skin classes by individual typology angle, degrees (Chardon et al. 1991): dark to very light."""


def test_skin_spans_all_classes() -> None:
    model = morphable.load_model("open")
    generator = torch.Generator().manual_seed(2)
    cheek = model.region("skin")
    albedo = model.decode_albedo(torch.randn(NUM_PEOPLE, 80, generator=generator))[:, cheek]
    colour = albedo.median(1).values.clamp(0, 1)
    angle = individual_typology_angle(colour)
    counts = torch.histogram(angle, bins=torch.tensor([-91.0, *ITA_CLASSES, 91.0])).hist / NUM_PEOPLE
    assert float(counts.min()) > 0.08
    # redder than green, greener than blue: no blue, green or purple people
    assert float((colour[:, 0] > colour[:, 1]).float().mean()) > 0.99
    assert float((colour[:, 1] > colour[:, 2] - 0.03).float().mean()) > 0.98


def individual_typology_angle(srgb: Tensor) -> Tensor:
    """atan((L* - 50) / b*) in degrees, from sRGB under D65."""
    linear = torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_xyz = torch.tensor([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    relative = (linear @ to_xyz.T) / torch.tensor([0.9505, 1.0, 1.089])
    f = torch.where(relative > 0.008856, relative.clamp(min=1e-6) ** (1 / 3), 7.787 * relative + 16 / 116)
    return torch.rad2deg(torch.atan2(116 * f[:, 1] - 66, 200 * (f[:, 1] - f[:, 2])))


def test_typology_angle_of_a_known_colour() -> None:
    # sRGB (210, 161, 140) / 255 has L* = 70.24 and b* = 17.95 under D65: atan(20.24 / 17.95) = 48.43 degrees
    angle = individual_typology_angle(torch.tensor([[210.0, 161.0, 140.0]]) / 255)
    torch.testing.assert_close(angle, torch.tensor([48.43]), atol=0.05, rtol=0)
