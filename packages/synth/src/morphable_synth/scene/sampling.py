"""Draw scenes: people, light, camera effects. A scene is a pure function of configuration, seed and index."""

import math

import numpy as np

from morphable_synth.assets.catalog import AssetCatalog, Style
from morphable_synth.assets.library import Library, load_library
from morphable_synth.assets.textures import linear_from_srgb
from morphable_synth.scene.camera import CAM_FROM_UP, head_rotation, project
from morphable_synth.scene.complexion import sample_complexion
from morphable_synth.scene.description import Blob, LightChoice, Person, Scene, SceneConfig, Skin, Wearing
from morphable_synth.scene.effects import sample_effects
from morphable_synth.scene.expressions import sample_expression
from morphable_synth.scene.hands import sample_hands
from morphable_synth.scene.placement import (
    Place,
    sample_focal_px,
    sample_places,
    sample_rotations,
    translation,
)
from morphable_synth.scene.rolling import rolled
from morphable_synth.scene.tones import HAIR_COLORS_SRGB, skin_tone

_IDENTITY_LIMIT, _ALBEDO_LIMIT = 2.7, 2.2
_IDENTITY_SPREAD = 1.25
"""Standard deviation of the identity coefficients before clipping. With it, the height of the chin and the width of
the mouth vary in frontal people by 18.2 and 13.1 % of the distance between the eyes; in Helen's photographs by 18.4
and 12.8, in people drawn with 1 by 16.5 and 12.4 (`benchmarks/landmark_placement.py`)."""
_MIDDLE_SEX = 0.41
"""Sex, as a shape suggests it (0 male, 1 female), that half of the drawn people lie on either side of."""
_AGE = 0.684, 0.137
"""Mean and standard deviation of the age that the shapes of drawn people suggest."""
_FIRST_GRAY = 0.8
"""Age, from 0.6 (young) to 1 (old), from which hair turns gray more and more often."""
_SHORT_HAIR = ("short01", "short02", "short03", "short04", "afro01")
_CLOSE_HAIR = ("short02", "short04")
_RARE_HAIR = {"long2_alpha7": 0.08, "bob01": 0.25, "bob02": 0.4, "short03": 0.45, "braid01": 0.6, "curly2": 0.6}
"""Styles that hide much of the face (measured on a frontal view) are drawn this often relative to others."""
_BLOB_SHARE = 0.04
"""Share of people with a thing before the face."""
_SLIM_FACE_PX = 24.0
"""Below this size nothing small is worn."""


def sample_scene(seed: int, index: int, config: SceneConfig | None = None) -> Scene:
    """Draw scene ``index`` of series ``seed``; the same arguments give the same scene.

    Raises:
        ValueError: The assets folder lacks a kind that people cannot be drawn without.

    >>> len(sample_scene(0, 0, SceneConfig(layout="single", size_px=128)).people)
    1
    """
    config = config or SceneConfig()
    library = load_library(config.assets, config.cc0_only)
    rng = np.random.default_rng([seed, index])
    focal_px = sample_focal_px(rng, config)
    places = sample_places(rng, config, focal_px)
    complexion_rng = np.random.default_rng([seed, index, 2])
    people = tuple(_person(rng, complexion_rng, config, library, place) for place in places)
    light = _light(rng, config, library.catalog)
    smallest = min((place.face_px for place in places), default=100.0)
    effects = sample_effects(rng, smallest_face_px=smallest, enabled=config.camera_effects)
    blobs = _blobs(rng, people, config, focal_px) if config.occluders else ()
    hand_rng = np.random.default_rng([seed, index, 3])
    hands = sample_hands(hand_rng, config, people, focal_px) if config.occluders else ()
    scene = Scene(config, seed, index, focal_px, people, light, effects, blobs, hands)
    roll_rng = np.random.default_rng([seed, index, 4])
    return rolled(scene, roll_rng.uniform(-np.pi, np.pi)) if roll_rng.random() < config.roll_share else scene


