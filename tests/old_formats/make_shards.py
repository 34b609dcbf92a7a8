"""Write the shards beside this script, as the release candidate of November 2026 (commit c49fcf4) wrote them.

Run it at that commit: prepared pictures of the stand-in model, with exact and with weak labels, and one procedural
scene of `morphable-synth generate`.

    python tests/old_formats/make_shards.py
"""

import shutil
import sys
import tempfile
from pathlib import Path

import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "packages" / "train" / "tests"))

import tiny_run  # noqa: E402

from morphable_synth import GenerateConfig, SceneConfig, generate  # noqa: E402

SIDE_PX = 64


def main() -> None:
    """Write the folders."""
    torch.set_num_threads(1)
    tiny_run.SIZE = SIDE_PX
    tiny_run.write_shards(HERE / "shards" / "exact", 1)
    tiny_run.write_shards(HERE / "shards" / "weak", 1, weak=True)
    scenes = SceneConfig(layout="single", size_px=128, min_face_px=48.0, max_face_px=96.0)
    with tempfile.TemporaryDirectory() as folder:
        generate(GenerateConfig(scenes=scenes, out=Path(folder), count=1, workers=1), quiet=True)
        shutil.copytree(folder, HERE / "shards" / "synthetic", dirs_exist_ok=True)


if __name__ == "__main__":
    main()
