"""Fits of face models to points and surfaces: of themselves, and of another model's faces."""

import json

import numpy as np
import pytest
import torch
import trimesh

from morphable import MorphableModel, fit_landmarks, fit_surface
from morphable.cli import main
from morphable.geometry import Pinhole, rotation_from_angles

CAMERA = Pinhole((480, 640), 800.0, (310.0, 250.0))


def posed(model, count=2, seed=0):
    """Faces of a model in different poses, half a meter away."""
    faces = model.sample(count, torch.Generator().manual_seed(seed))
    faces.rotation_head[:] = rotation_from_angles(torch.tensor([[0.2, -0.4, 0.1], [-0.1, 0.3, -0.2]])[:count])
    faces.translation_m[:] = torch.tensor([[0.02, -0.03, 0.5], [-0.05, 0.01, 0.6]])[:count]
    return faces


def save_scene(path, model, faces, *, name="toy"):
    """Write what `reconstruct` saves of a scene, as far as a fit reads it."""
    vertices = model.vertices(faces)
    points = model.landmarks(vertices)
    columns = {
        "landmarks68_px": CAMERA.project(points).numpy(),
        "landmarks68_cam_m": points.numpy(),
        "landmarks68_std_px": np.full((len(points), 68), 0.5, np.float32),
    }
    if path.suffix == ".json":
        rows = [{key: values[i].tolist() for key, values in columns.items()} for i in range(len(points))]
        camera = {"focal_px": 800.0, "principal_px": [310.0, 250.0]}
        path.write_text(json.dumps({"image_size_hw": [480, 640], "camera": camera, "model": name, "faces": rows}))
        return
    others = {"image_size_hw": (480, 640), "focal_px": 800.0, "principal_px": (310.0, 250.0), "model_name": name}
    np.savez(path, **columns, **others, vertices_cam_m=vertices.numpy(), triangles=model.triangles.numpy())


