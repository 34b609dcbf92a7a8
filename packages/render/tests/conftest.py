import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def reference():
    spec = importlib.util.spec_from_file_location("render_reference", Path(__file__).parent / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
