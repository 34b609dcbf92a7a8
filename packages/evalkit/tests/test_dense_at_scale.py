import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from morphable_evalkit import read_predictions, write_predictions

IMAGES, VERTICES = 2000, 35_709
LIMIT_S, LIMIT_BYTES = 60.0, 2 * 1024**3

_MEASURED_RUN = """
import json, resource, sys, time
from morphable_evalkit.cli import main
start, cpu = time.perf_counter(), time.process_time()
status = main(sys.argv[1:])
used = {"status": status, "wall_s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}
used["bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
sys.stderr.write(json.dumps(used))
"""


class _Faces:
    """One made-up face, moved a little from image to image; made row by row, never all in memory."""

    shape = (IMAGES, VERTICES, 3)

    def __init__(self, shift: float) -> None:
        self.base = np.random.default_rng(0).uniform(100, 200, (VERTICES, 3)).astype(np.float32)
        self.base[0], self.base[1] = 100.0, 200.0
        self.shift = np.float32(shift)

    def __getitem__(self, index: int, /) -> np.ndarray:
        return self.base + self.shift + np.float32(index % 7)


@pytest.mark.slow
def test_dense_nme_of_aflw2000s_size_streams_in_time_and_memory(tmp_path: Path, make_predictions, face_points):
    names = [f"{i:04d}.jpg" for i in range(IMAGES)]
    points = [(name, face_points((150 + i % 7, 150), 100.0)) for i, name in enumerate(names)]
    rotation = np.tile(np.eye(3), (IMAGES, 1, 1))
    for name, shift in (("truth", 0.0), ("preds", 3.0)):
        file = make_predictions(points, images=names, vertices_px=_Faces(shift), rotation_head=rotation)
        write_predictions(tmp_path / f"{name}.npz", file)
    assert read_predictions(tmp_path / "preds.npz").vertices_px.shape == (IMAGES, VERTICES, 3)
    argv = [
        "nme",
        "--preds",
        "preds.npz",
        "--dataset",
        "truth",
        "--root",
        "truth.npz",
        "--measure",
        "D2",
        "--dims",
        "2",
    ]
    command = [sys.executable, "-c", _MEASURED_RUN, *argv]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    for name in ("truth", "preds"):
        (tmp_path / f"{name}.npz").unlink()  # pytest keeps folders of past runs, and these are 1.7 GB
    used = json.loads(done.stderr.splitlines()[-1])
    assert used["status"] == 0
    # 3 px in x and y over a box of 100 x 100
    assert f"{100 * np.sqrt(18) / 100:.3f}" in done.stdout
    assert used["bytes"] < LIMIT_BYTES
    # processor time bounds the wall time on a quiet machine
    assert min(used["wall_s"], used["cpu_s"]) < LIMIT_S
