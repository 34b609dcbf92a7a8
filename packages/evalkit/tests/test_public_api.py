import importlib
import pkgutil
import subprocess
import sys
from types import ModuleType

import morphable_evalkit


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
