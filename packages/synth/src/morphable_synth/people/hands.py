"""Hands and forearms of the base mesh, posed before faces or beside them."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Float

from morphable_synth.assets.library import Library
from morphable_synth.assets.parts import part
from morphable_synth.assets.patches import Patch, patch_of
from morphable_synth.people.layers import SKIN_WRAP, Layer, Material, vertex_normals
from morphable_synth.people.person import body_material
from morphable_synth.scene.description import Hand, Person

_ARM_M, _HAND_M = 0.42, 0.19
"""Length of what is drawn, and of a hand, from the tip of the middle finger."""
_KNUCKLES_M, _FINGER_M = 0.105, 0.1
"""Distance from the fingertip at which fingers begin to bend, and the length over which they do."""
_SLEEVE_FROM_M, _SLEEVE_M = 0.24, 0.007
"""Where a sleeve begins, from the fingertip, and how far it stands off."""
_SIDE_SLACK_M, _ARM_RADIUS_M = 0.02, 0.10
_BESIDE_M = 0.15
"""The left arm lies farther to the left than this."""
_FOREARM_M = 0.22, 0.34
"""Distances from the fingertips between which the forearm gives the direction of the arm."""


@dataclass(frozen=True)
class Arm:
    """The person's left forearm and hand at rest: fingers along +y, the palm toward +z, the middle of the hand at 0."""

    xyz: Float[np.ndarray, "verts 3"]
    from_tip_m: Float[np.ndarray, " verts"]
    """Distance from the tip of the middle finger along the hand."""
    patch: Patch
    """Triangles, and the numbers of the vertices in the base mesh."""
    sleeved: Bool[np.ndarray, " tris"]
    """Triangles that a sleeve covers."""


def hand_layers(library: Library, hand: Hand, person: Person | None) -> list[Layer]:
    """Return a hand with its forearm, in the skin of a person or, without assets, in a plain tone.

    Args:
        library: Base mesh and skins.
        hand: What to draw.
        person: Whose skin it has; None for nobody's.
    """
    arm = left_arm(library)
    xyz = curled(arm, hand.curl) * (1.0 if hand.left else np.array([-1.0, 1.0, 1.0], np.float32))
    placed = np.asarray(xyz @ np.array(hand.rotation, np.float32).T + np.array(hand.center_m, np.float32), np.float32)
    triangles = arm.patch.triangles if hand.left else arm.patch.triangles[:, ::-1]
    corner_uv = arm.patch.corner_uv if hand.left else arm.patch.corner_uv[:, ::-1]
    normal = vertex_normals(placed, triangles)
    material, tint = Material(specular=(0.025, 2.0)), hand.tone
    if library.catalog is not None and person is not None:
        material, tint = body_material(library, person), (1.0, 1.0, 1.0)
    label = part("occluder")
    shape = np.ascontiguousarray(triangles), np.ascontiguousarray(corner_uv)
    layers = [Layer("hand", placed, *shape, label, material, tint, normal, wrap=SKIN_WRAP)]
    if hand.sleeve is not None:
        cloth = np.ascontiguousarray(triangles[arm.sleeved])
        swollen = np.asarray(placed + _SLEEVE_M * normal, np.float32)
        layers.append(Layer("sleeve", swollen, cloth, None, label, Material(specular=(0.01, 2.0)), hand.sleeve))
    return layers


def curled(arm: Arm, curl: float) -> Float[np.ndarray, "verts 3"]:
    """Return the arm with its fingers bent toward the palm.

    Args:
        arm: At rest.
        curl: Turn of the fingertips, radians.
    """
    along = np.clip((_KNUCKLES_M - arm.from_tip_m) / _FINGER_M, 0.0, None)
    start = arm.xyz[:, 1].max() - _KNUCKLES_M
    beyond = np.maximum(arm.xyz[:, 1] - start, 0.0)
    turn = curl * np.minimum(along, 1.0)
    safe = np.where(np.abs(turn) < 1e-6, 1.0, turn)
    # a stretch of constant curvature: sin(t) / t forward, (1 - cos(t)) / t toward the palm
    forward = np.where(np.abs(turn) < 1e-6, beyond, beyond * np.sin(safe) / safe)
    inward = np.where(np.abs(turn) < 1e-6, 0.0, beyond * (1 - np.cos(safe)) / safe)
    y = np.minimum(arm.xyz[:, 1], start) + forward - arm.xyz[:, 2] * np.sin(turn) * (beyond > 0)
    z = arm.xyz[:, 2] * np.where(beyond > 0, np.cos(turn), 1.0) + inward
    return np.asarray(np.stack([arm.xyz[:, 0], y, z], -1), np.float32)


