"""The public names, and that importing has no side effects."""

import subprocess
import sys
from pathlib import Path

import morphable_synth

NAMES = [
    "FACE_LABELS", "PART_NAMES", "PIXEL_LABELS", "AssetReport", "GenerateConfig", "Person", "Sample", "Scene",
    "SceneConfig", "StoredSample", "SynthDataset", "check_assets", "contact_sheet", "draw_labels", "generate",
    "read_shard", "render_scene", "sample_scene", "tensors_of",
]  # fmt: skip


def test_public_names_are_the_documented_ones():
    assert morphable_synth.__all__ == NAMES
    assert all(hasattr(morphable_synth, name) for name in NAMES)


def test_readme_names_every_public_name():
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    assert [name for name in NAMES if f"`{name}`" not in readme] == []


def test_readme_code_is_the_quickstart_and_runs():
    root = Path(__file__).parents[1]
    code = (root / "examples/quickstart.py").read_text()
    body = code.split('"""\n\n', 1)[1]
    readme = (root / "README.md").read_text()
    assert body in readme
    done = subprocess.run(
        [sys.executable, "examples/quickstart.py"], cwd=root, capture_output=True, text=True, check=True
    )
    assert "image (256, 256, 3) uint8" in done.stdout
    assert done.stdout.strip() in readme
