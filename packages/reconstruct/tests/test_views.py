"""Views show places and sizes as they are, and heads as large as they fit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from stand_ins import with_faces
from test_exports import make_scene

import morphable
from morphable_reconstruct.drawing.colors import (
    DEPTH_M,
    LID_SHADOW,
    REACH,
    SHUT_GAP_M,
    TEETH_RGB,
    crown_share,
    drawn_albedo,
    lid_shadow,
    mouth_light,
)
from morphable_reconstruct.drawing.views import VIEW_NAMES, join_views, render_view


def lined_up(model, places_m):
    """The same head several times."""
    scene = make_scene(model, count=1)
    return with_faces(scene.take(np.zeros(len(places_m), np.int64)), translation_m=torch.tensor(places_m))


def spans(picture, axis):
    """First and last pixel, plus one, of every run of drawn rows (axis 0) or columns (axis 1)."""
    drawn = np.r_[False, (picture < 255).any(axis=(1 - axis, 2)), False]
    edges = np.flatnonzero(drawn[1:] != drawn[:-1])
    return edges.reshape(-1, 2)


def test_depths_and_sizes_keep_their_ratios(model):
    # centers at 2, 3 and 7 m: the second gap is four times the first, and all heads are equally large
    scene = lined_up(model, [(0.0, 0.0, 2.0), (0.0, 0.0, 3.0), (0.0, 0.0, 7.0)])
    for name, axis, sign in (("right", 1, 1), ("top", 0, -1)):  # far things are right, and up
        near_to_far = spans(render_view(scene, name, caption=False), axis)[::sign]
        first, second = np.abs(np.diff(near_to_far.mean(axis=1)))
        assert second / first == pytest.approx(4.0, rel=0.02)
        sizes = np.diff(near_to_far)
        assert sizes.max() - sizes.min() <= 1


def test_pictures_fit_the_heads_and_not_a_square(model):
    scene = lined_up(model, [(0.0, 0.0, 2.0), (0.0, 0.0, 2.4)])
    views = {name: render_view(scene, name, size_px=200, caption=False) for name in VIEW_NAMES}
    assert views["right"].shape[1] > 1.5 * views["right"].shape[0]
    assert views["top"].shape[0] > 1.5 * views["top"].shape[1]
    assert views["front"].shape[0] > views["front"].shape[1]  # a head is taller than wide
    for picture in views.values():
        assert picture[..., 0].size == pytest.approx(200 * 200, rel=0.02)
        rows, cols = spans(picture, 0), spans(picture, 1)
        margins = [rows[0, 0], picture.shape[0] - rows[-1, 1], cols[0, 0], picture.shape[1] - cols[-1, 1]]
        assert max(margins) < 0.1 * min(picture.shape[:2])
        assert min(margins) > 0


def test_a_very_deep_scene_stays_within_the_longest_shape(model):
    scene = lined_up(model, [(0.0, 0.0, 1.0), (0.0, 0.0, 40.0)])
    rows, cols, _ = render_view(scene, "right", size_px=200, caption=False).shape
    assert cols / rows == pytest.approx(5.0, rel=0.02)


def test_the_bar_is_as_long_as_it_says(model):
    # heads 1 m apart in depth; the bar's length over their distance is what its label says: 0.5 m
    scene = lined_up(model, [(0.0, 0.0, 2.0), (0.0, 0.0, 3.0)])
    plain, captioned = (render_view(scene, "right", size_px=400, caption=caption) for caption in (False, True))
    np.testing.assert_array_equal(captioned[: len(plain)], plain)
    line = captioned[len(plain) + (len(captioned) - len(plain)) // 2]
    drawn = np.flatnonzero(np.r_[line[:, 0] == 70, False])
    bar = max(np.split(drawn, np.flatnonzero(np.diff(drawn) > 1) + 1), key=len)
    near, far = spans(plain, 1).mean(axis=1)
    length_m = len(bar) / (far - near)
    assert min(abs(length_m / nice - 1) for nice in (0.1, 0.2, 0.5)) < 0.02


def test_sheet_of_views_takes_the_layout_that_shows_them_larger():
    def panel(rows, cols):
        return np.full((rows, cols, 3), 255, np.uint8)

    # side by side: 3 x 100 and 2 gaps of 4; long ones below each other, beside the narrow one: 400 + 4 + 40 wide
    square = join_views({name: panel(100, 100) for name in VIEW_NAMES})
    assert square.shape == (100, 308, 3)
    long = join_views({"front": panel(60, 400), "right": panel(50, 380), "top": panel(110, 40)})
    assert long.shape == (114, 444, 3)
    assert (long == 255).all(axis=-1).sum() == 60 * 400 + 50 * 380 + 110 * 40


def test_an_empty_scene_is_white_and_tiny_sizes_are_refused(model):
    empty = make_scene(model, count=0)
    assert all((picture == 255).all() for picture in empty.views(size_px=32).values())
    with pytest.raises(ValueError, match="size_px must be at least 16, got 0"):
        empty.views(size_px=0)


def neutral_scene(model):
    """One face of the open model without expression."""
    scene, model = make_scene(model, count=1), morphable.load_model("open")
    none = {name: torch.zeros(1, getattr(model, f"num_{name}")) for name in ("identity", "expression", "albedo")}
    return replace(with_faces(scene, **none), model=model)


def with_open_jaw(scene, activation):
    expression = torch.zeros(1, scene.model.num_expression)
    expression[0, scene.model.expression_names.index("jawOpen")] = activation
    return with_faces(scene, expression=expression)


def light_in_mouth(scene, least_gap_m=0.0):
    points = scene.model.landmarks(scene.vertices_model_m, "ibug68_3d")
    return mouth_light(points, scene.vertices_model_m, least_gap_m)[0].numpy()


def test_the_inside_of_the_mouth_is_drawn_by_how_far_the_lips_are_open(model):
    stand_in = make_scene(model, count=1)
    assert torch.equal(drawn_albedo(stand_in), stand_in.albedo_rgb)  # the stand-in names no mouth
    scene = neutral_scene(model)
    model = scene.model
    inside, albedo = model.region("inner_mouth").numpy(), scene[0].albedo_rgb
    soft = inside & (crown_share(model) == 0).numpy()
    drawn, light = drawn_albedo(scene)[0].numpy(), light_in_mouth(scene)
    np.testing.assert_allclose(drawn[soft], light[soft, None] * albedo[soft], rtol=1e-6)
    lips = scene[0].landmarks("ibug68_3d")[[61, 62, 63, 65, 66, 67]]
    gap = np.linalg.norm(lips[:3] - lips[[5, 4, 3]], axis=1).max() + SHUT_GAP_M
    deepest = scene[0].vertices_model_m[inside][:, 2].argmin()
    depth = lips[:, 2].mean() - scene[0].vertices_model_m[inside][deepest, 2]
    expected = np.exp(-depth / DEPTH_M) / (1 + (depth / (REACH * gap)) ** 2)
    assert light[inside][deepest] == pytest.approx(expected, rel=1e-4)
    assert light_in_mouth(with_open_jaw(scene, 0.7))[inside].mean() > 2 * light[inside].mean()
    assert (light_in_mouth(scene, 0.05) >= light - 1e-6).all()
    eyes = (model.region("left_eye") | model.region("right_eye")).numpy()
    assert np.array_equal(drawn[~inside & ~eyes], albedo[~inside & ~eyes])


def test_teeth_are_off_white_and_their_rows_end_in_gums(model):
    scene = neutral_scene(model)
    crown = crown_share(scene.model).numpy()
    inside = scene.model.region("inner_mouth").numpy()
    assert not crown[~inside].any()
    place = scene[0].vertices_model_m
    teeth = crown == 1.0
    drawn = drawn_albedo(with_open_jaw(scene, 1.0), least_gap_m=10.0)[0].numpy()
    opened = with_open_jaw(scene, 1.0)
    depth = opened[0].landmarks("ibug68_3d")[[61, 62, 63, 65, 66, 67], 2].mean() - opened[0].vertices_model_m[teeth, 2]
    white = np.array(TEETH_RGB) * np.exp(-depth.clip(0) / DEPTH_M)[:, None]  # through a gap of 10 m no light is lost
    np.testing.assert_allclose(drawn[teeth], white, rtol=1e-3)
    # a row above and one below the lips, crowns toward each other, gums beyond them
    lips_y = scene[0].landmarks("ibug68_3d")[[62, 66], 1].mean()
    for sign in (1, -1):
        row = inside & (crown > 0) & (sign * (place[:, 1] - lips_y) > 0.002)
        assert row.any()
        assert (crown[row & (sign * (place[:, 1] - lips_y) > 0.012)] < 1).all()


def test_lids_throw_shadows_on_eyeballs_alone(model):
    scene = neutral_scene(model)
    points = scene.model.landmarks(scene.vertices_model_m, "ibug68_3d")
    share = lid_shadow(scene.model, points, scene.vertices_model_m)[0]
    eyes = scene.model.region("left_eye") | scene.model.region("right_eye")
    assert (share[~eyes] == 1).all()
    assert float(share[eyes].min()) == pytest.approx(1 - LID_SHADOW, abs=0.02)
    # the middle of an eyeball is about 5 mm from both lids
    center = points[0, 42:48].mean(0)
    front = scene.vertices_model_m[0][eyes]
    middle = (front[:, :2] - center[:2]).norm(dim=1).argmin()
    assert float(share[eyes][middle]) > 1 - LID_SHADOW * 0.3
