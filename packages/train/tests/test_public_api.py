import subprocess
import sys

import pytest

import morphable_train

HELP = ["pass", "main(['--help'])", "main(['run', '--help'])", "main(['run', 'vgg'])", "main(['package', '--help'])"]


@pytest.mark.parametrize("use", HELP)
def test_importing_and_asking_for_help_load_nothing_heavy(use):
    code = f"""
import contextlib, sys, morphable_train
from morphable_train.cli import main
with contextlib.suppress(SystemExit):
    {use}
heavy = ("torch", "lightning", "morphable.model", "morphable_synth", "av", "onnxruntime", "face_alignment")
sys.stderr.write(repr([name for name in heavy if name in sys.modules]))
"""
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stderr.endswith("[]")


def test_a_name_that_is_not_public_is_missing():
    with pytest.raises(AttributeError, match="no attribute 'trane'"):
        _ = morphable_train.trane
