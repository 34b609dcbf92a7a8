"""Albedo: a procedural mean and 80 modes in sRGB, drawn on the template with soft masks; no foreign texture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .eyeballs import Sphere
from .parts import Masks, brow_mask
from .topology import Head

NUM_MODES = 80
SKIN = np.array([0.690, 0.525, 0.440])
MELANIN = np.array([-0.160, -0.148, -0.135])
"""One standard deviation toward darker skin: +-2 spans about (1.00, 0.82, 0.71) to (0.37, 0.23, 0.17)."""
BLOOD = np.array([0.005, -0.009, -0.007])
CAROTENE = np.array([0.004, 0.001, -0.014])
GREY = np.array([1.0, 1.0, 1.0])
HAIR = np.array([0.17, 0.115, 0.085])
LIP_SHIFT = np.array([-0.035, -0.125, -0.08])
IRIS = np.array([0.31, 0.22, 0.15])
SCLERA = np.array([0.83, 0.79, 0.76])
TEETH = np.array([0.82, 0.78, 0.70])
MUCOSA = np.array([0.50, 0.22, 0.21])
WAVE_AMPLITUDE = 0.02
"""Standard deviation of the slowest low-frequency brightness mode."""

Field = NDArray[np.float64]


@dataclass(frozen=True)
class Albedo:
    """Per base vertex, sRGB-encoded."""

    mean: Field
    basis: Field
    """Per standard deviation."""
    flip: Field
    names: tuple[str, ...]


@dataclass(frozen=True)
class Canvas:
    """Coordinates and masks of the skin vertices on the template."""

    x: Field
    y: Field
    z: Field
    masks: Masks
    lips: Field
    inner: Field
    """Mouth cavity."""
    tongue: Field
    teeth: Field
    lid: Field
    """Inner lids and lid margin."""

    @property
    def skin(self) -> Field:
        """1 outside, 0 in the mouth."""
        return 1.0 - np.maximum.reduce([self.inner, self.tongue, self.teeth])

    def spot(self, x: float, y: float, z: float, radius: float, *, both: bool = True) -> Field:
        """A soft round spot of the given radius (metres), on both sides of the face."""
        side = np.abs(self.x) if both else self.x
        squared = (side - x) ** 2 + (self.y - y) ** 2 + (self.z - z) ** 2
        return np.exp(-0.5 * squared / radius**2) * self.skin

    def beard(self) -> Field:
        """Chin, jaw and moustache area."""
        front = np.clip((self.z - 0.035) / 0.02, 0.0, 1.0)
        top = np.interp(np.abs(self.x), [0.0, 0.02, 0.035, 0.05, 0.075], [0.681, 0.680, 0.664, 0.664, 0.70])
        below = np.clip((top - self.y) / 0.008 + 0.5, 0.0, 1.0)
        neck = np.clip((self.y - 0.585) / 0.02, 0.0, 1.0)
        return front * below * neck * (1 - self.lips) * self.skin * (1 - self.masks.nose)


def make_canvas(head: Head, masks: Masks) -> Canvas:
    """Read zones off the quads."""
    n = len(head.template)

    def zone(*names: str) -> Field:
        return np.isin(np.arange(n), head.quads[np.isin(head.zone, names)]).astype(float)

    ring = masks.mouth_ring.astype(float)
    inner = zone("mouth_cavity")
    inner[masks.mouth_ring == 0] = 0.5
    x, y, z = head.template.T
    return Canvas(
        x=x, y=y, z=z, masks=masks, lips=np.clip((6.8 - ring) / 1.3, 0.0, 1.0) * (1 - inner), inner=inner,
        tongue=zone("helper-tongue"), teeth=zone("helper-upper-teeth", "helper-lower-teeth"),
        lid=zone("eye_cavity_left", "eye_cavity_right"),
    )  # fmt: skip


def build_albedo(head: Head, masks: Masks, sphere: Sphere, mirror: NDArray[np.int64]) -> Albedo:
    """Mean and modes for skin vertices followed by the left and the right eyeball."""
    canvas = make_canvas(head, masks)
    modes = _skin_modes(canvas) | _feature_modes(canvas)
    eyes = _eye_modes(sphere)
    names = [*modes, *eyes]
    skin = np.stack([*modes.values(), *(np.zeros((len(canvas.x), 3)) for _ in eyes)])
    ball = np.stack([*(np.zeros((len(sphere.points), 3)) for _ in modes), *eyes.values()])
    count = NUM_MODES - len(names)
    waves, wave_names = _waves(canvas, count)
    skin = np.concatenate([skin, waves])
    ball = np.concatenate([ball, np.zeros((count, len(sphere.points), 3))])
    basis = np.concatenate([skin, ball, ball], axis=1)
    mirrored = basis[:, mirror]
    agreement = np.sign((basis * mirrored).sum((1, 2)))
    basis = 0.5 * (basis + agreement[:, None, None] * mirrored)
    mean_ball = _eye_mean(sphere)
    mean = np.concatenate([_mean_skin(canvas), mean_ball, mean_ball])
    return Albedo(0.5 * (mean + mean[mirror]), basis, agreement, (*names, *wave_names))


def _blend(field: Field, colour: Field, share: Field) -> Field:
    return field * (1 - share[:, None]) + colour * share[:, None]


def _mean_skin(c: Canvas) -> Field:
    """An average adult: medium skin, brown short hair, brown brows, natural lips."""
    colour = np.tile(SKIN, (len(c.x), 1))
    ruddy = c.spot(0.035, 0.69, 0.12, 0.018) + 0.8 * c.spot(0.0, 0.69, 0.165, 0.012) + 0.6 * c.masks.ears
    colour += 2.6 * ruddy[:, None] * BLOOD
    colour += c.lips[:, None] * LIP_SHIFT
    colour -= 0.035 * c.spot(0.03, 0.736, 0.13, 0.008)[:, None]
    colour -= 0.02 * c.spot(0.026, 0.713, 0.135, 0.008)[:, None]
    colour = _blend(colour, HAIR, 0.75 * c.masks.scalp)
    colour = _blend(colour, HAIR, 0.62 * np.sqrt(c.masks.brows))
    colour = _blend(colour, SKIN * [1.0, 0.85, 0.8], 0.6 * c.lid)
    colour -= 0.25 * _nostrils(c)[:, None]
    colour = _blend(colour, MUCOSA * 0.55, c.inner)
    colour = _blend(colour, MUCOSA * [1.25, 1.35, 1.3], c.tongue)
    return _blend(colour, TEETH, c.teeth)


def _nostrils(c: Canvas) -> Field:
    """Dark insides of the nostrils."""
    return c.spot(0.0065, 0.684, 0.149, 0.0035)


def _skin_modes(c: Canvas) -> dict[str, Field]:
    """Pigments of the whole skin and its larger parts."""
    keep = c.skin * (1 - 0.55 * c.masks.scalp) * (1 - 0.4 * np.sqrt(c.masks.brows))
    lips = c.lips[:, None]
    melanin = keep[:, None] * (MELANIN * (1 - lips) + MELANIN * [0.85, 0.68, 0.75] * lips)
    cheeks, nose_tip = c.spot(0.038, 0.69, 0.115, 0.018), c.spot(0.0, 0.69, 0.166, 0.010)
    forehead, chin = c.spot(0.0, 0.765, 0.14, 0.03), c.spot(0.0, 0.625, 0.15, 0.016)
    bare = keep[:, None]
    return {
        "melanin": melanin,
        "blood": bare * BLOOD,
        "carotene": bare * CAROTENE,
        "pallor": bare * np.array([0.006, 0.010, 0.012]),
        "ruddy cheeks": cheeks[:, None] * BLOOD * 2.8,
        "red nose": (nose_tip + 0.3 * cheeks)[:, None] * BLOOD * 2.8,
        "red ears": c.masks.ears[:, None] * BLOOD * 2.2,
        "forehead tone": forehead[:, None] * GREY * 0.022,
        "chin tone": chin[:, None] * GREY * 0.02,
        "neck tone": (c.masks.neck * c.skin)[:, None] * np.array([-0.03, -0.028, -0.024]),
        "pale cheeks": cheeks[:, None] * GREY * 0.022,
        "aged: eye rings": c.spot(0.027, 0.714, 0.136, 0.008)[:, None] * np.array([-0.035, -0.045, -0.035]),
        "aged: eye sockets": c.spot(0.030, 0.731, 0.13, 0.014)[:, None] * np.array([-0.03, -0.036, -0.032]),
        "aged: mouth folds": c.spot(0.027, 0.677, 0.14, 0.007)[:, None] * np.array([-0.022, -0.025, -0.022]),
        "aged: temples": c.spot(0.062, 0.745, 0.09, 0.012)[:, None] * np.array([-0.025, -0.026, -0.022]),
    }


def _feature_modes(c: Canvas) -> dict[str, Field]:
    """Lips, brows, hair, beard, make-up, mouth."""
    lips, beard = c.lips[:, None], c.beard()[:, None]
    side = np.abs(c.x)
    raised = [brow_mask(side, c.y - dy, c.z) for dy in (0.003, -0.003)]
    inner = np.clip((0.03 - side) / 0.015, 0.0, 1.0)
    brows = np.sqrt(c.masks.brows)[:, None]
    moustache = beard * np.exp(-0.5 * ((c.y - 0.676) / 0.006) ** 2 - 0.5 * (side / 0.02) ** 2)[:, None]
    goatee = beard * np.exp(-0.5 * ((c.y - 0.63) / 0.018) ** 2 - 0.5 * (side / 0.018) ** 2)[:, None]
    whiskers = beard * np.clip((side - 0.04) / 0.015, 0.0, 1.0)[:, None]
    upper_lid = (c.spot(0.031, 0.737, 0.138, 0.0065) * (c.y > 0.729))[:, None]
    lashes = (c.lid * 0.6 + c.spot(0.031, 0.7345, 0.139, 0.004))[:, None]
    upper_lips = lips * c.masks.upper[:, None]
    return {
        "lip redness": lips * np.array([0.03, -0.028, -0.012]),
        "lip darkness": lips * np.array([-0.055, -0.04, -0.035]),
        "lip pink or brown": lips * np.array([0.01, -0.005, 0.018]),
        "upper lip shade": upper_lips * GREY * -0.025,
        "brow darkness": brows * np.array([-0.07, -0.062, -0.052]),
        "brow redness": brows * np.array([0.025, 0.002, -0.014]),
        "brow height": (np.sqrt(raised[0]) - np.sqrt(raised[1]))[:, None] * -0.10 * GREY,
        "brow thickness": (np.sqrt(raised[0]) + np.sqrt(raised[1]) - 1.6 * brows[:, 0])[:, None] * -0.07 * GREY,
        "brow inner end": brows * inner[:, None] * -0.07 * GREY,
        "hair darkness": c.masks.scalp[:, None] * np.array([-0.12, -0.11, -0.10]),
        "hair redness": c.masks.scalp[:, None] * np.array([0.03, 0.006, -0.012]),
        "stubble": beard * np.array([-0.055, -0.048, -0.036]),
        "moustache": moustache * np.array([-0.07, -0.065, -0.055]),
        "goatee": goatee * np.array([-0.06, -0.055, -0.045]),
        "whiskers": whiskers * np.array([-0.05, -0.045, -0.037]),
        "make-up: lids": upper_lid * np.array([-0.05, -0.06, -0.03]),
        "make-up: lashes": lashes * np.array([-0.09, -0.085, -0.08]),
        "make-up: blush": c.spot(0.045, 0.695, 0.105, 0.013)[:, None] * np.array([0.02, -0.028, -0.012]),
        "nostril shade": _nostrils(c)[:, None] * GREY * -0.05,
        "inner mouth": (c.inner + c.tongue)[:, None] * np.array([0.05, 0.03, 0.03]),
        "teeth shade": c.teeth[:, None] * np.array([0.045, 0.05, 0.06]),
    }


def _eye_mean(sphere: Sphere) -> Field:
    """Pupil, iris with a dark rim, sclera."""
    degrees = np.degrees(sphere.polar)
    colour = np.tile(SCLERA, (len(degrees), 1))
    colour[degrees < 35] = SCLERA * 0.93
    colour[degrees < 29] = IRIS
    colour[(degrees > 26) & (degrees < 29)] = IRIS * 0.6
    colour[degrees < 12] = 0.03
    return colour


def _eye_modes(sphere: Sphere) -> dict[str, Field]:
    degrees = np.degrees(sphere.polar)
    iris = ((degrees > 12) & (degrees < 29)).astype(float)[:, None] * np.where(degrees > 26, 0.6, 1.0)[:, None]
    sclera = (degrees > 29).astype(float)[:, None]
    return {
        "iris lightness": iris * np.array([0.09, 0.085, 0.075]),
        "iris blue or brown": iris * np.array([-0.05, 0.03, 0.09]),
        "iris green": iris * np.array([-0.02, 0.045, -0.02]),
        "sclera shade": sclera * GREY * 0.05,
        "sclera redness": sclera * np.array([0.0, -0.03, -0.03]),
    }


def _waves(c: Canvas, count: int) -> tuple[Field, list[str]]:
    """Smooth colour variation: products of cosines over the face, slow ones strongest, in three colour directions."""
    u, v = np.arctan2(c.x, c.z - 0.03) / 1.2, (c.y - 0.70) / 0.10
    colours = (("light", GREY), ("red-green", np.array([0.7, -0.6, -0.3])), ("blue-yellow", np.array([0.3, 0.2, -0.9])))
    window = c.skin * (1 - 0.8 * c.masks.scalp)
    orders = sorted(((i, j) for i in range(6) for j in range(6) if 0 < i + j < 6), key=lambda o: (o[0] + o[1], o[0]))
    fields, names = [], []
    for i, j in orders:
        across = np.cos(i * np.pi / 2 * u) if i % 2 == 0 else np.sin((i + 1) / 2 * np.pi / 2 * u)
        along = np.cos(j * np.pi / 2 * (np.clip(v, -1.5, 1.5) + 1))
        for name, colour in colours:
            amplitude = WAVE_AMPLITUDE / (i + j) * (1.0 if name == "light" else 0.2)
            fields.append((window * across * along)[:, None] * colour * amplitude)
            names.append(f"wave {i}{j} {name}")
    return np.stack(fields[:count]), names[:count]
