"""Do the recipes learn? Each smoke preset on procedural faces, measured on other people; minutes each, so slow."""

import json

import pytest

from morphable_train.cli import main


def smoke(recipe, folder, capsys, count, *options):
    """Train the smoke preset on procedural data and return the errors at its end."""
    command = ["run", recipe, "--preset", "smoke", "--synth", str(count), "--out", str(folder / recipe), *options]
    assert main(command) == 0
    return json.loads(capsys.readouterr().out)["after"]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["mobile_frnet", "prnet"])
def test_points_are_three_times_nearer_than_the_mean_faces(recipe, tmp_path, capsys):
    after = smoke(recipe, tmp_path, capsys, 800)
    assert after["nme"] * 3 <= after["mean_face_nme"], after


@pytest.mark.slow
def test_three_views_halve_the_distance_to_the_mean_face_and_beat_one(tmp_path, capsys):
    after = smoke("dfmvr", tmp_path, capsys, 400)
    assert after["dense_3d_nme"] * 2 <= after["mean_face_dense_3d_nme"], after
    assert after["dense_3d_nme"] < after["mean_view_dense_3d_nme"], after
    assert after["shape_mm"] < after["one_view_shape_mm"], after
    assert after["shape_mm"] < after["mean_face_shape_mm"], after


@pytest.mark.slow
def test_parsing_finds_every_class(tmp_path, capsys):
    """The smoke preset sees 128 px for minutes; the full one is held to 0.75."""
    after = smoke("parsing", tmp_path, capsys, 600)
    assert after["mean_iou"] >= 0.5, after
    assert all(value > 0.1 for name, value in after.items() if name.startswith("iou_")), after