def _clipped_normal(rng: np.random.Generator, count: int, *, spread: float, limit: float) -> np.ndarray:
    return np.clip(spread * rng.standard_normal(count), -limit, limit).astype(np.float32)


def _person(
    rng: np.random.Generator,
    complexion_rng: np.random.Generator,
    config: SceneConfig,
    library: Library,
    place: Place,
) -> Person:
    model = library.model
    identity = _clipped_normal(rng, model.num_identity, spread=_IDENTITY_SPREAD, limit=_IDENTITY_LIMIT)
    head, body = sample_rotations(rng, config.profile_share)
    female, age, _, _ = library.hm08.traits(identity)
    sex = bool(rng.random() < np.clip((female - _MIDDLE_SEX) * 3 + 0.5, 0.04, 0.96))
    years = _even_age(float(age + rng.normal(0, 0.06)))
    darkness = rng.random()
    catalog = library.catalog
    skin = _skin(rng, config, catalog, sex, years, float(darkness))
    wearing = (
        Wearing() if catalog is None else _wearing(rng, config, catalog, sex, years, float(darkness), place.face_px)
    )
    if catalog is None:
        wearing = Wearing(
            hair="cap", hair_color=_hair_color(rng, years, float(darkness)), cloth_color=_cloth_color(rng)
        )
        if config.occluders and rng.random() < 0.06:
            wearing = Wearing(
                hair="cap", hair_color=wearing.hair_color, cloth_color=wearing.cloth_color, mask_color=_mask_color(rng)
            )
    return Person(
        identity=identity,
        expression=sample_expression(rng, model.expression_names),
        albedo=_clipped_normal(rng, model.num_albedo, spread=1.0, limit=_ALBEDO_LIMIT),
        rotation_head=head,
        rotation_body=body,
        translation_m=translation(place, config.size_px),
        face_px=place.face_px,
        skin=skin,
        wearing=wearing,
        complexion=sample_complexion(complexion_rng, female=sex, darkness=float(darkness)),
    )


def _even_age(age: float) -> float:
    """Move the age that a shape suggests so that all from 0.6 (young) to 1.0 (old) are equally frequent."""
    mean, spread = _AGE
    return 0.6 + 0.2 * (1.0 + math.erf((age - mean) / spread / math.sqrt(2.0)))


def _rgb(color: np.ndarray) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in color)
    return red, green, blue


def _skin(
    rng: np.random.Generator,
    config: SceneConfig,
    catalog: AssetCatalog | None,
    female: bool,
    age: float,
    darkness: float,
) -> Skin:
    """Choose a skin near in sex, age and tone, then move its tone to the one drawn."""
    tone = _rgb(skin_tone(darkness, float(rng.normal(0, 0.8))))
    gloss, roughness = float(rng.uniform(0.012, 0.05)), float(rng.uniform(0.8, 2.0))
    photographic = catalog is not None and rng.random() < config.photographic_skin
    if catalog is None or not photographic:
        return Skin("", "", 0.0, tone, 1.0, gloss, roughness)
    skins = {path.stem: path for path in (*catalog.skins_coarse, *catalog.skins_fine)}
    names = sorted(skins)
    weight = np.array([_skin_fit(name, female, age, darkness) for name in names])
    fine = {path.stem for path in catalog.skins_fine}
    weight *= [3.0 if name in fine else 1.0 for name in names]
    base = str(rng.choice(names, p=weight / weight.sum()))
    detail = str(rng.choice(sorted(fine)))
    strength = float(rng.uniform(0.0, 0.7) if base in fine else rng.uniform(0.5, 1.3))
    return Skin(base, detail, strength, tone, float(rng.uniform(0.85, 1.2)), gloss, roughness)


