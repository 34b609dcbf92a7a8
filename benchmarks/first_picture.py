"""A later start of a program, from the end of its imports to the first picture; `benchmarks/render.py` runs it."""

import json
import statistics
import subprocess
import time
from collections.abc import Sequence

import torch

import morphable
import morphable_render as mr
from morphable import geometry


def later_start(command: Sequence[str], repeats: int) -> tuple[str, str, str]:
    """Time first pictures in fresh processes that find compiled kernels on disk.

    Args:
        command: What calls `first_picture` in a process of its own.
        repeats: Processes, after one that may compile.

    Returns:
        What was measured, the result and the aim.
    """
    outputs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(1 + repeats)]
    wall, cpu = (sorted(times) for times in zip(*map(json.loads, outputs[1:]), strict=True))
    result = f"{statistics.median(wall):.2f} s (best {wall[0]:.2f}), {cpu[0]:.2f} s of processor"
    return "later start of a program: load `open`, decode, first picture of 512x512", result, "<= 0.3 s"


def first_picture() -> None:
    """Print as JSON: seconds and seconds of processor for a program's first picture, the model's loading included."""
    begin = time.perf_counter(), time.process_time()
    model = morphable.load_model("open")
    with torch.no_grad():
        shape = model.decode_shape(torch.zeros(1, model.num_identity), torch.zeros(1, model.num_expression))
        mr.render_faces(
            geometry.camera_from_model(shape, torch.eye(3)[None], torch.tensor([[0.0, 0.0, 0.7]])),
            model.triangles,
            model.decode_albedo(torch.zeros(1, model.num_albedo)),
            illumination=torch.zeros(1, 9, 3),
            focal_px=geometry.GLOBAL_FOCAL_PX,
            background=torch.ones(512, 512, 3),
        )
    print(json.dumps([time.perf_counter() - begin[0], time.process_time() - begin[1]]))
