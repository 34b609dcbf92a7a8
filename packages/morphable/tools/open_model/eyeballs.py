"""Eyeballs: spheres that rest against the lids of every sampled person and turn with the gaze."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SEGMENTS = 16
RING_DEGREES = (5.5, 11.0, 12.5, 19.0, 27.0, 29.5, 38.0, 50.0, 65.0, 82.0, 100.0)
"""Polar angles of the rings about the optical axis; the pupil ends at 11-12.5, the iris at 27-29.5 degrees."""
RADIUS_M = 0.0125
LID_CLEARANCE_M = 0.0001
GAZE_DEGREES = {"eyeLookUp": 25.0, "eyeLookDown": 30.0, "eyeLookIn": 35.0, "eyeLookOut": 35.0}


@dataclass(frozen=True)
class Sphere:
    """The front of a unit sphere about +z, triangulated."""

    points: NDArray[np.float64]
    triangles: NDArray[np.int64]
    mirror: NDArray[np.int64]
    polar: NDArray[np.float64]
    """Angle from the optical axis per vertex, radians."""


def unit_sphere() -> Sphere:
    """Pole first, then ring after ring; open behind."""
    polar = np.radians(np.concatenate([[0.0], np.repeat(RING_DEGREES, SEGMENTS)]))
    azimuth = np.concatenate([[0.0], np.tile(2 * np.pi * np.arange(SEGMENTS) / SEGMENTS, len(RING_DEGREES))])
    points = np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=1)
    k = np.arange(SEGMENTS)
    following = (k + 1) % SEGMENTS
    triangles = [np.stack([np.zeros_like(k), 1 + k, 1 + following], axis=1)]
    for ring in range(len(RING_DEGREES) - 1):
        inner, outer = 1 + ring * SEGMENTS, 1 + (ring + 1) * SEGMENTS
        triangles.append(np.stack([inner + k, outer + k, outer + following], axis=1))
        triangles.append(np.stack([inner + k, outer + following, inner + following], axis=1))
    flipped = (SEGMENTS // 2 - k) % SEGMENTS
    mirror = np.concatenate([[0], *(1 + r * SEGMENTS + flipped for r in range(len(RING_DEGREES)))])
    return Sphere(points, np.concatenate(triangles), mirror, polar)


def rest_against_lids(
    lids: NDArray[np.float64], guess: NDArray[np.float64], radius: float = RADIUS_M
) -> NDArray[np.float64]:
    """Center of the eyeball: between the guess and the middle of the lids, as far forward as they allow.

    Args:
        lids: (n, 3) points of the lid margin.
        guess: (3,) center of MakeHuman's eye helper.
        radius: Of the sphere, meters.
    """
    middle = 0.5 * guess[:2] + 0.25 * (lids[:, :2].min(0) + lids[:, :2].max(0))
    sideways = np.sum((lids[:, :2] - middle) ** 2, axis=1)
    reach = (radius + LID_CLEARANCE_M) ** 2 - sideways
    touching = reach > 0
    depth = np.min(lids[touching, 2] - np.sqrt(reach[touching]))
    return np.array([*middle, depth])


def gaze_rotation(action: str) -> NDArray[np.float64]:
    """Rotation matrix of an eyeball at full activation, e.g. of `eyeLookInLeft`."""
    name, side = (action[:-4], 1.0) if action.endswith("Left") else (action[:-5], -1.0)
    angle = np.radians(GAZE_DEGREES[name])
    if name in ("eyeLookUp", "eyeLookDown"):
        angle = -angle if name == "eyeLookUp" else angle
        c, s = np.cos(angle), np.sin(angle)
        return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
    angle *= side * (1.0 if name == "eyeLookOut" else -1.0)
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
