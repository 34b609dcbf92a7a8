"""Render a scene: picture and exact labels."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageFilter

from morphable_synth.assets.catalog import open_picture, picture_named
from morphable_synth.assets.environment import Environment, camera_view, procedural_environment
from morphable_synth.assets.library import Library, load_library
from morphable_synth.assets.parts import FIRST_COVERING_PART
from morphable_synth.assets.textures import srgb_from_linear
from morphable_synth.kernels import rasterization, shading
from morphable_synth.kernels.arrays import Soup, scratch
from morphable_synth.people.figure import Figure, build_figure
from morphable_synth.people.hands import hand_layers
from morphable_synth.people.layers import in_view
from morphable_synth.people.occluders import blob_layers
from morphable_synth.people.person import person_layers
from morphable_synth.rendering.effects import apply_effects
from morphable_synth.rendering.labels import PixelLabels, Sample, face_labels
from morphable_synth.rendering.lighting import CameraLight, camera_light, light_people
from morphable_synth.rendering.soup import Stage, build_soup, seen_vertices
from morphable_synth.scene.description import Scene

_SUPERSAMPLING = 2
_MIN_COVER = 0.5
_LUT_SIZE, _LUT_RANGE = 4096, 8.0


def render_scene(scene: Scene) -> Sample:
    """Render a scene and its labels; a pure function of the scene (on one machine).

    Faces of which too little shows (see `SceneConfig.min_visible`) are in the picture but not in the labels.

    >>> from morphable_synth import SceneConfig, sample_scene
    >>> sample = render_scene(sample_scene(0, 0, SceneConfig(layout="single", size_px=128)))
    >>> sample.image.shape
    (128, 128, 3)
    """
    library = load_library(scene.config.assets, scene.config.cc0_only)
    rng, size = np.random.default_rng([scene.seed, scene.index, 1]), scene.config.size_px
    figures = _figures(library, scene)
    environment = _environment(library, scene, rng)
    light = camera_light(environment, scene.light)
    people = [person_layers(library, figure) for figure in figures]
    centers = [np.asarray(figure.face_cam.mean(0), np.float32) for figure in figures]
    sizes = [person.face_px for person in scene.people]
    for blob in scene.blobs:
        layer, owner = blob_layers(blob, centers, scene.focal_px)
        people[owner].append(layer)
    for hand in scene.hands:
        people[hand.owner] += hand_layers(library, hand, scene.people[hand.owner])
    people = [[in_view(layer, size, scene.focal_px) for layer in layers] for layers in people]
    stage = build_soup(people)
    surface = _visible_surface(stage, size, scene.focal_px, samples_per_px=_SUPERSAMPLING)
    seen = seen_vertices(stage, surface.owner)
    light_people(stage.soup, people, light, seen=seen, centers=centers, sizes_px=sizes)
    color, transmittance = _colors(library, stage, light, surface)
    backdrop = _background(library, scene, environment, light, rng)
    table = _tone_table(scene.light.shoulder)
    linear = color + transmittance[..., None] * _inverse_tone(backdrop, table)
    image = apply_effects(_toned(linear, table), scene.effects, rng)
    pixels = _pixel_labels(library, stage, _visible_surface(stage, size, scene.focal_px, samples_per_px=1))
    return face_labels(library, scene, figures, pixels, image)


def _figures(library: Library, scene: Scene) -> list[Figure]:
    if not scene.people:
        return []
    identity = np.stack([person.identity for person in scene.people])
    expression = np.stack([person.expression for person in scene.people])
    decoded = library.decode(identity, expression)
    return [build_figure(library, person, face) for person, face in zip(scene.people, decoded, strict=True)]


def _environment(library: Library, scene: Scene, rng: np.random.Generator) -> Environment:
    if scene.light.environment and library.catalog is not None:
        return library.environment(picture_named(library.catalog.environments, scene.light.environment))
    return procedural_environment(rng)


@dataclass(frozen=True)
class _Surface:
    """The nearest opaque surface at the center of every sample."""

    screen: np.ndarray
    """Position of each vertex in samples, and its inverse depth."""
    inverse_depth: np.ndarray
    owner: np.ndarray
    """Triangle; -1 on the background."""


def _visible_surface(stage: Stage, size_px: int, focal_px: float, *, samples_per_px: int) -> _Surface:
    """Find the opaque surface with so many samples along each side of a pixel."""
    size = size_px * samples_per_px
    screen = rasterization.project(stage.soup.xyz_cam, focal_px * samples_per_px, size, size)
    zbuffer, owner = np.zeros((size, size), np.float32), np.full((size, size), -1, np.int32)
    rasterization.rasterize(screen, stage.soup.triangles, stage.opaque, zbuffer, owner)
    return _Surface(screen, zbuffer, owner)


def _ordered(soup: Soup, selected: np.ndarray) -> np.ndarray:
    """Triangles sorted from the nearest to the farthest."""
    depth = soup.xyz_cam[:, 2][soup.triangles[selected]].sum(1)
    return selected[np.argsort(-depth, kind="stable")][::-1]


def _detail_levels(library: Library, soup: Soup, screen: np.ndarray, *selected: np.ndarray) -> np.ndarray:
    """Mip levels of the texture and of the detail texture of the selected triangles."""
    lod = np.zeros((len(soup.triangles), 2), np.float32)
    for numbers in selected:
        rasterization.level_of_detail(soup, library.texels, screen, numbers, lod)
    return lod


def _colors(library: Library, stage: Stage, light: CameraLight, surface: _Surface) -> tuple[np.ndarray, np.ndarray]:
    """Linear colors with background left black, and how much of the background shows."""
    soup, texels, screen = stage.soup, library.texels, surface.screen
    lod = _detail_levels(library, soup, screen, stage.opaque, stage.transparent)
    size, memory = surface.owner.shape, scratch()
    color, transmittance = np.zeros((*size, 3), np.float32), np.ones(size, np.float32)
    ordered, zbuffer = _ordered(soup, stage.transparent), surface.inverse_depth
    shading.blend(soup, light.mirror, texels, screen, lod, ordered, zbuffer, color, transmittance, memory)
    shading.shade_opaque(soup, light.mirror, texels, screen, lod, surface.owner, color, transmittance, memory)
    return _reduced(color), _reduced(transmittance)


def _reduced(values: np.ndarray) -> np.ndarray:
    """Average blocks of samples to pixels."""
    pairs = values[0::2] + values[1::2]
    return (pairs[:, 0::2] + pairs[:, 1::2]) * np.float32(0.25)


def _pixel_labels(library: Library, stage: Stage, surface: _Surface) -> PixelLabels:
    """What is seen at the center of every pixel."""
    soup, zbuffer, owner = stage.soup, surface.inverse_depth, surface.owner
    cover, coverer = np.zeros_like(zbuffer), np.full_like(owner, -1)
    covering = stage.transparent[soup.part[stage.transparent] >= FIRST_COVERING_PART]
    lod = _detail_levels(library, soup, surface.screen, covering)
    ordered = _ordered(soup, covering)
    rasterization.cover(soup, library.texels, surface.screen, lod, ordered, zbuffer, _MIN_COVER, cover, coverer)
    seen = np.where((cover >= _MIN_COVER) & (coverer >= 0), coverer, owner)
    return PixelLabels(zbuffer, owner, seen, stage)


def _background(
    library: Library, scene: Scene, environment: Environment, light: CameraLight, rng: np.random.Generator
) -> Float[np.ndarray, "rows cols 3"]:
    """Background as sRGB-encoded values in [0, 1]."""
    size, choice = scene.config.size_px, scene.light
    if choice.background == "environment":
        view = camera_view(environment, choice.env_from_cam, focal_px=scene.focal_px, size_hw=(size, size))
        return (
            _toned(view * light.exposure * np.array(choice.tint), _tone_table(choice.shoulder)).astype(np.float32) / 255
        )
    if choice.background and library.catalog is not None:
        picture = _crop(open_picture(picture_named(library.catalog.backgrounds, choice.background)), size, rng)
    else:
        grid = int(rng.integers(2, 9))
        coarse = rng.uniform(0.1, 0.9) + rng.normal(0, 0.07, 3) + rng.normal(0, 0.06, (grid, grid, 3))
        picture = Image.fromarray((np.clip(coarse, 0, 1) * 255).astype(np.uint8)).resize(
            (size, size), Image.Resampling.BICUBIC
        )
    if choice.background_blur_px > 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(choice.background_blur_px))
    return np.asarray(picture, np.float32) / 255


def _crop(picture: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    """A random square of a photograph, mirrored half of the time."""
    picture = picture.convert("RGB")
    side = min(picture.size) * rng.uniform(0.45, 1.0)
    left, top = rng.uniform(0, picture.width - side), rng.uniform(0, picture.height - side)
    cut = picture.resize((size, size), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
    return cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else cut


def _tone_table(shoulder: float) -> Float[np.ndarray, " entries"]:
    """Display value of linear light from 0 to `_LUT_RANGE`: straight, then rolling off to white; sRGB-encoded."""
    linear = np.linspace(0, 1, _LUT_SIZE) ** 2 * _LUT_RANGE
    rolled = shoulder + (1 - shoulder) * (1 - np.exp(-(linear - shoulder) / (1 - shoulder)))
    return srgb_from_linear(np.where(linear < shoulder, linear, rolled))


def _toned(linear: np.ndarray, table: np.ndarray) -> UInt8[np.ndarray, "rows cols 3"]:
    position = np.sqrt(np.clip(linear, 0, _LUT_RANGE) / _LUT_RANGE) * (_LUT_SIZE - 1)
    return (table * 255 + 0.5).astype(np.uint8)[position.astype(np.int32)]


def _inverse_tone(display: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Linear light that the tone table shows as the given values."""
    steps = np.interp(np.arange(256) / 255.0, table, np.linspace(0, 1, _LUT_SIZE) ** 2 * _LUT_RANGE)
    return np.minimum(steps, 2.0).astype(np.float32)[(np.clip(display, 0, 1) * 255 + 0.5).astype(np.uint8)]
