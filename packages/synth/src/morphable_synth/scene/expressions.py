"""Plausible expressions: combinations of ARKit actions, lids, and gaze."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

_USUAL_SIDE, _USUAL_HEIGHT = (0.0, 0.36), (-0.06, 0.28)
"""Mean and standard deviation of the usual gaze sideways and upward, as shares of the eyeballs' range."""
_CLOSED_SHARE, _WINK_SHARE, _LOWERED_SHARE = 0.09, 0.05, 0.12
"""Shares of people with both lids shut, with one shut, and with both lowered part of the way."""
_WIDE_GAZE_SHARE = 0.35
"""Share of people whose gaze is drawn evenly over the eyeballs' whole range; the others look about ahead."""
_PARTED_SHARE = 0.2
"""Share of people with relaxed, parted lips."""
_LOPSIDED_SHARE = 0.3
"""Share of people whose actions that exist per side are clearly unequal."""


def sample_expression(rng: np.random.Generator, names: Sequence[str]) -> Float[np.ndarray, " expr"]:
    """Draw activations in [0, 1] for the named actions; names that this module lacks stay near zero."""
    kinds: list[tuple[float, Callable[[np.random.Generator], dict[str, float]]]] = [
        (0.17, _neutral), (0.36, _smile), (0.12, _talk), (0.06, _surprise), (0.06, _anger), (0.05, _sadness),
        (0.05, _pucker), (0.05, _disgust), (0.15, _mixed),
    ]  # fmt: skip
    shares = np.array([share for share, _ in kinds])
    values = kinds[int(rng.choice(len(kinds), p=shares / shares.sum()))][1](rng)
    values = _merge(values, _small_motions(rng))
    values = _merge(values, _lids(rng))
    values |= gaze_activations(*_gaze(rng))
    known = {name: value for name, value in _two_sided(rng, values).items() if name in names}
    out = np.clip([known.get(name, 0.0) for name in names], 0.0, 1.0).astype(np.float32)
    others = [k for k, name in enumerate(names) if name not in _ARKIT and rng.random() < 0.12]
    out[others] = rng.uniform(0.1, 0.6, len(others))
    return out


def gaze_activations(side: float, height: float) -> dict[str, float]:
    """Return eyeLook activations for a gaze of both eyes.

    Args:
        side: Gaze to the person's left, -1 (the end of the range to the right) to 1.
        height: Gaze upward, -1 to 1.
    """
    left, right = ("Out", "In") if side > 0 else ("In", "Out")
    vertical = "Up" if height > 0 else "Down"
    turn, lift = min(abs(side), 1.0), min(abs(height), 1.0)
    looks = {f"eyeLook{left}Left": turn, f"eyeLook{right}Right": turn}
    return looks | {f"eyeLook{vertical}Left": lift, f"eyeLook{vertical}Right": lift}


def _gaze(rng: np.random.Generator) -> tuple[float, float]:
    """Draw a gaze to the person's left and upward, in shares of the eyeballs' range."""
    if rng.random() < _WIDE_GAZE_SHARE:
        return float(rng.uniform(-1, 1)), float(rng.uniform(-1, 1))
    return float(rng.normal(*_USUAL_SIDE)), float(rng.normal(*_USUAL_HEIGHT))


def _neutral(rng: np.random.Generator) -> dict[str, float]:
    if rng.random() < _PARTED_SHARE:
        return {"jawOpen": rng.uniform(0.03, 0.25), "mouthLowerDown": rng.uniform(0.0, 0.25)}
    return {"jawOpen": max(rng.normal(0, 0.03), 0.0)}


def _smile(rng: np.random.Generator) -> dict[str, float]:
    strength = 0.2 + 0.8 * rng.uniform() ** 0.6  # people smile for photographs: broad smiles are the common ones
    teeth = rng.random() < 0.75
    return {
        "mouthSmile": strength,
        "cheekSquint": strength * rng.uniform(0.2, 0.8),
        "eyeSquint": strength * rng.uniform(0.0, 0.6),
        "mouthUpperUp": strength * rng.uniform(0.2, 0.7) if teeth else 0.0,
        "mouthLowerDown": strength * rng.uniform(0.0, 0.5) if teeth else 0.0,
        "jawOpen": strength * rng.uniform(0.0, 0.35) if teeth else 0.0,
        "mouthDimple": rng.uniform(0, 0.4),
        "mouthStretch": rng.uniform(0, 0.3) * strength,
    }


def _talk(rng: np.random.Generator) -> dict[str, float]:
    rounded = rng.random() < 0.4
    return {
        "jawOpen": rng.beta(1.5, 3.0) * 0.9,
        "mouthFunnel": rng.uniform(0, 0.6) * rounded,
        "mouthPucker": rng.uniform(0, 0.5) * rounded,
        "mouthStretch": rng.uniform(0, 0.5) * (not rounded),
        "mouthLowerDown": rng.uniform(0, 0.6),
        "mouthUpperUp": rng.uniform(0, 0.4),
        "mouthSmile": rng.uniform(0, 0.4),
    }


