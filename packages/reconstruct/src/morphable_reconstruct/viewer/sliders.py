"""Which sliders the page shows: expressions by the part of the face they move, with whole names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

GROUPS = {"Brows": ("brow",), "Eyes": ("eye",), "Mouth": ("mouth", "tongue"), "Jaw": ("jaw",)}
"""Beginnings of the names in each group."""
REST = "Cheeks, nose, neck"
MOVED_ASIDE = ("jaw", "mouth")
"""What moves to one side as a whole: its two sides are no pair."""
_SIDES = ("Left", "Right")


@dataclass(frozen=True)
class ExpressionSlider:
    """One slider."""

    group: str
    label: str
    names: tuple[str, ...]
    """The expressions it moves: one, or both sides' at once."""


def expression_sliders(names: Sequence[str], *, symmetric: bool) -> list[ExpressionSlider]:
    """List the sliders of a face model's expressions, in groups.

    Args:
        names: Names of the expressions.
        symmetric: One slider moves both sides.

    >>> [slider.label for slider in expression_sliders(("eyeBlinkLeft", "eyeBlinkRight", "jawOpen"), symmetric=True)]
    ['Eye blink', 'Jaw open']
    >>> expression_sliders(("mouthLeft", "mouthRight"), symmetric=True)[0]
    ExpressionSlider(group='Mouth', label='Mouth left', names=('mouthLeft',))
    """
    known, sliders = set(names), []
    for name in names:
        moved: tuple[str, ...] = (name,)
        stem, side = _split(name)
        if symmetric and side and stem + _SIDES[0] in known and stem + _SIDES[1] in known:
            if side == _SIDES[1]:
                continue
            name, moved = stem, tuple(stem + each for each in _SIDES)
        sliders.append(ExpressionSlider(_group(name), _label(name), moved))
    order = [*GROUPS, REST]
    return sorted(sliders, key=lambda slider: order.index(slider.group))


def _split(name: str) -> tuple[str, str]:
    """Stem and side of a name; no side where the whole part moves aside."""
    for side in _SIDES:
        if name.endswith(side) and name.removesuffix(side) not in MOVED_ASIDE:
            return name.removesuffix(side), side
    return name, ""


def _group(name: str) -> str:
    """The group of an expression."""
    return next((group for group, starts in GROUPS.items() if name.startswith(starts)), REST)


def _label(name: str) -> str:
    """A name in words."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").capitalize()
