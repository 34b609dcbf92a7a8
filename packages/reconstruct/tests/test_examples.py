"""The README's code is the example, and both run."""

import dataclasses
import json
import re
import runpy
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

from morphable import WeightsInfo, reference_to, write_weights
from morphable_reconstruct.reconstructor.weights import BUNDLED_FOLDER

FOLDER = Path(__file__).parents[1]


def shown_in_readme() -> tuple[str, str]:
    """The README's code, and what it says is printed."""
    code, printed = re.findall(r"```(?:python|text)\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)[:2]
    return code, printed


def words(text: str) -> list[str | float]:
    """Words, and numbers with a fraction as numbers."""
    return [float(part) if re.fullmatch(r"-?\d+\.\d+", part) else part for part in text.split()]


def test_the_readme_shows_the_example():
    code = (FOLDER / "examples" / "quickstart.py").read_text().split('"""', 2)[2]
    assert shown_in_readme()[0].strip() == code.strip()


NAMES = ("group", "astronaut")
"""Of the demo's pictures."""


@pytest.mark.skipif(not (BUNDLED_FOLDER / "mobile.safetensors").is_file(), reason="the bundled weights are not there")
def test_quickstart_runs(tmp_path, monkeypatch, capsys):
    (tmp_path / "examples").mkdir()
    shutil.copy(FOLDER.parents[1] / "examples" / "astronaut.jpg", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(FOLDER / "examples" / "quickstart.py"))
    printed, shown = words(capsys.readouterr().out), words(shown_in_readme()[1])
    assert len(printed) == len(shown)
    for got, expected in zip(printed, shown, strict=True):  # processors differ in the last digits
        assert got == (pytest.approx(expected, abs=0.15) if isinstance(expected, float) else expected)
    assert (tmp_path / "astronaut.glb").read_bytes()[:4] == b"glTF"


def test_the_demo_leaves_overlay_views_glb_and_json(tmp_path, monkeypatch):
    """With an untrained network: files and pictures, not their quality."""
    pytest.importorskip("skimage")
    pytest.importorskip("morphable_synth")
    import torch

    import morphable
    from morphable_detector_head import DetectorConfig, build_detector

    torch.manual_seed(0)
    detector = build_detector(DetectorConfig(width=8, center_width=8, parameter_width=16))
    with torch.no_grad():
        detector.center_head.output.bias.fill_(-1.0)
    info = WeightsInfo(
        name="untrained",
        architecture=dataclasses.asdict(detector.config),
        model=reference_to(morphable.load_model("open")),
        license="CC0-1.0",
        training_data="none",
    )
    write_weights(tmp_path / "w.safetensors", info, detector.state_dict())
    arguments = ["demo.py", "--out", str(tmp_path / "out"), "--weights", str(tmp_path / "w.safetensors")]
    arguments += ["--sheet", str(tmp_path / "sheet.png")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(FOLDER / "examples" / "demo.py"), run_name="__main__")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 1200
        rows = [[Image.open(tmp_path / "out" / f"{n}.{k}").size for k in ("overlay.jpg", "views.png")] for n in NAMES]
        heights = [1200 / sum(width / height for width, height in row) for row in rows]
        assert sheet.height == pytest.approx(sum(heights), abs=2)
    for name in NAMES:
        for suffix in ("overlay.jpg", "views.png", "glb", "json"):
            assert (tmp_path / "out" / f"{name}.{suffix}").stat().st_size > 100
        assert "faces" in json.loads((tmp_path / "out" / f"{name}.json").read_text())
