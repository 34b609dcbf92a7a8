"""Changes of color: what each does to the pixels and to the skin mask."""

from dataclasses import replace

import torch

from morphable_train.configs.stages import AugmentConfig
from morphable_train.data.augment import draw_changes, recolor

STILL = AugmentConfig(
    brightness=0.0, contrast=0.0, saturation=0.0, tint=0.0, gray=0.0, blur=0.0, noise=0.0, erase=0.0, light=0.0
)


def recolored(config: AugmentConfig, pictures: torch.Tensor) -> torch.Tensor:
    changes = draw_changes(torch.Generator().manual_seed(3), len(pictures), config)
    return recolor(pictures, changes, torch.Generator().manual_seed(4))


def pictures() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.cat([torch.rand(4, 3, 32, 48, generator=generator) * 0.4 + 0.1, torch.ones(4, 1, 32, 48)], 1)


def test_without_changes_pictures_stay_as_they_are():
    torch.testing.assert_close(recolored(STILL, pictures()), pictures())


def test_light_is_one_smooth_factor_for_all_colours():
    ratio = recolored(replace(STILL, light=0.3), pictures())[:, :3] / pictures()[:, :3]
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))
    logarithm = ratio[:, 0].log()
    assert float(logarithm.std()) > 0.03
    assert float(logarithm.diff(dim=2).abs().max()) < 0.1
    assert float(logarithm.diff(dim=1).abs().max()) < 0.1


def test_a_patch_hides_the_skin_under_it():
    changed = recolored(replace(STILL, erase=1.0), pictures())
    hidden = changed[:, 3] == 0
    assert bool(hidden.flatten(1).any(1).all())
    kept = ~hidden[:, None].expand(-1, 3, -1, -1)
    torch.testing.assert_close(changed[:, :3][kept], pictures()[:, :3][kept])


def test_grey_pictures_have_equal_channels():
    changed = recolored(replace(STILL, gray=1.0), pictures())[:, :3]
    torch.testing.assert_close(changed, changed[:, :1].expand_as(changed))
