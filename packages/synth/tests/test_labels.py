"""Labels agree with the picture and with each other."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import morphable
from morphable.geometry import camera_from_model
from morphable_render import rasterize
from morphable_render.rasterization import Fragments
from morphable_synth import SceneConfig, render_scene, sample_scene
from morphable_synth.assets.parts import PART_NAMES
from morphable_synth.rendering.labels import Sample
from morphable_synth.scene.description import Scene


def test_points_follow_from_the_coefficients(single: Sample):
    model = morphable.load_model("open")
    vertices = model.decode_shape(torch.from_numpy(single.identity), torch.from_numpy(single.expression))
    points = model.landmarks(vertices)[0].numpy()
    placed = points @ (np.diag([1.0, -1.0, -1.0]) @ single.rotation_head[0]).T + single.translation_m[0]
    np.testing.assert_allclose(single.landmarks68_cam_m[0], placed, atol=1e-5)
    pixels = 1015.0 * placed[:, :2] / placed[:, 2:] + 80.0
    np.testing.assert_allclose(single.landmarks68_px[0], pixels, atol=1e-2)


def test_profile_share_is_the_share_of_heads_turned_to_a_side():
    def sines(share: float) -> np.ndarray:
        config = SceneConfig(layout="single", size_px=96, profile_share=share)
        heads = [sample_scene(9, k, config).people[0].rotation_head for k in range(60)]
        return np.abs([head[0, 2] for head in heads])  # of the yaw

    assert sines(1.0).min() > np.sin(np.radians(39.9))
    assert np.mean(sines(0.0) > np.sin(np.radians(61.0))) < 0.05


def test_a_longer_lens_moves_people_away_and_keeps_their_size():
    """At three times the focal length the face is three times as far, and its points follow from that camera."""
    config = SceneConfig(layout="single", size_px=96, lens=(3.0, 3.0))
    near, far = (sample_scene(5, 1, replace(config, lens=lens)) for lens in ((1.0, 1.0), config.lens))
    assert far.focal_px == 3 * near.focal_px == 3045.0
    np.testing.assert_allclose(far.people[0].translation_m, near.people[0].translation_m * [1, 1, 3], rtol=1e-5)
    sample = render_scene(far)
    points = sample.landmarks68_cam_m[0]
    assert sample.focal_px == 3045.0
    np.testing.assert_allclose(sample.landmarks68_px[0], 3045.0 * points[:, :2] / points[:, 2:] + 48.0, atol=1e-2)
    seen = sample.landmark_visible[0]
    assert seen.sum() > 20
    drawn = np.array([sample_scene(7, k, replace(config, lens=(0.5, 4.0))).focal_px for k in range(50)]) / 1015.0
    assert 0.5 <= drawn.min() < 0.8
    assert 3.0 < drawn.max() <= 4.0


def test_box_is_tight_and_centre_is_its_middle(group: Sample):
    for box, center, points in zip(group.box_xyxy_px, group.center_px, group.landmarks68_px, strict=True):
        np.testing.assert_allclose(box, [*points.min(0), *points.max(0)])
        np.testing.assert_allclose(center, (box[:2] + box[2:]) / 2, rtol=1e-6)


@pytest.mark.parametrize("kind", ["single", "group"])
def test_seen_points_lie_on_their_own_face_and_hidden_ones_behind_what_is_seen(
    kind: str, request: pytest.FixtureRequest
):
    sample: Sample = request.getfixturevalue(kind)
    side = len(sample.image)
    for face, points_px in enumerate(sample.landmarks68_px):
        inside = ((points_px >= 0) & (points_px < side)).all(1)
        col, row = np.floor(points_px[inside]).astype(int).T
        seen, depth = sample.landmark_visible[face][inside], sample.depth_m[row, col]
        behind_m = sample.landmarks68_cam_m[face][inside, 2] - depth
        assert 20 < seen.sum() < 68
        own = sample.face_index[row, col][seen] == face  # points on the very outline may fall on another pixel
        assert own.mean() > 0.9
        assert np.abs(np.median(behind_m[seen])) < 0.001
        assert np.quantile(np.abs(behind_m[seen][own]), 0.9) < 0.007
        assert (depth[~seen] > 0).all()
        assert (behind_m[~seen] > 0.005).all()


def test_pixel_labels_are_consistent(group: Sample):
    assert group.part.max() < len(PART_NAMES)
    assert ((group.part == 0) == (group.depth_m == 0))[group.part != PART_NAMES.index("hair")].all()
    assert (group.face_index[group.skin_mask] >= 0).all()
    assert set(np.unique(group.face_index)) == {-1, 0, 1, 2}


def test_rerendered_model_overlaps_the_visible_skin(single: Sample):
    """Where nothing occludes, the labeled mesh covers the skin mask (intersection over union at least 0.9)."""
    model = morphable.load_model("open")
    vertices = model.decode_shape(torch.from_numpy(single.identity), torch.from_numpy(single.expression))
    cam = camera_from_model(vertices, torch.from_numpy(single.rotation_head), torch.from_numpy(single.translation_m))
    fragments = rasterize(cam, model.triangles, focal_px=1015.0, size_hw=(160, 160))
    skin = model.region("skin")[model.triangles].all(-1)
    drawn = (fragments.mask & skin[fragments.triangle.clamp(min=0)])[0].numpy()
    hair = single.part == PART_NAMES.index("hair")
    both, either = (drawn & single.skin_mask & ~hair), ((drawn | single.skin_mask) & ~hair)
    assert both.sum() / either.sum() >= 0.9
    corners = cam[0, model.triangles][fragments.triangle[0][both]]
    drawn_m = (fragments.barycentric[0][both][..., None] * corners).sum(1)[:, 2].numpy()
    difference = np.abs(drawn_m - single.depth_m[both])
    assert np.quantile(difference, 0.99) < 0.002


def test_the_inside_of_the_mouth_hardly_ever_pierces_the_skin():
    """Seen from the front beside the lips; before the lining was set back, every fifteenth face showed it."""
    model, config = morphable.load_model("open"), SceneConfig(layout="single", size_px=64)
    people = [sample_scene(8, k, config).people[0] for k in range(120)]
    label = model.part_labels

    def picture(names: tuple[str, ...], vertices_cam: torch.Tensor) -> Fragments:
        parts = torch.tensor([model.part_names.index(name) for name in names])
        return rasterize(vertices_cam, model.triangles[torch.isin(label, parts)], focal_px=1200.0, size_hw=(256, 256))

    pierced = 0
    for person in people:
        vertices = model.decode_shape(
            torch.from_numpy(person.identity)[None], torch.from_numpy(person.expression)[None]
        )
        cam = camera_from_model(vertices, torch.eye(3)[None], torch.tensor([[0.0, 0.0, 1.0]]))
        skin, inside = picture(("skin", "nose", "neck"), cam), picture(("inner_mouth",), cam)
        before = skin.mask & inside.mask & ~picture(("upper_lip", "lower_lip"), cam).mask
        stands_out_m = (skin.depth_m - inside.depth_m)[before]
        pierced += int(((stands_out_m > 0) & (stands_out_m < 0.02)).sum() > 2)
    assert pierced <= 3


def test_same_scene_twice_is_the_same_picture(single: Sample, single_scene: Scene):
    again = render_scene(single_scene)
    np.testing.assert_array_equal(again.image, single.image)
    np.testing.assert_array_equal(again.part, single.part)
