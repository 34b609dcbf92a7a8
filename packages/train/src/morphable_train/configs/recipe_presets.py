"""Named configurations of the recipes, and the variants of the papers' ablations."""

from collections.abc import Callable
from dataclasses import replace

from morphable_regressors import CropRule
from morphable_train.configs.recipe_names import ABLATIONS, PRESETS, RECIPES
from morphable_train.configs.recipes import (
    DfmvrConfig,
    MobileFrnetConfig,
    ParsingConfig,
    PrnetConfig,
    RecipeConfig,
)
from morphable_train.configs.stages import AugmentConfig, OptimizerConfig, RunConfig

_GENTLE = AugmentConfig(zoom=(0.92, 1.08), shift=0.04, angle_deg=8.0, erase=0.0, blur=0.0)
_WIDE = AugmentConfig(zoom=(0.8, 1.25), shift=0.08, angle_deg=30.0)
_FIRM = AugmentConfig(zoom=(0.86, 1.16), shift=0.06, angle_deg=20.0, erase=0.2)
_SMOKE_RATE = OptimizerConfig(learning_rate=1e-3, backbone_factor=1.0, warmup_steps=30, ema_decay=0.99)
_SMALL_RATE = OptimizerConfig(learning_rate=1e-3, backbone_factor=1.0, warmup_steps=50, ema_decay=0.99)
_FULL_RATE = OptimizerConfig(learning_rate=1e-3, backbone_factor=1.0, warmup_steps=500)


def _smoke_run(steps: int, batch: int) -> RunConfig:
    return RunConfig(steps=steps, batch_size=batch, precision="32-true", checkpoint_every_steps=500, log_every_steps=10)


def _small_run(batch: int) -> RunConfig:
    """Two hours whose schedule follows the time; `--minutes` sets another one."""
    return RunConfig(steps=60_000, minutes=120.0, anneal_with_time=True, batch_size=batch, checkpoint_every_steps=100)


def mobile_frnet(name: str) -> MobileFrnetConfig:
    """120 px with 3DDFA's crop; `smoke` at 64 px."""
    if name == "smoke":
        return MobileFrnetConfig(
            crop=CropRule(side_px=64),
            augment=_GENTLE,
            optimizer=replace(_SMOKE_RATE, learning_rate=5e-4),
            run=_smoke_run(2000, 16),
        )
    if name == "small":
        return MobileFrnetConfig(
            crop=CropRule(side_px=120), augment=_FIRM, optimizer=_SMALL_RATE, run=_small_run(batch=32)
        )
    return MobileFrnetConfig(
        crop=CropRule(side_px=120),
        augment=_WIDE,
        optimizer=replace(_FULL_RATE, learning_rate=5e-4),
        run=RunConfig(steps=60_000, batch_size=64),
    )


def prnet(name: str) -> PrnetConfig:
    """256 px with PRNet's crop; `smoke` at 64 px, `small` at 128 px, both at half the width."""
    if name == "smoke":
        return PrnetConfig(
            crop=CropRule(side_px=64, face_share=1 / 1.6),
            width=8,
            augment=_GENTLE,
            optimizer=_SMOKE_RATE,
            run=_smoke_run(1800, 16),
        )
    if name == "small":
        return PrnetConfig(
            crop=CropRule(side_px=128, face_share=1 / 1.6),
            width=8,
            augment=_FIRM,
            optimizer=replace(_SMALL_RATE, learning_rate=2e-3),
            run=_small_run(batch=16),
        )
    return PrnetConfig(
        crop=CropRule(side_px=256, face_share=1 / 1.6),
        augment=_WIDE,
        optimizer=replace(_FULL_RATE, learning_rate=5e-4),
        run=RunConfig(steps=60_000, batch_size=16),
    )


def dfmvr(name: str) -> DfmvrConfig:
    """224 px at full width; `small` at 96 px and a quarter of the width, `smoke` at 64 px too."""
    if name == "smoke":
        return DfmvrConfig(
            crop=CropRule(side_px=64, face_share=0.6),
            width=0.25,
            augment=replace(_GENTLE, zoom=(0.96, 1.04), shift=0.02),
            optimizer=_SMOKE_RATE,
            run=_smoke_run(1500, 8),
            photo_every=10,
        )
    if name == "small":
        return DfmvrConfig(
            crop=CropRule(side_px=96, face_share=0.6),
            width=0.25,
            augment=replace(_GENTLE, angle_deg=15.0, blur=0.2),
            optimizer=_SMALL_RATE,
            run=_small_run(batch=8),
            photo_every=10,
        )
    return DfmvrConfig(
        crop=CropRule(side_px=224, face_share=0.6),
        augment=replace(_GENTLE, angle_deg=15.0, blur=0.2),
        optimizer=OptimizerConfig(learning_rate=1e-4, backbone_factor=1.0, weight_decay=0.0, warmup_steps=500),
        run=RunConfig(steps=100_000, batch_size=16),
        photo_every=2,
    )


def parsing(name: str) -> ParsingConfig:
    """256 px with ResNet-18; `small` at 256 px and `smoke` at 128 px with MobileNetV2."""
    rule = CropRule(side_px=128 if name == "smoke" else 256, face_share=0.6)
    if name == "smoke":
        return ParsingConfig(
            backbone="mobilenet_v2", crop=rule, augment=_GENTLE, optimizer=_SMOKE_RATE, run=_smoke_run(800, 16)
        )
    if name == "small":
        return ParsingConfig(
            backbone="mobilenet_v2", crop=rule, augment=_FIRM, optimizer=_SMALL_RATE, run=_small_run(batch=16)
        )
    return ParsingConfig(
        crop=rule, augment=replace(_WIDE, erase=0.5), optimizer=_FULL_RATE, run=RunConfig(steps=30_000, batch_size=16)
    )


_MAKERS: dict[str, Callable[[str], RecipeConfig]] = {
    "mobile_frnet": mobile_frnet,
    "prnet": prnet,
    "dfmvr": dfmvr,
    "parsing": parsing,
}


def recipe_preset(recipe: str, name: str = "full", *, ablation: str | None = None) -> RecipeConfig:
    """Return a preset, or a variant of it.

    Args:
        recipe: One of `RECIPES`.
        name: One of `PRESETS`.
        ablation: A row of the paper's table; see `ABLATIONS`.

    Raises:
        ValueError: There is none of that name.

    >>> recipe_preset("prnet", "smoke").recipe
    'prnet'
    """
    if recipe not in _MAKERS:
        raise ValueError(f"recipe must be one of {', '.join(RECIPES)}, got {recipe!r}")
    if name not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}")
    config = _MAKERS[recipe](name)
    if ablation is None:
        return config
    known = ABLATIONS[recipe]
    if ablation not in known:
        raise ValueError(f"ablation of {recipe} must be one of {', '.join(known) or 'none'}, got {ablation!r}")
    changes = {
        name: replace(getattr(config, name), **value) if isinstance(value, dict) else value
        for name, value in known[ablation].items()
    }
    return replace(config, **changes)
