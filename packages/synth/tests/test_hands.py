"""Hands: their anatomy, their place, and cameras that are turned."""

from dataclasses import replace

import numpy as np
import pytest

from morphable_synth import SceneConfig, render_scene, sample_scene
from morphable_synth.assets.library import load_library
from morphable_synth.assets.parts import part
from morphable_synth.people.hands import curled, hand_layers, left_arm
from morphable_synth.scene.description import Hand
from morphable_synth.scene.hands import sample_hands
from morphable_synth.scene.rolling import rolled

_HAND = Hand((0.0, 0.0, 0.6), np.diag([1.0, -1.0, -1.0]), 0.0, True, 0, (0.4, 0.25, 0.2))


def test_arm_is_a_closed_surface_of_the_length_of_a_forearm():
    arm = left_arm(load_library(None))
    triangles = arm.patch.triangles
    edges = np.sort(np.concatenate([triangles[:, [k, (k + 1) % 3]] for k in range(3)]), 1)
    _, count = np.unique(edges, axis=0, return_counts=True)
    assert (count == 2).mean() > 0.98  # the fan that closes the stump meets itself at its middle
    assert 0.35 < np.ptp(arm.xyz[:, 1]) < 0.5
    hand = arm.from_tip_m < 0.1
    assert np.ptp(arm.xyz[hand, 0]) > 1.5 * np.ptp(arm.xyz[hand, 2])


def test_straight_fingers_are_the_hand_at_rest_and_bent_ones_keep_the_wrist():
    arm = left_arm(load_library(None))
    np.testing.assert_allclose(curled(arm, 0.0), arm.xyz, atol=1e-7)
    bent, wrist = curled(arm, 1.5), arm.from_tip_m > 0.15
    np.testing.assert_allclose(bent[wrist], arm.xyz[wrist], atol=1e-7)
    tip = arm.from_tip_m.argmin()
    assert bent[tip, 2] - arm.xyz[tip, 2] > 0.03  # toward the palm


def test_hand_stands_where_it_is_put_and_covers_what_is_behind_it():
    layers = hand_layers(load_library(None), _HAND, None)
    assert [layer.name for layer in layers] == ["hand"]
    near = layers[0].xyz_cam[left_arm(load_library(None)).from_tip_m < 0.19]
    np.testing.assert_allclose(near.mean(0), _HAND.center_m, atol=1e-3)
    scene = sample_scene(4, 2, SceneConfig(size_px=128, layout="single", occluders=False))
    center = scene.people[0].translation_m * 0.7
    covered = replace(scene, hands=(replace(_HAND, center_m=tuple(float(v) for v in center)),))
    seen = render_scene(covered).part == part("occluder")
    assert seen.mean() > 0.1
    assert not (render_scene(scene).part == part("occluder")).any()


def test_sleeves_are_drawn_over_the_arm():
    layers = hand_layers(load_library(None), replace(_HAND, sleeve=(0.1, 0.2, 0.3)), None)
    assert [layer.name for layer in layers] == ["hand", "sleeve"]


def test_hands_lie_before_the_faces_they_cover():
    config, rng = SceneConfig(size_px=256, layout="single"), np.random.default_rng(0)
    people = sample_scene(3, 1, config).people
    found = [hand for _ in range(60) for hand in sample_hands(rng, config, people, 1015.0)]
    assert len(found) > 5
    assert all(hand.owner == 0 and hand.center_m[2] > 0.1 for hand in found)


@pytest.mark.parametrize("angle", [0.5 * np.pi, -2.0])
def test_turned_camera_turns_points_about_the_middle(angle: float):
    scene = sample_scene(8, 3, SceneConfig(size_px=128, layout="single", camera_effects=False, min_visible=0.0))
    plain, turned = render_scene(scene), render_scene(rolled(scene, angle))
    offset = plain.landmarks68_px[0] - 64
    cos, sin = np.cos(angle), np.sin(angle)
    expected = offset @ np.array([[cos, sin], [-sin, cos]]) + 64  # y points down: clockwise in the picture
    np.testing.assert_allclose(turned.landmarks68_px[0], expected, atol=2e-3)


def test_quarter_turn_turns_the_part_picture():
    config = SceneConfig(size_px=128, layout="single", camera_effects=False, occluders=False)
    scene = sample_scene(8, 3, config)
    plain, turned = render_scene(scene), render_scene(rolled(scene, np.pi / 2))
    assert (np.rot90(plain.part, -1) == turned.part).mean() > 0.99


def test_cut_faces_reach_over_the_border():
    config = SceneConfig(size_px=128, layout="single", cut_share=1.0)
    boxes = []
    for index in range(40):
        scene = sample_scene(2, index, config)
        person = scene.people[0]
        center = person.translation_m[:2] / person.translation_m[2] * scene.focal_px + 64
        boxes.append([*(center - person.face_px / 2), *(center + person.face_px / 2)])
    box = np.array(boxes)
    assert ((box[:, :2] < 0).any(1) | (box[:, 2:] > 128).any(1)).mean() > 0.9
