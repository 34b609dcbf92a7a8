import pkgutil
import subprocess
import sys

import pytest

import morphable_train

NAMES = [
    "PRESETS",
    "AugmentConfig",
    "DataConfig",
    "DatasetInfo",
    "DatasetSource",
    "DivergedError",
    "FaceLabels",
    "LossConfig",
    "OptimizerConfig",
    "PackageOptions",
    "PrepareConfig",
    "PrepareResult",
    "RecipePackage",
    "RecipeResults",
    "Record",
    "RunConfig",
    "RunResults",
    "ShardReader",
    "ShardWriter",
    "TrainConfig",
    "TriplesConfig",
    "ValidationConfig",
    "evaluate",
    "open_source",
    "package",
    "package_recipe",
    "prepare",
    "preset",
    "read_config",
    "read_info",
    "recipe_preset",
    "record_from_sample",
    "run_recipe",
    "train",
    "weak_labels",
    "with_procedural_data",
    "with_procedural_faces",
    "write_info",
    "write_triples",
]


def test_the_public_names_are_these():
    assert sorted(morphable_train.__all__) == sorted(NAMES)
    assert all(hasattr(morphable_train, name) for name in NAMES)


def test_no_public_name_is_a_module_too():
    """Once imported, the module would hide the name."""
    assert not {module.name for module in pkgutil.iter_modules(morphable_train.__path__)} & set(NAMES)


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
