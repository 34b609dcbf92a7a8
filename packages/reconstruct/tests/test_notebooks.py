import re

import numpy as np
import torch

import morphable
from morphable_reconstruct import Camera, Scene, load_photograph
from morphable_reconstruct.exports.notebooks import LISTED_FACES


def scene_of(count: int, name: str = "a.jpg") -> Scene:
    model = morphable.load_model("open")
    return Scene(
        photo=load_photograph(np.full((96, 128, 3), 90, np.uint8), name=name),
        camera=Camera(focal_px=200.0, size_hw=(96, 128)),
        model=model,
        faces=model.sample(count, torch.Generator().manual_seed(0)),
        score=np.linspace(0.9, 0.4, count, dtype=np.float32),
        center_px=np.zeros((count, 2), np.float32),
    )


def test_a_notebook_shows_the_overlay_and_a_row_for_every_face():
    html = scene_of(2)._repr_html_()
    assert html.count("<tr>") == 3
    assert "<td>0.90</td>" in html
    assert re.search(r'src="data:image/jpeg;base64,/9j/[A-Za-z0-9+/=]{500,}"', html)
    assert "http" not in html


def test_crowds_are_cut_and_names_are_escaped():
    html = scene_of(LISTED_FACES + 3, name="<b>.jpg")._repr_html_()
    assert "and 3 more" in html
    assert "<b>" not in html


def test_a_scene_without_faces_says_so():
    assert "No face was found." in scene_of(0)._repr_html_()
