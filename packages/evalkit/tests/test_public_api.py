import importlib
import pkgutil
import subprocess
import sys
from types import ModuleType

import morphable_evalkit

PUBLIC = """
SCAN_PROTOCOLS DatasetConfig GroundTruth Mesh Predictions Result ScanCase Scores Summary check_coverage
check_predictions
compare_results dense_error measure_scan nme open_dataset read_mesh read_predictions read_results score_alignment
score_pose summarize summarize_faces summarize_placement summarize_pose write_predictions write_results
"""


def test_public_names_change_only_on_purpose():
    assert sorted(morphable_evalkit.__all__) == sorted(PUBLIC.split())
    assert all(hasattr(morphable_evalkit, name) for name in morphable_evalkit.__all__)


def test_import_needs_neither_torch_nor_plots_nor_siblings():
    code = (
        "import sys, morphable_evalkit, morphable_evalkit.cli\n"
        "names = 'torch scipy.spatial matplotlib PIL morphable morphable_render morphable_reconstruct'.split()\n"
        "print([name for name in names if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_no_module_is_hidden_by_a_name_of_its_package():
    names = [info.name for info in pkgutil.walk_packages(morphable_evalkit.__path__, "morphable_evalkit.")]
    for name in names:
        importlib.import_module(name)
    for name in names:
        package, _, module = name.rpartition(".")
        assert isinstance(getattr(importlib.import_module(package), module), ModuleType), name