def test_points_of_a_face_give_the_face_back(ict_head):
    faces = posed(ict_head)
    points_px = CAMERA.project(ict_head.landmarks(ict_head.vertices(faces)))
    fit = fit_landmarks(ict_head, points_px, CAMERA, std_px=torch.full((2, 68), 0.05))
    assert (fit.residual < 0.2).all()
    turn = fit.faces.rotation_head.mT @ faces.rotation_head
    angle_deg = torch.rad2deg(((turn.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1).acos())
    assert (angle_deg < 1.0).all()
    torch.testing.assert_close(fit.faces.translation_m, faces.translation_m, atol=0.02, rtol=0)


def test_surfaces_of_a_face_give_the_face_back(ict_head):
    faces = posed(ict_head)
    vertices = ict_head.vertices(faces)
    fit = fit_surface(ict_head, vertices, ict_head.triangles, ict_head.landmarks(vertices))
    assert (fit.residual < 0.0002).all()
    distance = (ict_head.vertices(fit.faces) - vertices).norm(dim=-1)
    assert distance.mean() < 0.001
    alone = fit_surface(ict_head, vertices[1:], ict_head.triangles, ict_head.landmarks(vertices[1:]))
    torch.testing.assert_close(alone.faces.identity, fit.faces.identity[1:], atol=0.02, rtol=0)


def test_another_topology_follows_the_surface(ict_head):
    """The open model's faces in ICT's topology: nearer than where the mean face stands."""
    from morphable import load_model

    open_model = load_model("open")
    faces = posed(open_model, seed=3)
    vertices = open_model.vertices(faces)
    compared = open_model.region("skin") | open_model.region("nose")
    fit = fit_surface(ict_head, vertices, open_model.triangles, open_model.landmarks(vertices), compared=compared)
    assert (fit.residual < 0.003).all()
    # ICT's own 68 points lie where the open model's do
    distance = (ict_head.landmarks(ict_head.vertices(fit.faces)) - open_model.landmarks(vertices)).norm(dim=-1)
    assert distance[:, 17:].mean() < 0.006


def test_activations_stay_between_none_and_full(ict_head):
    """Points that only more than a whole smile would explain."""
    assert ict_head.expression_prior == "activation"
    faces = posed(ict_head, count=1)
    faces.identity[:], faces.expression[:] = 0.0, 0.0
    faces.expression[:, 0] = 3.0
    points_px = CAMERA.project(ict_head.landmarks(ict_head.vertices(faces)))
    fit = fit_landmarks(ict_head, points_px, CAMERA, std_px=torch.full((1, 68), 0.2))
    assert fit.faces.expression.min() >= 0.0
    assert fit.faces.expression.max() <= 1.0


def test_wild_points_do_not_make_wild_faces(ict_head):
    """With points of little weight the prior keeps the mean face."""
    points_px = CAMERA.project(ict_head.landmarks(ict_head.vertices(posed(ict_head))))
    noisy = points_px + torch.randn(points_px.shape, generator=torch.Generator().manual_seed(0)) * 5
    fit = fit_landmarks(ict_head, noisy, CAMERA, std_px=torch.full((2, 68), 50.0))
    assert fit.faces.identity.abs().max() < 0.5


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_the_command_writes_meshes_and_numbers(tmp_path, capsys, ict_head, suffix):
    scene, file = tmp_path / f"s{suffix}", tmp_path / "ict.safetensors"
    ict_head.save(file)
    save_scene(scene, ict_head, posed(ict_head))
    assert main(["fit", str(file), str(scene), "-o", str(tmp_path / "fit.glb")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("face 0: ")
    assert ("mm from the surface" if suffix == ".npz" else "px from the 68 points") in said[1]
    loaded = trimesh.load(tmp_path / "fit.glb", process=False)
    assert [len(mesh.vertices) for mesh in loaded.geometry.values()] == [ict_head.num_vertices] * 2
    assert {mesh.visual.material.metallicFactor for mesh in loaded.geometry.values()} == {0.0}
    expected = ict_head.vertices(posed(ict_head))[0] * torch.tensor([1.0, -1.0, -1.0])
    distance = np.linalg.norm(loaded.geometry["face_00"].vertices - expected.numpy(), axis=1)
    assert distance.mean() < (0.001 if suffix == ".npz" else 0.01)
    assert main(["fit", str(file), str(scene), "-o", str(tmp_path / "fit.npz"), "--to", "landmarks"]) == 0
    arrays = np.load(tmp_path / "fit.npz")
    assert arrays["identity"].shape == (2, ict_head.num_identity)
    assert arrays["vertices_cam_m"].shape == (2, ict_head.num_vertices, 3)
    assert str(arrays["model_name"]) == "ict-facekit"


def test_refusals(tmp_path, capsys, model):
    points = torch.zeros(1, 68, 2)
    with pytest.raises(ValueError, match="landmarks68_px must be finite"):
        fit_landmarks(model, points + torch.nan, CAMERA)
    with pytest.raises(ValueError, match="std_px must be positive"):
        fit_landmarks(model, points, CAMERA, std_px=torch.zeros(1, 68))
    with pytest.raises(ValueError, match="vertices_cam_m must be finite, one surface per face"):
        fit_surface(model, torch.full((1, 63, 3), torch.inf), model.triangles, torch.zeros(1, 68, 3))
    from dataclasses import replace

    without = MorphableModel(replace(model.data(), landmarks={}, contour=None))
    with pytest.raises(ValueError, match="model must have the 68 points to be fitted"):
        fit_landmarks(without, points, CAMERA)
    (tmp_path / "a.json").write_text("{}")
    for arguments, status, message in (
        (["open", "none.npz", "-o", "a.glb"], 1, "scene must be an existing file"),
        (["open", str(tmp_path / "a.json"), "-o", "a.glb"], 1, "scene must be a scene saved as .json or .npz"),
    ):
        assert main(["fit", *arguments]) == status
        assert message in capsys.readouterr().err
    save_scene(tmp_path / "s.json", model, posed(model))
    file = tmp_path / "m.safetensors"
    model.save(file)
    assert main(["fit", str(file), str(tmp_path / "s.json"), "-o", "a.glb", "--to", "surface"]) == 1
    assert "scene must be saved as .npz to be fitted with --to surface" in capsys.readouterr().err
    assert not (tmp_path / "a.glb").exists()