def _connected(triangles: np.ndarray, among: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Triangles that hang together with the start vertices by triangles of a set."""
    inside = start.copy()
    reached = -1
    while int(inside.sum()) > reached:
        reached = int(inside.sum())
        inside[triangles[among & inside[triangles].any(1)]] = True
    return among & inside[triangles].any(1)


def _stump(patch: Patch, xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles that close the open end of an arm, and their texture coordinates: its edges lead to one vertex."""
    triangles, uv = patch.triangles, patch.corner_uv
    edges = np.concatenate([triangles[:, [k, (k + 1) % 3]] for k in range(3)])
    edge_uv = np.concatenate([uv[:, [k, (k + 1) % 3]] for k in range(3)])
    key, back = edges.astype(np.int64) @ [len(xyz), 1], edges[:, ::-1].astype(np.int64) @ [len(xyz), 1]
    open_edge = ~np.isin(key, back)
    rim, rim_uv = edges[open_edge], edge_uv[open_edge]
    middle = rim[np.linalg.norm(xyz[rim[:, 0]] - xyz[rim].mean((0, 1)), axis=1).argmin(), 0]
    closing = np.column_stack([rim[:, ::-1], np.full(len(rim), middle)])
    whole = (closing[:, 0] != middle) & (closing[:, 1] != middle)
    closing_uv = np.concatenate([rim_uv[:, ::-1], rim_uv[:, :1]], 1)
    return closing[whole].astype(np.int32), closing_uv[whole].astype(np.float32)


@cache
def left_arm(library: Library) -> Arm:
    """Cut the left forearm off the mean body and turn it upright."""
    zero = np.zeros(library.model.num_identity, np.float32)
    decoded = library.decode(zero[None], np.zeros((1, library.model.num_expression), np.float32))[0]
    body, triangles = library.hm08.resting(zero, decoded), library.hm08.skin_triangles
    used = np.unique(triangles)
    left = used[body[used, 0] > _BESIDE_M]
    tip = body[left[np.argmax(body[left, 2])]]  # the arms hang, the forearms point forward
    distance = np.linalg.norm(body - tip, axis=1)
    forearm = body[(distance > _FOREARM_M[0]) & (distance < _FOREARM_M[1]) & (body[:, 0] > _BESIDE_M)]
    axis = tip - np.median(forearm, 0)
    axis /= np.linalg.norm(axis)
    along = (body - tip) @ axis
    aside = np.linalg.norm(body - tip - along[:, None] * axis, axis=1)
    near = (along > -_ARM_M) & (aside < _ARM_RADIUS_M)
    chosen = _connected(triangles, near[triangles].all(1), distance < _SIDE_SLACK_M)  # a thigh is near a hanging hand
    patch = patch_of(triangles, library.hm08.skin_corner_uv, chosen)
    xyz = body[patch.vertices]
    tip = tip + axis * ((xyz - tip) @ axis).max()
    hand = xyz[(tip - xyz) @ axis < _HAND_M]
    # across a flat hand the spread is largest, through the palm smallest
    across = np.linalg.svd((hand - hand.mean(0)) - np.outer((hand - hand.mean(0)) @ axis, axis))[2][0]
    across *= np.sign(across[2]) or 1.0  # the thumb of a lowered arm points forward
    palm = np.cross(across, axis)
    turned = (xyz - tip) @ np.stack([across, axis, palm], -1)
    middle = turned[turned[:, 1] > -_HAND_M].mean(0)
    closing, closing_uv = _stump(patch, xyz)
    patch = Patch(
        patch.vertices,
        np.concatenate([patch.triangles, closing]),
        np.concatenate([patch.corner_uv, closing_uv]),
    )
    from_tip = -turned[:, 1]
    sleeved = from_tip[patch.triangles].min(1) > _SLEEVE_FROM_M
    return Arm(np.asarray(turned - middle, np.float32), np.asarray(from_tip, np.float32), patch, sleeved)
