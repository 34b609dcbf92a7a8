"""Scenes with MakeHuman's assets: labels against the picture, no state between scenes, no NaN."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import morphable
from morphable.geometry import camera_from_model
from morphable_render import rasterize
from morphable_synth import SceneConfig, render_scene, sample_scene
from morphable_synth.assets.parts import FIRST_COVERING_PART, PART_NAMES
from morphable_synth.rendering import renderer as rendering
from morphable_synth.rendering.labels import FACE_LABELS, PIXEL_LABELS, Sample

_RENDERED_ELSEWHERE = """
import sys
import numpy as np
from pathlib import Path
from morphable_synth import SceneConfig, render_scene, sample_scene
from morphable_synth.rendering.labels import FACE_LABELS, PIXEL_LABELS
config = SceneConfig(level="makehuman", assets=Path(sys.argv[1]), size_px=256)
sample = render_scene(sample_scene(11, 40, config))
np.savez(sys.argv[2], **{name: getattr(sample, name) for name in ("image", *FACE_LABELS, *PIXEL_LABELS)})
"""


def _overlap(sample: Sample) -> float:
    """Intersection over union of the drawn model's skin and the labeled skin, where nothing is before the head."""
    model = morphable.load_model("open")
    vertices = model.decode_shape(torch.from_numpy(sample.identity), torch.from_numpy(sample.expression))
    cam = camera_from_model(vertices, torch.from_numpy(sample.rotation_head), torch.from_numpy(sample.translation_m))
    fragments = rasterize(cam, model.triangles, focal_px=1015.0, size_hw=sample.part.shape)
    skin = model.region("skin")[model.triangles].all(-1)
    drawn = (fragments.mask & skin[fragments.triangle.clamp(min=0)])[0].numpy()
    free = (sample.part < FIRST_COVERING_PART) | (sample.part == PART_NAMES.index("body"))
    return float((drawn & sample.skin_mask & free).sum() / ((drawn | sample.skin_mask) & free).sum())


@pytest.mark.parametrize("index", range(4))
def test_rerendered_model_overlaps_the_visible_skin(assets: Path, index: int):
    config = SceneConfig(
        level="makehuman", assets=assets, layout="single", size_px=160, min_visible=0.0, occluders=False
    )
    assert _overlap(render_scene(sample_scene(21, index, config))) >= 0.9


@pytest.mark.slow
def test_scene_does_not_depend_on_what_was_rendered_before(assets: Path, tmp_path: Path):
    config = SceneConfig(level="makehuman", assets=assets, size_px=256)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)  # the other process keeps its own number
        for index in range(6):
            render_scene(sample_scene(12, index, config))
        here = render_scene(sample_scene(11, 40, config))
    finally:
        torch.set_num_threads(threads)
    out = tmp_path / "fresh.npz"
    subprocess.run([sys.executable, "-c", _RENDERED_ELSEWHERE, str(assets), str(out)], check=True)
    with np.load(out) as fresh:
        for name in ("image", *FACE_LABELS, *PIXEL_LABELS):
            np.testing.assert_array_equal(getattr(here, name), fresh[name], err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["single", "group"])
def test_no_pixel_of_some_tens_of_scenes_is_nan(assets: Path, layout: str, monkeypatch: pytest.MonkeyPatch):
    config = SceneConfig(level="makehuman", assets=assets, layout=layout, size_px=256)
    colors = rendering._colors
    linear: list[np.ndarray] = []

    def remembered(*arguments: object) -> tuple[np.ndarray, np.ndarray]:
        linear[:] = colors(*arguments)
        return linear[0], linear[1]

    monkeypatch.setattr(rendering, "_colors", remembered)
    for index in range(30, 60):
        sample = render_scene(sample_scene(11, index, config))
        assert all(np.isfinite(plane).all() for plane in linear), index
        assert all(np.isfinite(getattr(sample, name)).all() for name in (*FACE_LABELS, "depth_m")), index
