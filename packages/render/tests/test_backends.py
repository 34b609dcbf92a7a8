"""Every backend gives the CPU rasterizer's answer, pixel for pixel."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import morphable_render
from morphable_render import rasterize

SCRIPT = Path(__file__).parent / "compare_backends.py"


def differing(backend, device, environment):
    """Lines of compare_backends.py: scene, covered pixels, differing pixels, largest difference of values."""
    done = subprocess.run(
        [sys.executable, SCRIPT, backend, device],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == ["sphere", "soup", "ties", "room", "batch", "refused", "refused"]
    assert all(int(line[1]) > 0 for line in lines)
    assert [line[4] for line in lines[-2:]] == ["vertices_cam", "triangles"]
    return [int(line[2]) for line in lines], [float(line[3]) for line in lines]


def test_triton_in_its_interpreter():
    pixels, values = differing("triton", "cpu", {"TRITON_INTERPRET": "1"})
    assert pixels == [0] * 7
    assert values == [0.0] * 7


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_triton_on_cuda():
    pixels, values = differing("triton", "cuda", {})
    assert pixels == [0] * 7
    assert max(values) < 1e-6


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
@pytest.mark.parametrize("capability", [80, 90])
def test_triton_compiles_for_gpus_that_are_not_here(capability):
    # in a process of its own: the shape checker of the tests hides the kernels' source from Triton
    script = Path(__file__).with_name("compile_triton.py")
    subprocess.run([sys.executable, str(script), str(capability)], check=True)


@pytest.mark.skipif(importlib.util.find_spec("pytorch3d") is None, reason="pytorch3d is not installed")
def test_pytorch3d():
    pixels, values = differing("pytorch3d", "cpu", {})
    assert max(pixels[:2]) <= 2  # its float32 edge functions decide pixels on edges otherwise
    assert max(values[:2]) < 1e-3


def test_unavailable_backends_are_refused():
    arguments = torch.rand(4, 3) + 1, torch.tensor([[0, 1, 2]])
    with pytest.raises(ValueError, match="must be given CUDA tensors"):
        rasterize(*arguments, focal_px=9.0, size_hw=(8, 8), backend="triton")
    if importlib.util.find_spec("pytorch3d") is None:
        with pytest.raises(ValueError, match=r"PyPI has no PyTorch3D .* build it as .*, or use 'numba'"):
            rasterize(*arguments, focal_px=9.0, size_hw=(8, 8), backend="pytorch3d")


def test_missing_triton_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "morphable_render._raster_triton", raising=False)
    monkeypatch.delattr(morphable_render, "_raster_triton", raising=False)
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(ValueError, match="pip install triton"):
        rasterize(torch.rand(4, 3) + 1, torch.tensor([[0, 1, 2]]), focal_px=9.0, size_hw=(8, 8), backend="triton")
