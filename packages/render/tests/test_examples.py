import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import morphable

PACKAGE = Path(__file__).parents[1]
EXAMPLES = PACKAGE / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(f"render_example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_quickstart_prints_what_the_readme_shows():
    done = subprocess.run([sys.executable, EXAMPLES / "quickstart.py"], capture_output=True, text=True, check=True)
    readme = (PACKAGE / "README.md").read_text()
    code, shown = re.findall(r"```(?:python|text)\n(.*?)```", readme, re.S)[:2]
    quickstart = (EXAMPLES / "quickstart.py").read_text()
    assert code.strip() == quickstart.split('"""', 2)[2].strip()
    assert done.stdout.split()[:4] == shown.split()[:4]


def test_derivatives_of_the_fit_agree_with_the_renderers_gradients():
    example, model = load("fit_faces"), morphable.load_model("open")
    face = example.random_face(model, torch.Generator().manual_seed(3))
    step = torch.zeros(len(example.prior(model)), requires_grad=True)
    rendered, points = example.render(model, face.moved(step))
    pattern = torch.sin(torch.arange(len(rendered.rgb))[:, None] / 100 + torch.arange(3))
    derivatives = example.Derivatives(model)
    for value, weight, rows in (
        (points, torch.ones_like(points), derivatives.of_landmarks(face)),
        (rendered.rgb, pattern, derivatives.of_colors(face)),
    ):
        (gradient,) = torch.autograd.grad((value * weight).sum(), step, retain_graph=True)
        error = torch.einsum("pck,pc->k", rows, weight) - gradient
        assert error.norm() < 1e-3 * gradient.norm()


def test_fitting_a_face_finds_its_pose():
    example = load("fit_faces")
    _, _, (degrees, depth, gain) = example.fit_random(morphable.load_model("open"), 1, steps=4, levels=(None, 0.05))
    assert degrees < 1
    assert depth < 0.01
    assert gain > 20


@pytest.mark.slow
def test_fitting_twenty_faces_recovers_pose_and_depth_and_lowers_the_colour_error():
    example, model = load("fit_faces"), morphable.load_model("open")
    degrees, depth, gain = zip(*(example.fit_random(model, seed)[2] for seed in range(20)), strict=True)
    assert max(degrees) < 1
    assert max(depth) < 0.01
    assert min(gain) > 20


@pytest.mark.slow
def test_gallery_writes_its_pictures(tmp_path):
    assert load("gallery").main([str(tmp_path)]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["layers.jpg", "texture.jpg", "views.jpg"]