def _surprise(rng: np.random.Generator) -> dict[str, float]:
    strength = rng.uniform(0.3, 1.0)
    return {
        "browInnerUp": strength,
        "browOuterUp": strength * rng.uniform(0.5, 1.0),
        "eyeWide": strength,
        "jawOpen": strength * rng.uniform(0.1, 1.0),
        "mouthFunnel": rng.uniform(0, 0.3),
    }


def _anger(rng: np.random.Generator) -> dict[str, float]:
    strength = rng.uniform(0.3, 1.0)
    shout = rng.random() < 0.35
    return {
        "browDown": strength,
        "eyeSquint": strength * rng.uniform(0, 0.6),
        "noseSneer": strength * rng.uniform(0, 0.7),
        "mouthPress": 0.0 if shout else strength * rng.uniform(0, 0.8),
        "mouthFrown": strength * rng.uniform(0, 0.6),
        "jawOpen": rng.uniform(0.3, 0.9) if shout else 0.0,
        "mouthUpperUp": rng.uniform(0.2, 0.8) if shout else 0.0,
        "mouthLowerDown": rng.uniform(0.2, 0.8) if shout else 0.0,
    }


def _sadness(rng: np.random.Generator) -> dict[str, float]:
    strength = rng.uniform(0.3, 1.0)
    return {
        "browInnerUp": strength,
        "mouthFrown": strength * rng.uniform(0.3, 1.0),
        "mouthShrugLower": strength * rng.uniform(0, 0.6),
        "eyeSquint": rng.uniform(0, 0.3),
    }


def _pucker(rng: np.random.Generator) -> dict[str, float]:
    return {"mouthPucker": rng.uniform(0.3, 1.0), "mouthFunnel": rng.uniform(0, 0.4), "cheekPuff": rng.uniform(0, 0.5)}


def _disgust(rng: np.random.Generator) -> dict[str, float]:
    strength = rng.uniform(0.3, 1.0)
    return {
        "noseSneer": strength,
        "mouthUpperUp": strength * rng.uniform(0.2, 0.8),
        "browDown": strength * rng.uniform(0.2, 0.8),
        "eyeSquint": strength * 0.5,
        "cheekSquint": strength * 0.5,
    }


def _mixed(rng: np.random.Generator) -> dict[str, float]:
    active = [name for name in _GROUPS if rng.random() < 0.2]
    return {name: rng.uniform(0.1, 1.0) for name in active}


def _small_motions(rng: np.random.Generator) -> dict[str, float]:
    """Slight activity that every face shows."""
    return {name: abs(rng.normal(0, 0.07)) for name in _GROUPS if rng.random() < 0.35} | {
        "browInnerUp": abs(rng.normal(0, 0.12)),
        "browOuterUp": abs(rng.normal(0, 0.12)),
    }


def _lids(rng: np.random.Generator) -> dict[str, float]:
    """Blinks: mostly open, sometimes lowered or fully closed, now and then one eye."""
    draw = rng.random()
    if draw < _CLOSED_SHARE:
        return {"eyeBlink": rng.uniform(0.85, 1.0)}
    if draw < _CLOSED_SHARE + _WINK_SHARE:
        side = rng.choice(["Left", "Right"])
        other = rng.uniform(0.0, 0.3)
        return {
            f"eyeBlink{side}": rng.uniform(0.7, 1.0),
            "eyeBlink": other,
            f"cheekSquint{side}": rng.uniform(0.0, 0.9),
        }
    if draw < _CLOSED_SHARE + _WINK_SHARE + _LOWERED_SHARE:
        return {"eyeBlink": rng.uniform(0.2, 0.85)}
    return {"eyeBlink": rng.beta(1.0, 6.0) * 0.8}


def _merge(first: dict[str, float], second: dict[str, float]) -> dict[str, float]:
    return {name: max(first.get(name, 0.0), second.get(name, 0.0)) for name in {**first, **second}}


def _two_sided(rng: np.random.Generator, values: dict[str, float]) -> dict[str, float]:
    """Give actions that exist per side to both, slightly or (sometimes) clearly unequal."""
    lopsided = rng.random() < _LOPSIDED_SHARE
    out: dict[str, float] = {}
    for name, value in values.items():
        if name not in _PAIRED:
            out[name] = max(out.get(name, 0.0), value)
            continue
        spread = rng.uniform(0.3, 1.0) if lopsided and name != "eyeBlink" else abs(rng.normal(0, 0.06))
        weak = rng.choice(["Left", "Right"])
        for side in ("Left", "Right"):
            scaled = value * (1 - spread) if side == weak else value
            out[name + side] = max(out.get(name + side, 0.0), scaled)
    return out


_PAIRED = (
    "browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown",
    "mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer",
)  # fmt: skip
_SINGLE = (
    "browInnerUp", "cheekPuff", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthFunnel",
    "mouthLeft", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower",
    "mouthShrugUpper", "tongueOut",
)  # fmt: skip
_GROUPS = tuple(name for name in (*_PAIRED, *_SINGLE) if name not in ("eyeBlink", "tongueOut", "jawOpen", "mouthClose"))
_ARKIT = frozenset(
    [*(name + side for name in _PAIRED for side in ("Left", "Right")), *_SINGLE]
    + [f"eyeLook{way}{side}" for way in ("Up", "Down", "In", "Out") for side in ("Left", "Right")]
)