def _skin_fit(name: str, female: bool, age: float, darkness: float) -> float:
    """How well a MakeHuman skin, judged by its name, suits a person; never zero."""
    fit = 1.0 if ("female" in name) == female else 0.08
    center = 0.68 if "young" in name else 0.8 if "middleage" in name else 0.95
    fit *= np.exp(-(((age - center) / 0.1) ** 2)) + 0.05
    own = 0.75 if "dark" in name else 0.25
    return float(fit * (np.exp(-(((darkness - own) / 0.28) ** 2)) + 0.01))


def _hair_color(rng: np.random.Generator, age: float, darkness: float) -> tuple[float, float, float]:
    gray = np.clip((age - _FIRST_GRAY) / 0.2, 0.02, 0.85)
    draw = rng.random()
    if draw < gray:
        name = str(rng.choice(["grey", "white"], p=[0.65, 0.35]))
    elif darkness > 0.5 or rng.random() < 0.25 + darkness:
        name = str(rng.choice(["black", "dark_brown"], p=[0.7, 0.3]))
    else:
        name = str(
            rng.choice(["dark_brown", "brown", "auburn", "light_brown", "blond"], p=[0.25, 0.28, 0.1, 0.17, 0.2])
        )
    color = linear_from_srgb(np.array(HAIR_COLORS_SRGB[name], np.float32) / 255.0)
    if rng.random() < 0.03:
        color = rng.uniform(0.02, 0.5, 3)
    return _rgb(color * np.exp(rng.normal(0, 0.2)) * np.exp(rng.normal(0, 0.05, 3)))


def _cloth_color(rng: np.random.Generator) -> tuple[float, float, float]:
    value, saturation = rng.uniform(0.02, 0.75), rng.beta(1.2, 2.5)
    hue = rng.uniform(0, 1, 3)
    return _rgb(value * (1 - saturation + saturation * hue / hue.max()))


def _mask_color(rng: np.random.Generator) -> tuple[float, float, float]:
    common = [(0.8, 0.82, 0.83), (0.35, 0.6, 0.75), (0.02, 0.02, 0.02), (0.5, 0.7, 0.62)]
    return common[int(rng.integers(len(common)))] if rng.random() < 0.75 else _cloth_color(rng)


def _name(rng: np.random.Generator, styles: tuple[Style, ...], share: float = 1.0) -> str:
    draw, at = rng.random(), rng.integers(max(len(styles), 1))
    return styles[int(at)].name if styles and draw < share else ""


def _hair_name(rng: np.random.Generator, styles: tuple[Style, ...], share: float) -> str:
    weight = np.array([_RARE_HAIR.get(style.name, 1.0) for style in styles])
    draw, at = rng.random(), int(rng.choice(len(styles), p=weight / weight.sum()))
    return styles[at].name if draw < share else ""


def _wearing(
    rng: np.random.Generator,
    config: SceneConfig,
    catalog: AssetCatalog,
    female: bool,
    age: float,
    darkness: float,
    face_px: float,
) -> Wearing:
    detailed = face_px >= _SLIM_FACE_PX
    covers = config.occluders
    hat = _name(rng, catalog.hats, 0.06 * covers)
    short = [s for s in catalog.hair if s.name in _SHORT_HAIR]
    long = [s for s in catalog.hair if s.name not in _SHORT_HAIR]
    likely = (
        tuple((long if rng.random() < 0.8 else short) if female else (short if rng.random() < 0.88 else long))
        or catalog.hair
    )
    if hat:
        likely = tuple(s for s in short if s.name in _CLOSE_HAIR) or likely
    bald = 0.03 if female else 0.1 + 0.25 * max(age - 0.75, 0) / 0.25
    masked = detailed and rng.random() < 0.05 * covers
    mask_picture = str(rng.choice([p.name for p in catalog.masks])) if catalog.masks and rng.random() < 0.5 else ""
    clothes = tuple(s for s in catalog.clothes if s.name.startswith("female") == female) or catalog.clothes
    return Wearing(
        hair=_hair_name(rng, likely, 1 - bald),
        hair_color=_hair_color(rng, age, darkness),
        beard="" if female else _name(rng, catalog.beards, 0.22),
        eyebrows=_name(rng, catalog.eyebrows, 0.985),
        eyelashes=_name(rng, catalog.eyelashes, 0.95 if female else 0.7) if detailed else "",
        iris=str(
            rng.choice([p.stem for p in catalog.irises], p=_iris_shares([p.stem for p in catalog.irises], darkness))
        ),
        teeth=_name(rng, catalog.teeth),
        teeth_shade=float(rng.uniform(0.6, 1.15)),
        clothes=_name(rng, clothes),
        cloth_color=_cloth_color(rng) if rng.random() < 0.85 else None,
        glasses=_name(rng, catalog.glasses, 0.17 * covers * detailed),
        lens_tint=float(rng.choice([0.04, rng.uniform(0.5, 0.97)], p=[0.72, 0.28])),
        hat=hat,
        hat_color=_cloth_color(rng),
        mask_color=_mask_color(rng) if masked else None,
        mask_picture=mask_picture,
    )


def _iris_shares(names: list[str], darkness: float) -> np.ndarray:
    brown = np.array(["brown" in name for name in names])
    share = np.where(brown, 1.0, np.clip(1.1 - 2 * darkness, 0.03, 1.0) / 2)
    return share / share.sum()


def _light(rng: np.random.Generator, config: SceneConfig, catalog: AssetCatalog | None) -> LightChoice:
    yaw, tilt = rng.uniform(-np.pi, np.pi), rng.normal(0, 0.08)
    env_from_cam = head_rotation(float(tilt), float(yaw), 0.0) @ CAM_FROM_UP
    named = catalog is not None and config.hdr_light and len(catalog.environments) > 0
    environment = str(rng.choice([p.stem for p in catalog.environments])) if named and catalog else ""
    draw, pick = rng.random(), rng.random()
    background = "environment" if environment and draw < 0.4 else ""
    if catalog is not None and catalog.backgrounds and 0.4 <= draw < 0.96:
        background = catalog.backgrounds[int(pick * len(catalog.backgrounds))].name
    return LightChoice(
        environment=environment,
        env_from_cam=np.asarray(env_from_cam, np.float32),
        exposure_ev=float(np.clip(rng.normal(0.0, 0.5), -1.5, 1.1)),
        key_gain=float(np.exp(rng.normal(0.1, 0.5))),
        ambient=float(rng.uniform(0.0, 0.45)),
        tint=_rgb(np.exp(rng.normal(0, 0.06, 3))),
        shoulder=float(rng.uniform(0.55, 0.9)),
        background=background,
        background_blur_px=float(max(rng.normal(0.5, 1.5), 0.0)),
    )


def _blobs(
    rng: np.random.Generator, people: tuple[Person, ...], config: SceneConfig, focal_px: float
) -> tuple[Blob, ...]:
    """Things between a face and the camera; hands are drawn by `sample_hands`."""
    out = []
    for person in people:
        if rng.random() > _BLOB_SHARE:
            continue
        center = project(person.translation_m, config.size_px, focal_px)
        side = person.face_px
        angle = rng.uniform(-np.pi, np.pi)
        away = rng.uniform(0.35, 0.75) * side
        spot = center + away * np.array([np.cos(angle), np.sin(angle)])
        color = np.array(_cloth_color(rng))
        radius = side * rng.uniform(0.2, 0.42) * np.array([1.0, rng.uniform(0.5, 1.0)])
        depth = float(person.translation_m[2] * 0.9)
        position, size = (float(spot[0]), float(spot[1])), (float(radius[0]), float(radius[1]))
        own_seed = int(rng.integers(1 << 30))
        turn = float(rng.uniform(-np.pi, np.pi))
        out.append(Blob(position, size, turn, _rgb(color), depth, config.size_px / 2, own_seed))
    return tuple(out)
